//! The loads and stores of most instructions: what an object or a frame allows as a whole.
#![allow(unsafe_code)] // An access is checked once, against its object.

use std::ptr::NonNull;

use super::stack::Life;
use super::{Checked, FRAME_SIZE, FieldValue, Frame, Memory, ObjectKind, Pointer};

impl Memory {
    /// Loads `N` bytes, little-endian, zero-extended; none where that takes a closer look
    /// ([`Memory::load_special`]).
    #[inline(always)]
    pub(crate) fn load_plain<const N: usize>(&self, pointer: u64) -> Option<u64> {
        let pointer = Pointer(pointer);
        let object = self.objects.get(pointer.tag().0 as usize)?;
        let offset = pointer.address().wrapping_sub(object.base);
        if u64::from(offset) + N as u64 <= u64::from(object.readable) {
            // SAFETY: what an object lets be read is in the arena, see `Memory::admit`.
            Some(unsafe { self.fetch::<N>(pointer.address()) })
        } else {
            None
        }
    }

    /// Loads a whole field, of those at the start of a structure; none where that takes a closer look too.
    #[inline(always)]
    pub(crate) fn load_field<const N: usize>(&self, pointer: u64) -> Option<u64> {
        let pointer = Pointer(pointer);
        let object = self.objects.get(pointer.tag().0 as usize)?;
        let ObjectKind::Struct(layout) = object.kind else {
            return None;
        };
        let field = layout.nth_word(pointer.address().wrapping_sub(object.base))?;
        let whole = usize::from(field.size) == N && field.read.contains(N as u32);
        if !whole || !self.arena.contains(pointer.address(), N as u32) {
            return None;
        }
        // SAFETY: the bytes are in the arena, as was just checked.
        let value = unsafe { self.fetch::<N>(pointer.address()) };
        match field.value {
            FieldValue::Plain => Some(value),
            FieldValue::Packet => Some(Pointer::new(self.scope.packet, value as u32).0),
            _ => None,
        }
    }

    /// Stores the low `N` bytes of `value`, little-endian; none where that takes a closer look
    /// ([`Memory::store_special`]).
    #[inline(always)]
    pub(crate) fn store_plain<const N: usize>(&mut self, pointer: u64, value: u64) -> Option<()> {
        let pointer = Pointer(pointer);
        let object = self.objects.get(pointer.tag().0 as usize)?;
        let offset = pointer.address().wrapping_sub(object.base);
        if u64::from(offset) + N as u64 <= u64::from(object.writable) {
            // SAFETY: what an object lets be written is in the arena, see `Memory::admit`.
            unsafe { self.put::<N>(pointer.address(), value) };
            Some(())
        } else {
            None
        }
    }

    /// Loads `N` bytes as an instruction does.
    pub(crate) fn load<const N: usize>(&mut self, pointer: u64, at: u32) -> Checked<u64> {
        match self.load_plain::<N>(pointer) {
            Some(value) => Ok(value),
            None => self.load_special::<N>(pointer, at),
        }
    }

    /// Stores the low `N` bytes of `value` as an instruction does.
    pub(crate) fn store<const N: usize>(
        &mut self,
        pointer: u64,
        value: u64,
        at: u32,
    ) -> Checked<()> {
        match self.store_plain::<N>(pointer, value) {
            Some(()) => Ok(()),
            None => self.store_special::<N>(pointer, value, at),
        }
    }

    /// The bytes of a frame, for as long as the memory stands.
    #[inline]
    pub(crate) fn view(&mut self, frame: Frame) -> View {
        let offset = (frame.base - self.arena.base()) as usize;
        assert!(offset + FRAME_SIZE as usize <= self.arena.len());
        View {
            // SAFETY: the frame is in the arena, as was just checked.
            bytes: unsafe { self.arena.start().add(offset) },
            life: self.stack.life(frame.slot),
        }
    }

    /// # Safety
    /// The bytes are in the arena.
    #[inline(always)]
    unsafe fn fetch<const N: usize>(&self, address: u32) -> u64 {
        let mut bytes = [0; 8];
        // SAFETY: the caller's promise.
        bytes[..N].copy_from_slice(&unsafe { self.arena.read::<N>(address) });
        u64::from_le_bytes(bytes)
    }

    /// # Safety
    /// The bytes are in the arena.
    #[inline(always)]
    unsafe fn put<const N: usize>(&mut self, address: u32, value: u64) {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&value.to_le_bytes()[..N]);
        // SAFETY: the caller's promise.
        unsafe { self.arena.write(address, bytes) };
    }
}

/// The current frame, without the way there through [`Memory`].
#[derive(Clone, Copy)]
pub(crate) struct View {
    bytes: NonNull<u8>,
    life: Life,
}

impl View {
    /// Loads `N` bytes at a multiple of `N`, a distance from the frame's low end; none when one of them was
    /// never written.
    ///
    /// # Safety
    /// The memory that the view is of stands, and nobody has a reference to its bytes.
    #[inline(always)]
    pub(crate) unsafe fn load<const N: usize>(self, offset: u32) -> Option<u64> {
        let offset = (offset % FRAME_SIZE) as usize / N * N;
        // SAFETY: the distance is below the frame's size; the rest is the caller's promise.
        unsafe {
            let marks = self.life.marks.add(offset).cast::<[u8; N]>().read();
            if marks != self.mark() {
                return None;
            }
            let mut bytes = [0; 8];
            bytes[..N].copy_from_slice(&self.bytes.add(offset).cast::<[u8; N]>().read());
            Some(u64::from_le_bytes(bytes))
        }
    }

    /// Stores the low `N` bytes of `value`, likewise.
    ///
    /// # Safety
    /// As for [`View::load`].
    #[inline(always)]
    pub(crate) unsafe fn store<const N: usize>(self, offset: u32, value: u64) {
        let offset = (offset % FRAME_SIZE) as usize / N * N;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&value.to_le_bytes()[..N]);
        // SAFETY: as in `View::load`.
        unsafe {
            let marks = self.life.marks.add(offset).cast::<[u8; N]>();
            marks.write(self.mark());
            self.bytes.add(offset).cast::<[u8; N]>().write(bytes);
        }
    }

    /// The marks of `N` bytes that are written.
    #[inline(always)]
    fn mark<const N: usize>(self) -> [u8; N] {
        let mut marks = [0; N];
        marks.copy_from_slice(&self.life.mark.to_ne_bytes()[..N]);
        marks
    }
}
