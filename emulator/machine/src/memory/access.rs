//! Checked loads and stores: the program's own, and those of helpers on its behalf.

use super::object::ObjectKind;
use super::stack::{FRAME_SIZE, UninitializedRead};
use super::{Field, FieldValue, Layout, Memory, Placement, Pointer, Tag, Widths};
use crate::fault::{Access, FaultKind};
use crate::helpers::HelperId;

/// The result of an access; the fault is boxed to keep the good path in registers.
pub type Checked<T> = Result<T, Box<FaultKind>>;

/// On whose behalf memory is accessed: the instruction, and the helper's argument if it is a helper's.
#[derive(Debug, Clone, Copy)]
pub struct By {
    /// The instruction.
    pub at: u32,
    /// The helper and which of its arguments, 1 to 5, the pointer was.
    pub argument: Option<(HelperId, u8)>,
}

impl By {
    /// The program's own load or store.
    pub(crate) const fn program(at: u32) -> Self {
        Self { at, argument: None }
    }
}

impl Memory {
    /// The `N` bytes at an address of the arena.
    #[inline]
    fn get<const N: usize>(&self, address: u32) -> u64 {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.raw(address, N as u32));
        u64::from_le_bytes(bytes)
    }

    /// Sets the `N` bytes at an address of the arena.
    fn set<const N: usize>(&mut self, address: u32, value: u64) {
        let bytes = value.to_le_bytes();
        self.raw_mut(address, N as u32).copy_from_slice(&bytes[..N]);
    }

    /// A load that [`Memory::load_plain`] leaves alone.
    #[inline(never)]
    pub(crate) fn load_special<const N: usize>(&mut self, pointer: u64, at: u32) -> Checked<u64> {
        let pointer = Pointer(pointer);
        if let Some(object) = self.objects.get(pointer.tag().0 as usize)
            && let ObjectKind::Struct(layout) = object.kind
        {
            let offset = pointer.address().wrapping_sub(object.base);
            return self.load_field_of::<N>(layout, object.base, offset);
        }
        let address = self.check_special(pointer, N as u32, Access::Read, By::program(at))?;
        Ok(self.get::<N>(address))
    }

    /// A store that [`Memory::store_plain`] leaves alone.
    #[inline(never)]
    pub(crate) fn store_special<const N: usize>(
        &mut self,
        pointer: u64,
        value: u64,
        at: u32,
    ) -> Checked<()> {
        let (pointer, by) = (Pointer(pointer), By::program(at));
        let object = self.object(pointer);
        let offset = pointer.address().wrapping_sub(object.base);
        match object.kind {
            ObjectKind::Struct(layout) => {
                let refused = || refused_field(layout, offset, N as u32, Access::Write);
                let field = layout.field_at(offset).ok_or_else(refused)?;
                if !field.write.contains(N as u32) || !field.covers(offset, N as u32) {
                    return Err(refused());
                }
                let value = match field.value {
                    FieldValue::Short(1) => value & 0xff,
                    FieldValue::Short(_) => value & 0xffff,
                    FieldValue::Queue if value as u32 >= 0xffff => return Ok(()),
                    FieldValue::Unsupported => return Err(unsupported(layout, field)),
                    _ => value,
                };
                self.set::<N>(pointer.address(), value);
                Ok(())
            }
            _ => {
                let address = self.check_special(pointer, N as u32, Access::Write, by)?;
                self.set::<N>(address, value);
                Ok(())
            }
        }
    }

    #[inline]
    fn load_field_of<const N: usize>(
        &mut self,
        layout: &'static Layout,
        base: u32,
        offset: u32,
    ) -> Checked<u64> {
        let refused = || refused_field(layout, offset, N as u32, Access::Read);
        let field = layout.field_at(offset).ok_or_else(refused)?;
        if !field.read.contains(N as u32) || !field.covers(offset, N as u32) {
            return Err(refused());
        }
        let value = self.get::<N>(base + offset);
        Ok(match field.value {
            FieldValue::Plain => value,
            FieldValue::Short(kept) if N < usize::from(kept) => value,
            FieldValue::Queue if N < 2 => value,
            FieldValue::Short(_) | FieldValue::Queue => {
                self.get::<4>(base + u32::from(field.offset))
            }
            FieldValue::Packet => Pointer::new(self.scope.packet, value as u32).0,
            FieldValue::Unsupported => return Err(unsupported(layout, field)),
            FieldValue::Object if value == 0 => 0,
            FieldValue::Object => {
                let address = value as u32;
                let tag = self.bound.iter().rev().find(|(at, _)| *at == address);
                Pointer::new(tag.map_or(Tag::NONE, |(_, tag)| *tag), address).0
            }
        })
    }

    /// Checks that all of a range may be accessed and returns its address.
    ///
    /// A range of no bytes is always accessible. Structures with field rules are not: their fields
    /// are accessed one by one.
    #[inline]
    pub(crate) fn check(
        &mut self,
        pointer: Pointer,
        len: u32,
        access: Access,
        by: By,
    ) -> Checked<u32> {
        let allowed = match access {
            Access::Read => self.readable(pointer, len),
            Access::Write => self.writable(pointer, len),
        };
        match allowed {
            Some(address) => Ok(address),
            None => self.check_special(pointer, len, access, by),
        }
    }

    /// The address of a range that an object lets be read as a whole, or of bytes on the stack that were written.
    #[inline(always)]
    pub(crate) fn readable(&self, pointer: Pointer, len: u32) -> Option<u32> {
        let object = self.objects.get(pointer.tag().0 as usize)?;
        let offset = pointer.address().wrapping_sub(object.base);
        let end = u64::from(offset) + u64::from(len);
        let readable = match object.kind {
            // What helpers read most is a key on the stack.
            ObjectKind::Frame(depth) => {
                let slot = self.stack.slot(depth as usize);
                end <= u64::from(FRAME_SIZE) && self.stack.is_written(slot, offset, len)
            }
            _ => end <= u64::from(object.readable),
        };
        (readable && len != 0).then_some(pointer.address())
    }

    /// The address of a range that an object lets be written as a whole.
    #[inline(always)]
    fn writable(&self, pointer: Pointer, len: u32) -> Option<u32> {
        let object = self.objects.get(pointer.tag().0 as usize)?;
        let offset = pointer.address().wrapping_sub(object.base);
        let end = u64::from(offset) + u64::from(len);
        (end <= u64::from(object.writable) && len != 0).then_some(pointer.address())
    }

    /// A range that no object allows as a whole.
    #[inline(never)]
    fn check_special(
        &mut self,
        pointer: Pointer,
        len: u32,
        access: Access,
        by: By,
    ) -> Checked<u32> {
        if len == 0 {
            // Wherever the pointer goes, null included: the address must be one of the arena's.
            return Ok(self.arena.base());
        }
        if self.placement == Placement::Identity && pointer.tag() == Tag::NONE {
            return self.check_native(pointer, len, access, by);
        }
        if let Some(object) = self.objects.get(pointer.tag().0 as usize)
            && let ObjectKind::Frame(depth) = object.kind
        {
            let offset = pointer.address().wrapping_sub(object.base);
            if u64::from(offset) + u64::from(len) <= u64::from(FRAME_SIZE) {
                let slot = self.stack.slot(depth as usize);
                match access {
                    Access::Write => self.stack.mark(slot, offset, len),
                    Access::Read if self.stack.is_written(slot, offset, len) => {}
                    Access::Read => {
                        self.uninitialized(self.frame(depth as usize), offset, len, by)?;
                    }
                }
                return Ok(pointer.address());
            }
        }
        Err(self.refused(pointer, len, access, by))
    }

    /// As [`Memory::check`] for a helper that may be given any number: none where the kernel finds that
    /// nothing can be read (`copy_from_kernel_nofault`).
    pub(crate) fn peek(&mut self, pointer: Pointer, len: u32, at: u32) -> Checked<Option<u32>> {
        let by = By::program(at);
        if self.placement == Placement::Identity {
            return Ok(self.check_native(pointer, len, Access::Read, by).ok());
        }
        match self.object(pointer).kind {
            ObjectKind::Nothing => Ok(None),
            _ => self.check(pointer, len, Access::Read, by).map(Some),
        }
    }

    /// Native pointers carry no object: all that can be checked is that the bytes are guest memory.
    fn check_native(&self, pointer: Pointer, len: u32, access: Access, by: By) -> Checked<u32> {
        let inside = pointer.address() >= self.arena.base()
            && u64::from(pointer.address()) + u64::from(len) <= u64::from(self.next);
        if inside {
            Ok(pointer.address())
        } else {
            Err(self.refused(pointer, len, access, by))
        }
    }

    #[cold]
    fn refused(&self, pointer: Pointer, size: u32, access: Access, by: By) -> Box<FaultKind> {
        const NULL_PAGE: u64 = 1 << 16;
        let near_null = pointer.0.wrapping_add(NULL_PAGE) < 2 * NULL_PAGE;
        Box::new(if near_null {
            FaultKind::Null {
                access,
                pointer,
                size,
                lookup: self.scope.last_null,
                argument: by.argument,
            }
        } else {
            FaultKind::Memory {
                access,
                pointer,
                size,
                object: self.object(pointer),
                argument: by.argument,
            }
        })
    }

    /// Bytes that were never written read as zero: the same on each run, unlike in the kernel.
    #[cold]
    fn uninitialized(&mut self, frame: Frame, offset: u32, len: u32, by: By) -> Checked<()> {
        let stack = &self.stack;
        let mut unwritten =
            (offset..offset + len).filter(|&byte| !stack.is_written(frame.slot, byte, 1));
        let first = unwritten.next().unwrap_or(offset);
        let size = 1 + unwritten
            .zip(first + 1..)
            .take_while(|(byte, next)| byte == next)
            .count() as u32;
        let from_fp = first as i32 - FRAME_SIZE as i32;
        if self.stack.policy == UninitializedRead::Fault {
            return Err(Box::new(FaultKind::Uninitialized {
                offset: from_fp,
                frame: frame.depth,
                size,
            }));
        }
        let own = &self.stack.warnings[self.scope.warnings..];
        if !own.iter().any(|(at, ..)| *at == by.at) {
            self.stack.warnings.push((by.at, from_fp, size));
        }
        for byte in offset..offset + len {
            if !self.stack.is_written(frame.slot, byte, 1) {
                self.set::<1>(frame.base + byte, 0);
            }
        }
        Ok(())
    }

    /// Loads from a frame where [`Memory::load_frame`] has found unwritten bytes.
    #[cold]
    pub(crate) fn load_unwritten<const N: usize>(
        &mut self,
        frame: Frame,
        offset: u32,
        at: u32,
    ) -> Checked<u64> {
        self.uninitialized(frame, offset, N as u32, By::program(at))?;
        Ok(self.get::<N>(frame.base + offset))
    }

    /// Says what reading unwritten stack does from now on.
    pub fn set_uninitialized_read(&mut self, policy: UninitializedRead) {
        self.stack.policy = policy;
    }

    /// Whether an instruction of this run has read unwritten stack.
    #[inline]
    pub(crate) fn has_warnings(&self) -> bool {
        self.stack.warnings.len() > self.scope.warnings
    }

    /// The instructions of this run that read unwritten stack: instruction, offset from the frame
    /// pointer, bytes.
    pub(crate) fn take_warnings(&mut self) -> impl Iterator<Item = (u32, i32, u32)> + '_ {
        self.stack.warnings.drain(self.scope.warnings..)
    }

    /// Begins the frame of a function at this call depth: nothing in it is written.
    #[inline]
    pub(crate) fn push_frame(&mut self, depth: usize) -> Frame {
        self.stack.clear(depth);
        self.scope.frames = depth + 1;
        let frame = self.frame(depth);
        let object = &mut self.objects[frame.tag.0 as usize];
        object.base = frame.base;
        object.kind = ObjectKind::Frame(frame.depth);
        frame
    }

    /// The frame at this call depth.
    #[inline]
    pub(crate) fn frame(&self, depth: usize) -> Frame {
        Frame {
            slot: self.stack.slot(depth),
            base: self.stack.frame(depth),
            tag: Tag::frame(self.stack.level(), depth),
            depth: depth as u32,
        }
    }

    /// Ends the frame at this call depth.
    #[inline]
    pub(crate) fn pop_frame(&mut self, depth: usize) {
        let tag = Tag::frame(self.stack.level(), depth);
        self.scope.frames = depth;
        self.objects[tag.0 as usize].kind = ObjectKind::Returned;
    }
}

/// A stack frame of a run. All of its bytes are in the arena.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Which of all frames it is.
    pub(super) slot: usize,
    /// The lowest address.
    pub(super) base: u32,
    tag: Tag,
    depth: u32,
}

impl Frame {
    /// The frame pointer: behind the frame's last byte.
    #[inline]
    pub(crate) fn pointer(self) -> Pointer {
        Pointer::new(self.tag, self.base + FRAME_SIZE)
    }
}

#[cold]
fn unsupported(layout: &Layout, field: &Field) -> Box<FaultKind> {
    let what = format!("field {} of {}", field.name, layout.name);
    Box::new(FaultKind::Unsupported(what))
}

#[cold]
fn refused_field(
    layout: &'static Layout,
    offset: u32,
    size: u32,
    access: Access,
) -> Box<FaultKind> {
    let field = layout.field_at(offset);
    let widths = field.map(|field| match access {
        Access::Read => field.read,
        Access::Write => field.write,
    });
    Box::new(FaultKind::Field {
        access,
        structure: layout.name,
        field: field.map(|field| field.name),
        offset,
        size,
        allowed: widths.unwrap_or(Widths::NONE),
    })
}
