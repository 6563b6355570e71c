//! Functions of the kernel (kfuncs) that the emulator may have.
//!
//! A kernel gives them no fixed numbers: a program names them, and the loader finds them in the kernel's
//! types. Here they are helpers with numbers that no helper of a kernel has; the loader puts the number
//! into the call. Whether one is there is for `provides` to say, as of any helper.

use super::HelperId;

/// The first number that no helper of a kernel has.
const FIRST: u32 = 0x10000;

impl HelperId {
    /// Whether this stands for a function of the kernel and not for a helper.
    pub const fn is_kernel_function(self) -> bool {
        self.0 >= FIRST
    }
}

macro_rules! kernel_functions {
    ($($number:literal $constant:ident $name:literal,)*) => {
        impl HelperId {
            $(
                #[doc = concat!("`bpf_", $name, "`, a function of the kernel")]
                pub const $constant: Self = Self($number);
            )*

            /// The function of the kernel of that name, with the `bpf_` in front.
            pub fn kernel_function(name: &str) -> Option<Self> {
                match name.strip_prefix("bpf_")? {
                    $($name => Some(Self($number)),)*
                    _ => None,
                }
            }
        }

        pub(super) const fn name(number: u32) -> Option<&'static str> {
            match number {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

kernel_functions! {
    0x10000 DYNPTR_FROM_SKB "dynptr_from_skb",
    0x10001 DYNPTR_FROM_XDP "dynptr_from_xdp",
    0x10002 DYNPTR_SLICE "dynptr_slice",
    0x10003 DYNPTR_SLICE_RDWR "dynptr_slice_rdwr",
    0x10004 DYNPTR_ADJUST "dynptr_adjust",
    0x10005 DYNPTR_IS_NULL "dynptr_is_null",
    0x10006 DYNPTR_IS_RDONLY "dynptr_is_rdonly",
    0x10007 DYNPTR_SIZE "dynptr_size",
    0x10008 DYNPTR_CLONE "dynptr_clone",
    0x10009 DYNPTR_COPY "dynptr_copy",
    0x10010 XDP_METADATA_RX_TIMESTAMP "xdp_metadata_rx_timestamp",
    0x10011 XDP_METADATA_RX_HASH "xdp_metadata_rx_hash",
    0x10012 XDP_METADATA_RX_VLAN_TAG "xdp_metadata_rx_vlan_tag",
}
