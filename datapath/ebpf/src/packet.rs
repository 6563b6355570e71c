//! Direct access to a packet, each one checked against its end as the verifier demands.
//!
//! A packet may begin at any address, so its fields are not aligned. The verifier does not mind where
//! the machine does not, but Rust would put every field together from bytes. Hence the loads and
//! stores are written as the instructions that they are.
#![allow(
    unsafe_code,
    reason = "the packet is memory that the kernel hands out by address"
)]

use core::arch::asm;
use core::hint::assert_unchecked;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// The directly accessible part of a packet. It is void once a helper has changed the packet.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
    len: u32,
}

/// Where headers are read.
pub trait Source {
    /// The header at `offset`, or `None` if the packet ends before its end. Who cannot show it in its
    /// place copies it to the room.
    fn read<T>(&self, offset: usize, room: &mut MaybeUninit<T>) -> Option<Header<T>>;
}

/// A header of type `T` which lies as a whole within the packet, or in a copy of its bytes. The type gives
/// the places of its fields and is never made.
pub struct Header<T> {
    at: usize,
    layout: PhantomData<T>,
}

impl Packet {
    #[inline(always)]
    pub fn new(start: usize, end: usize, len: u32) -> Self {
        Self { start, end, len }
    }

    /// The length of the whole packet in bytes, also of what is not directly accessible.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// The header at `offset`, or `None` if the packet ends before its end.
    #[inline(always)]
    pub fn header<T>(&self, offset: usize) -> Option<Header<T>> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        Some(Header {
            at,
            layout: PhantomData,
        })
    }
}

impl Source for Packet {
    #[inline(always)]
    fn read<T>(&self, offset: usize, _room: &mut MaybeUninit<T>) -> Option<Header<T>> {
        self.header(offset)
    }
}

impl<T> Header<T> {
    /// A header whose bytes were copied to the room.
    #[inline(always)]
    pub fn in_room(room: &mut MaybeUninit<T>) -> Self {
        Self {
            at: room.as_mut_ptr().expose_provenance(),
            layout: PhantomData,
        }
    }
}

/// Defines how fields of one size are read and written.
macro_rules! access {
    ($read:ident, $write:ident, $ty:ty, $load:literal, $store:literal) => {
        /// The field at `AT`, its bytes as they stand in the packet.
        #[inline(always)]
        pub fn $read<const AT: usize>(&self) -> $ty {
            const { assert!(AT + size_of::<$ty>() <= size_of::<T>()) };
            let value: u32;
            // SAFETY: the header lies within the packet and the field within the header. A load
            // leaves no other bits set than those of the field.
            unsafe {
                asm!(
                    $load,
                    value = out(wreg) value,
                    at = in(reg) self.at,
                    field = const AT,
                    options(pure, readonly, nostack, preserves_flags),
                );
                assert_unchecked(value <= <$ty>::MAX as u32);
            }
            value as $ty
        }

        /// Sets the field at `AT`, given as its bytes shall stand in the packet.
        #[inline(always)]
        pub fn $write<const AT: usize>(&self, value: $ty) {
            const { assert!(AT + size_of::<$ty>() <= size_of::<T>()) };
            // SAFETY: as for reading; nobody holds a reference into the packet.
            unsafe {
                asm!(
                    $store,
                    value = in(wreg) u32::from(value),
                    at = in(reg) self.at,
                    field = const AT,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

impl<T> Header<T> {
    access!(
        u8,
        set_u8,
        u8,
        "{value} = *(u8 *)({at} + {field})",
        "*(u8 *)({at} + {field}) = {value}"
    );
    access!(
        u16,
        set_u16,
        u16,
        "{value} = *(u16 *)({at} + {field})",
        "*(u16 *)({at} + {field}) = {value}"
    );
    access!(
        u32,
        set_u32,
        u32,
        "{value} = *(u32 *)({at} + {field})",
        "*(u32 *)({at} + {field}) = {value}"
    );
}
