//! Maps by their raw bytes.
#![allow(
    unsafe_code,
    reason = "aya's maps are typed by their keys and values; here both are known at run time only"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_map_info, bpf_map_type};

use super::bpf::{bpf, bpf_fd, object_name};

/// A map of the kernel. An element's stored bytes are its value, or in a per-CPU map the values of all possible
/// CPUs, each padded to [`Map::cpu_stride`]. Keys and values are the bytes that a program sees.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    shape: MapShape,
    /// How many values an element has: one, or one for each possible CPU.
    copies: usize,
}

/// What a map is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// A number of `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value; in a per-CPU map, in the value of one CPU.
    pub value_size: u32,
    /// The map's capacity; what it counts depends on the kind.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Create {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; 16],
    ifindex: u32,
    /// `btf_fd` and the numbers of the types of key, value and structure in it.
    types: [u32; 4],
    extra: u64,
}

#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Info {
    fd: u32,
    length: u32,
    info: u64,
}

impl MapShape {
    /// Whether each CPU has a value of its own.
    pub fn is_per_cpu(&self) -> bool {
        [
            bpf_map_type::BPF_MAP_TYPE_PERCPU_HASH,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
        ]
        .iter()
        .any(|kind| *kind as u32 == self.kind)
    }

    /// Values of an element.
    fn copies(&self) -> io::Result<usize> {
        if !self.is_per_cpu() {
            return Ok(1);
        }
        aya::util::nr_cpus().map_err(|(_, error)| error)
    }
}

impl Map {
    /// Makes a map.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn create(name: &str, shape: MapShape) -> io::Result<Self> {
        Self::create_with(name, shape, None, 0)
    }

    /// Makes a map with a map like those that it will hold, if it is a map of maps, and `map_extra`, which is the
    /// number of hash functions of a bloom filter.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn create_with(
        name: &str,
        shape: MapShape,
        inner: Option<BorrowedFd<'_>>,
        extra: u64,
    ) -> io::Result<Self> {
        let mut attr = Create {
            kind: shape.kind,
            key_size: shape.key_size,
            value_size: shape.value_size,
            max_entries: shape.max_entries,
            flags: shape.flags,
            inner_map_fd: inner.map_or(0, |inner| inner.as_raw_fd() as u32),
            name: object_name(name),
            extra,
            ..Create::default()
        };
        // SAFETY: `Create` is the beginning of the command's part of `bpf_attr` and holds no pointers.
        let fd = unsafe { bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)? };
        let copies = shape.copies()?;
        Ok(Self { fd, shape, copies })
    }

    /// Takes a map that was made elsewhere.
    ///
    /// # Errors
    /// When the descriptor is not a map's.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the structure is made of integers and an array of them, for which zeroes are valid.
        let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
        let mut attr = Info {
            fd: fd.as_raw_fd() as u32,
            length: size_of::<bpf_map_info>() as u32,
            info: std::ptr::from_mut(&mut info) as u64,
        };
        // SAFETY: `info` is writable for the length that is passed along.
        unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)? };
        let shape = MapShape {
            kind: info.type_,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.map_flags,
        };
        let copies = shape.copies()?;
        Ok(Self { fd, shape, copies })
    }

    /// Closes the map for user space, so that the verifier takes what programs cannot write for constants.
    ///
    /// # Errors
    /// The kernel's.
    pub fn freeze(&self) -> io::Result<()> {
        let mut attr = Element {
            map_fd: self.fd.as_raw_fd() as u32,
            ..Element::default()
        };
        // SAFETY: the command reads the descriptor and wants zeroes in the rest.
        unsafe { bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }.map(drop)
    }

    /// What the map was made with.
    pub fn shape(&self) -> MapShape {
        self.shape
    }

    /// Bytes that the system call reads or writes for one element.
    pub fn stored_size(&self) -> usize {
        self.cpu_stride() * self.copies
    }

    /// Bytes from one CPU's value to the next in an element's stored bytes.
    pub fn cpu_stride(&self) -> usize {
        let size = self.shape.value_size as usize;
        if self.shape.is_per_cpu() {
            size.next_multiple_of(8)
        } else {
            size
        }
    }

    fn element(&self, key: Option<&[u8]>) -> Element {
        if let Some(key) = key {
            assert_eq!(key.len(), self.shape.key_size as usize, "key size");
        }
        Element {
            map_fd: self.fd.as_raw_fd() as u32,
            key: key.map_or(0, |key| key.as_ptr() as u64),
            ..Element::default()
        }
    }

    /// The stored bytes of an element: [`Map::stored_size`] of them.
    ///
    /// # Errors
    /// The kernel's, except that an element which is not there is `None`.
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.stored_size()];
        let mut attr = Element {
            value: value.as_mut_ptr() as u64,
            ..self.element(Some(key))
        };
        // SAFETY: key and value have the map's sizes; the kernel reads the one and writes the other.
        match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) } {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an element's stored bytes.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// When the key has not the map's key size, or the value not its [`Map::stored_size`].
    pub fn update(&self, key: &[u8], stored: &[u8], flags: u64) -> io::Result<()> {
        assert_eq!(stored.len(), self.stored_size(), "value size");
        let mut attr = Element {
            value: stored.as_ptr() as u64,
            flags,
            ..self.element(Some(key))
        };
        // SAFETY: key and value have the map's sizes and are only read.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// Removes an element.
    ///
    /// # Errors
    /// The kernel's, `ENOENT` for an element which is not there.
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        let mut attr = self.element(Some(key));
        // SAFETY: the key has the map's size and is only read.
        unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) }.map(drop)
    }

    /// The key after the given one, or the first; `None` behind the last.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut next = vec![0; self.shape.key_size as usize];
        let mut attr = Element {
            value: next.as_mut_ptr() as u64,
            ..self.element(key)
        };
        // SAFETY: both keys have the map's size; the kernel reads the first and writes the second.
        match unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) } {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads up to `count` elements of an array from `position` on, which is moved behind them; `None` when
    /// the array is read to its end. Answers with the stored bytes of element after element.
    ///
    /// # Errors
    /// The kernel's, `ENOTSUP` where the kind of map has no batches.
    pub fn array_batch(
        &self,
        position: &mut Option<u32>,
        count: usize,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut out = 0u32;
        let start = *position;
        let mut keys = vec![0u32; count];
        let mut values = vec![0; count * self.stored_size()];
        assert_eq!(self.shape.key_size, 4, "an array's key size");
        let mut attr = Batch {
            in_batch: start
                .as_ref()
                .map_or(0, |start| std::ptr::from_ref(start) as u64),
            out_batch: std::ptr::from_mut(&mut out) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: count as u32,
            map_fd: self.fd.as_raw_fd() as u32,
            ..Batch::default()
        };
        // SAFETY: keys and values have room for `count` elements of the map's sizes, and the positions are
        // keys of four bytes.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        values.truncate(attr.count as usize * self.stored_size());
        match result {
            Ok(_) => {
                *position = Some(out);
                Ok(Some(values))
            }
            // The end was reached; what was read up to it stands in the buffers.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                *position = None;
                Ok((!values.is_empty()).then_some(values))
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
