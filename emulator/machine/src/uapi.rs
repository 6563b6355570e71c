//! Enumerations of the kernel's `linux/bpf.h`: a number, its name here, and the kernel's without prefix, in lower case.

/// Makes an enumeration of lines such as `6 Xdp "xdp",`.
macro_rules! uapi_enum {
    ($(#[$about:meta])* $kind:ident { $($number:literal $name:ident $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum $kind { $($name = $number,)* }

        impl $kind {
            /// The one of that number.
            pub const fn from_number(number: u32) -> Option<Self> {
                Some(match number {
                    $($number => Self::$name,)*
                    _ => return None,
                })
            }

            /// The kernel's name without its prefix, in lower case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use uapi_enum;
