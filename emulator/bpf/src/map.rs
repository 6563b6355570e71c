//! Maps by their raw bytes.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::btf::Types;
use super::call::{Command, address, address_mut, bpf, bpf_fd, object_name};
use super::cpu::possible_cpus;
use super::ids::{object_id, read_info};

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

/// All that a map can be made with.
#[derive(Debug)]
pub struct MapSource<'a> {
    /// What the kernel shows as its name.
    pub name: &'a str,
    /// Its type and sizes.
    pub shape: MapShape,
    /// `map_extra`: the number of hash functions of a bloom filter.
    pub extra: u64,
    /// Of a map of maps: a map like its inner ones.
    pub inner: Option<BorrowedFd<'a>>,
    /// What its keys and values are, which spin locks and socket storage need.
    pub types: Option<Types<'a>>,
}

#[repr(C)]
#[derive(Default)]
struct CreateAttr {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; 16],
    ifindex: u32,
    btf_fd: u32,
    btf_key_type: u32,
    btf_value_type: u32,
    btf_vmlinux_value_type: u32,
    extra: u64,
}

#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

const ARRAY: u32 = 2;
/// `PERCPU_HASH`, `PERCPU_ARRAY`, `LRU_PERCPU_HASH`, `PERCPU_CGROUP_STORAGE`
const PER_CPU: [u32; 4] = [5, 6, 10, 21];

impl MapShape {
    /// An array whose keys are indexes.
    pub fn array(value_size: u32, max_entries: u32) -> Self {
        Self {
            kind: ARRAY,
            key_size: 4,
            value_size,
            max_entries,
            flags: 0,
        }
    }

    /// Whether each CPU has a value of its own.
    pub fn is_per_cpu(&self) -> bool {
        PER_CPU.contains(&self.kind)
    }

    /// Values of an element.
    fn copies(&self) -> io::Result<usize> {
        if !self.is_per_cpu() {
            return Ok(1);
        }
        Ok(possible_cpus()? as usize)
    }
}

impl Map {
    /// Makes a map of which there is no more to say than its shape.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn create(name: &str, shape: MapShape) -> io::Result<Self> {
        Self::from_source(&MapSource {
            name,
            shape,
            extra: 0,
            inner: None,
            types: None,
        })
    }

    /// Makes a map.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn from_source(source: &MapSource<'_>) -> io::Result<Self> {
        let shape = source.shape;
        let mut attr = CreateAttr {
            kind: shape.kind,
            key_size: shape.key_size,
            value_size: shape.value_size,
            max_entries: shape.max_entries,
            flags: shape.flags,
            inner_map_fd: source.inner.map_or(0, |inner| inner.as_raw_fd() as u32),
            name: object_name(source.name),
            extra: source.extra,
            ..CreateAttr::default()
        };
        if let Some(types) = &source.types {
            attr.btf_fd = types.btf.as_raw_fd() as u32;
            attr.btf_key_type = types.key;
            attr.btf_value_type = types.value;
        }
        // SAFETY: `CreateAttr` is the beginning of the command's part of `bpf_attr` and holds no pointers.
        let fd = unsafe { bpf_fd(Command::MapCreate, &mut attr)? };
        let copies = shape.copies()?;
        Ok(Self { fd, shape, copies })
    }

    /// Takes a map that was made elsewhere.
    ///
    /// # Errors
    /// When the descriptor is not a map's.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // The words of `struct bpf_map_info` begin with type, id, key size, value size, entries and flags.
        let mut info = [0; 24];
        read_info(fd.as_fd(), &mut info)?;
        let (words, _) = info.as_chunks::<4>();
        let word = |nth: usize| u32::from_ne_bytes(words[nth]);
        let shape = MapShape {
            kind: word(0),
            key_size: word(2),
            value_size: word(3),
            max_entries: word(4),
            flags: word(5),
        };
        let copies = shape.copies()?;
        Ok(Self { fd, shape, copies })
    }

    /// What the map was made with.
    pub fn shape(&self) -> MapShape {
        self.shape
    }

    /// The kernel's number of the map.
    ///
    /// # Errors
    /// The kernel's.
    pub fn id(&self) -> io::Result<u32> {
        object_id(self.as_fd())
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

    fn element(&self, key: &[u8]) -> ElementAttr {
        assert_eq!(key.len(), self.shape.key_size as usize, "key size");
        ElementAttr {
            map_fd: self.as_raw_fd() as u32,
            key: address(key),
            ..ElementAttr::default()
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
        self.read(Command::MapLookup, key)
    }

    /// Looks an element up and removes it.
    ///
    /// # Errors
    /// As [`Map::lookup`].
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn take(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.read(Command::MapTake, key)
    }

    fn read(&self, command: Command, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.stored_size()];
        let mut attr = ElementAttr {
            value: address_mut(&mut value),
            ..self.element(key)
        };
        // SAFETY: key and value have the map's sizes; the kernel reads the one and writes the other.
        found(unsafe { bpf(command, &mut attr) }, value)
    }

    /// Whether a bloom filter may hold a value.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// When the value has not the map's value size.
    pub fn contains(&self, value: &[u8]) -> io::Result<bool> {
        assert_eq!(value.len(), self.stored_size(), "value size");
        let mut value = value.to_vec();
        let mut attr = ElementAttr {
            value: address_mut(&mut value),
            ..self.element(&[])
        };
        // SAFETY: the value has the map's size and is writable.
        let found = found(unsafe { bpf(Command::MapLookup, &mut attr) }, ())?;
        Ok(found.is_some())
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
        let mut attr = ElementAttr {
            value: address(stored),
            flags,
            ..self.element(key)
        };
        // SAFETY: key and value have the map's sizes and are only read.
        unsafe { bpf(Command::MapUpdate, &mut attr) }.map(drop)
    }

    /// Removes an element.
    ///
    /// # Errors
    /// The kernel's, `ENOENT` for an element which is not there.
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        let mut attr = self.element(key);
        // SAFETY: the key has the map's size and is only read.
        unsafe { bpf(Command::MapDelete, &mut attr) }.map(drop)
    }

    /// The key after the given one, or the first; `None` behind the last.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// When the key has not the map's key size.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let size = self.shape.key_size as usize;
        // The kernel wants a place for the key of maps that have none too.
        let mut next = vec![0; size.max(8)];
        let element = match key {
            Some(key) => self.element(key),
            None => ElementAttr {
                map_fd: self.as_raw_fd() as u32,
                ..ElementAttr::default()
            },
        };
        let mut attr = ElementAttr {
            value: address_mut(&mut next),
            ..element
        };
        // SAFETY: both keys have the map's size; the kernel reads the first and writes the second.
        let result = unsafe { bpf(Command::MapNextKey, &mut attr) };
        next.truncate(size);
        found(result, next)
    }

    /// All keys, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        while let Some(next) = self.next_key(keys.last().map(Vec::as_slice))? {
            keys.push(next);
        }
        Ok(keys)
    }

    /// Ends that user space writes to the map.
    ///
    /// # Errors
    /// The kernel's.
    pub fn freeze(&self) -> io::Result<()> {
        let mut fd = self.as_raw_fd() as u32;
        // SAFETY: the descriptor is the command's part of `bpf_attr`.
        unsafe { bpf(Command::MapFreeze, &mut fd) }.map(drop)
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
        assert_eq!(self.shape.key_size, 4, "an array's key size");
        let start = position.map(u32::to_ne_bytes);
        let mut out = [0; 4];
        let mut keys = vec![0; 4 * count];
        let mut values = vec![0; count * self.stored_size()];
        let mut attr = BatchAttr {
            in_batch: start.as_ref().map_or(0, |start| address(start)),
            out_batch: address_mut(&mut out),
            keys: address_mut(&mut keys),
            values: address_mut(&mut values),
            count: count as u32,
            map_fd: self.as_raw_fd() as u32,
            ..BatchAttr::default()
        };
        // SAFETY: keys and values have room for `count` elements of the map's sizes, and the positions are
        // keys of four bytes.
        let result = unsafe { bpf(Command::MapLookupBatch, &mut attr) };
        values.truncate(attr.count as usize * self.stored_size());
        match found(result, ())? {
            Some(()) => {
                *position = Some(u32::from_ne_bytes(out));
                Ok(Some(values))
            }
            // The end was reached; what was read up to it stands in the buffers.
            None => {
                *position = None;
                Ok((!values.is_empty()).then_some(values))
            }
        }
    }
}

/// What was found; nothing for an element that is not there.
fn found<T>(result: io::Result<libc::c_long>, value: T) -> io::Result<Option<T>> {
    match result {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
