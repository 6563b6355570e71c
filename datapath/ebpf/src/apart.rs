//! Functions that the verifier looks at by themselves: once, whatever their callers know (`btf_prepare_func_args` of
//! `kernel/bpf/btf.c`). It tells them by their symbols, which are global. All others it goes through anew with each
//! call, in each state in which it gets there; before Linux 6.2, where all numbers of a program with such functions
//! count, that is very often.
//!
//! Their arguments are the context, numbers, and memory whose size is known and nothing else. Their answer is a number.
#![allow(
    unsafe_code,
    reason = "references become pointers, and references again"
)]

use core::mem::transmute;

use twinpath_abi::{DebugPoint, Direction, Family, Ifindex, IntoBytes};

use crate::conntrack::State;
use crate::drops::Drop;
use crate::translate::Side;

/// Memory without padding: the verifier demands that each byte of it is written.
pub trait Plain {}

impl<T: IntoBytes> Plain for T {}

/// Defines a structure without padding.
macro_rules! plain {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* pub $field:ident: $ty:ty,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* pub $field: $ty,)+
        }

        impl $crate::apart::Plain for $name {}

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())+);
    };
}
pub(crate) use plain;

/// What is handed to a function.
pub trait Argument: Sized {
    type Raw;

    fn raw(self) -> Self::Raw;

    /// # Safety
    ///
    /// `raw` was made by [`Argument::raw`] of what outlives the call.
    unsafe fn given(raw: Self::Raw) -> Option<Self>;
}

impl<T: Plain> Argument for &T {
    type Raw = *const T;

    #[inline(always)]
    fn raw(self) -> *const T {
        self
    }

    #[inline(always)]
    unsafe fn given(raw: *const T) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { raw.as_ref() }
    }
}

impl<T: Plain> Argument for &mut T {
    type Raw = *mut T;

    #[inline(always)]
    fn raw(self) -> *mut T {
        self
    }

    #[inline(always)]
    unsafe fn given(raw: *mut T) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { raw.as_mut() }
    }
}

/// Numbers are themselves.
macro_rules! numbers {
    ($($ty:ty as $raw:ty,)+) => {
        $(
            impl Argument for $ty {
                type Raw = $raw;

                #[inline(always)]
                fn raw(self) -> $raw {
                    // SAFETY: as large, and without padding.
                    unsafe { transmute(self) }
                }

                #[inline(always)]
                unsafe fn given(raw: $raw) -> Option<Self> {
                    // SAFETY: the caller's promise: it was one before.
                    Some(unsafe { transmute::<$raw, $ty>(raw) })
                }
            }
        )+
    };
}

numbers! {
    Drop as u32,
    Ifindex as u32,
    Family as u8,
    Direction as u8,
    DebugPoint as u8,
    u32 as u32,
    Side as u8,
    State as u8,
}

/// What a function answers.
pub trait Answer: Sized {
    fn code(self) -> u32;

    /// # Safety
    ///
    /// `code` was made by [`Answer::code`].
    unsafe fn coded(code: u32) -> Self;
}

/// An answer that leaves room for drops: the lowest byte of its code is no reason to drop a packet.
pub trait Small: Sized {
    fn code(self) -> u32;

    /// # Safety
    ///
    /// `code` was made by [`Small::code`].
    unsafe fn coded(code: u32) -> Self;
}

impl Small for () {
    #[inline(always)]
    fn code(self) -> u32 {
        0
    }

    #[inline(always)]
    unsafe fn coded(_: u32) {}
}

impl Small for bool {
    #[inline(always)]
    fn code(self) -> u32 {
        u32::from(self)
    }

    #[inline(always)]
    unsafe fn coded(code: u32) -> Self {
        code != 0
    }
}

impl Answer for () {
    #[inline(always)]
    fn code(self) -> u32 {
        0
    }

    #[inline(always)]
    unsafe fn coded(_: u32) {}
}

impl<T: Small> Answer for Result<T, Drop> {
    #[inline(always)]
    fn code(self) -> u32 {
        match self {
            Ok(answer) => answer.code(),
            Err(drop) => drop.raw(),
        }
    }

    #[inline(always)]
    unsafe fn coded(code: u32) -> Self {
        // SAFETY: the caller's promise: it was one or the other before, and the lowest byte tells which.
        unsafe {
            match code as u8 {
                ..Drop::LOWEST => Ok(T::coded(code)),
                _ => Err(transmute::<u32, Drop>(code)),
            }
        }
    }
}

/// Makes an answer of a plain structure of four bytes.
macro_rules! answer {
    ($ty:ty) => {
        $crate::apart::answer!(Answer for $ty);
    };
    ($answer:ident for $ty:ty) => {
        const _: () = assert!(size_of::<$ty>() == size_of::<u32>());

        #[allow(unsafe_code, reason = "a structure becomes a number, and a structure again")]
        impl $crate::apart::$answer for $ty {
            #[inline(always)]
            fn code(self) -> u32 {
                // SAFETY: as large, and without padding.
                unsafe { core::mem::transmute(self) }
            }

            #[inline(always)]
            unsafe fn coded(code: u32) -> Self {
                // SAFETY: the caller's promise: it was one before.
                unsafe { core::mem::transmute::<u32, $ty>(code) }
            }
        }
    };
}
pub(crate) use answer;

/// Makes a small answer of a plain structure of four bytes whose first is no reason to drop a packet.
macro_rules! small {
    ($ty:ty) => {
        $crate::apart::answer!(Small for $ty);
    };
}
pub(crate) use small;

/// Defines a function that is looked at by itself, under a symbol which tells it from all others. It must use the
/// context that it is given: the compiler would hand over nothing instead, which the verifier does not take for one.
macro_rules! apart {
    ($(#[$meta:meta])* $vis:vis fn $name:ident as $symbol:ident(
        $ctx:ident: &Tc $(, $arg:ident: $ty:ty)* $(,)?
    ) -> $answer:ty $body:block) => {
        $crate::apart::apart! {
            $(#[$meta])* $vis fn $name as $symbol($ctx: Tc; $($arg: $ty),*) -> $answer $body
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident as $symbol:ident(
        $ctx:ident: &Xdp $(, $arg:ident: $ty:ty)* $(,)?
    ) -> $answer:ty $body:block) => {
        $crate::apart::apart! {
            $(#[$meta])* $vis fn $name as $symbol($ctx: Xdp; $($arg: $ty),*) -> $answer $body
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident as $symbol:ident(
        $ctx:ident: $hook:ty; $($arg:ident: $ty:ty),*
    ) -> $answer:ty $body:block) => {
        $(#[$meta])*
        #[inline(always)]
        #[allow(unsafe_code, reason = "the verifier is told of symbols that are not mangled")]
        $vis fn $name($ctx: &$hook $(, $arg: $ty)*) -> $answer {
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $symbol(
                ctx: <$hook as $crate::context::Context>::Raw
                $(, $arg: <$ty as $crate::apart::Argument>::Raw)*
            ) -> u32 {
                #[inline(always)]
                fn body($ctx: &$hook $(, $arg: $ty)*) -> $answer $body

                $crate::apart::given!($($arg: $ty,)*);
                let ctx = <$hook as $crate::context::Context>::of(ctx);
                $crate::apart::Answer::code(body(&ctx $(, $arg)*))
            }

            let ctx = $crate::context::Context::raw($ctx);
            let code = $symbol(ctx $(, $crate::apart::Argument::raw($arg))*);
            // SAFETY: it comes from above.
            unsafe { $crate::apart::Answer::coded(code) }
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident as $symbol:ident(
        $($arg:ident: $ty:ty),* $(,)?
    ) -> $answer:ty $body:block) => {
        $(#[$meta])*
        #[inline(always)]
        #[allow(unsafe_code, reason = "the verifier is told of symbols that are not mangled")]
        $vis fn $name($($arg: $ty),*) -> $answer {
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $symbol($($arg: <$ty as $crate::apart::Argument>::Raw),*) -> u32 {
                #[inline(always)]
                fn body($($arg: $ty),*) -> $answer $body

                $crate::apart::given!($($arg: $ty,)*);
                $crate::apart::Answer::code(body($($arg),*))
            }

            let code = $symbol($($crate::apart::Argument::raw($arg)),*);
            // SAFETY: it comes from above.
            unsafe { $crate::apart::Answer::coded(code) }
        }
    };
}
pub(crate) use apart;

/// Nobody hands over nothing, but the verifier wants it to be asked.
macro_rules! given {
    ($($arg:ident: $ty:ty,)*) => {
        $(
            // SAFETY: whoever calls has made it of an argument.
            let Some($arg) = (unsafe { <$ty as $crate::apart::Argument>::given($arg) }) else {
                return 0;
            };
        )*
    };
}
pub(crate) use given;
