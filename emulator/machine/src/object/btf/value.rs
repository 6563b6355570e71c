//! Values in words, by their types.

use super::types::Records;
use super::{Btf, Int, Kind, Member, Type, TypeId};

/// How deep values may be nested.
const MAX_DEPTH: u32 = 16;
/// How many parts a value may have.
const MAX_PARTS: usize = 256;

/// Names and values of the parts of a value, in order; of a plain value one without a name.
pub type Parts = Vec<(String, String)>;

impl Btf {
    /// A value in its parts: numbers as numbers, what is an `__be16`, `__be32` or `__be64` in the network's byte order,
    /// enumerators by name, bytes as hex digits, of a union the largest member. None where the type says nothing of the
    /// bytes.
    pub fn parts(&self, id: TypeId, bytes: &[u8]) -> Option<Parts> {
        let mut walk = Walk {
            btf: self,
            parts: Parts::new(),
        };
        walk.value(id, bytes, "", MAX_DEPTH)?;
        Some(walk.parts)
    }

    /// Whether a type is one of those that the kernel's headers have for numbers in the network's byte order.
    pub fn is_network_order(&self, mut id: TypeId) -> bool {
        for _ in 0..MAX_DEPTH {
            let Type { name, kind } = self.get(id);
            id = match kind {
                Kind::Typedef(_) if matches!(name, "__be16" | "__be32" | "__be64") => return true,
                Kind::Typedef(of)
                | Kind::Volatile(of)
                | Kind::Const(of)
                | Kind::Restrict(of)
                | Kind::TypeTag(of) => of,
                _ => return false,
            };
        }
        false
    }

    /// The enumerators of a type and the low bits of their values, as many as the type has; none of other types.
    pub fn enumerators(&self, id: TypeId) -> impl Iterator<Item = (&str, u64)> {
        let (narrow, wide) = match self.strip(id).1.kind {
            Kind::Enum { values, .. } => (Some(values), None),
            Kind::Enum64 { values, .. } => (None, Some(values)),
            _ => (None, None),
        };
        let narrow = narrow.into_iter().flat_map(Records::iter);
        let narrow = narrow.map(|value| (value.name, u64::from(value.value)));
        let wide = wide.into_iter().flat_map(Records::iter);
        let wide = wide.map(|value| (value.name, value.value));
        narrow
            .chain(wide)
            .map(|(name, value)| (self.string(name), value))
    }

    fn enumerator(&self, id: TypeId, number: u64) -> Option<String> {
        let (name, _) = self.enumerators(id).find(|(_, value)| *value == number)?;
        Some(name.to_owned())
    }
}

struct Walk<'a> {
    btf: &'a Btf,
    parts: Parts,
}

impl Walk<'_> {
    fn add(&mut self, name: &str, value: String) -> Option<()> {
        self.parts.push((name.to_owned(), value));
        (self.parts.len() <= MAX_PARTS).then_some(())
    }

    fn value(&mut self, id: TypeId, bytes: &[u8], name: &str, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let size = self.btf.size_of(id)? as usize;
        if size != bytes.len() {
            return None;
        }
        if self.btf.is_network_order(id) {
            let number = number(bytes.iter().rev())?;
            return self.add(name, unsigned(number, size));
        }
        match self.btf.strip(id).1.kind {
            Kind::Int(int) => {
                let number = number(bytes.iter())?;
                self.add(name, integer(int, number, 8 * size as u32))
            }
            Kind::Enum { .. } | Kind::Enum64 { .. } => {
                let number = number(bytes.iter())?;
                let text = self.btf.enumerator(id, number);
                self.add(name, text.unwrap_or_else(|| number.to_string()))
            }
            Kind::Pointer(_) => self.add(name, format!("{:#x}", number(bytes.iter())?)),
            Kind::Float { size: 4 } => {
                self.add(name, f32::from_le_bytes(bytes.try_into().ok()?).to_string())
            }
            Kind::Float { size: 8 } => {
                self.add(name, f64::from_le_bytes(bytes.try_into().ok()?).to_string())
            }
            Kind::Array { element, .. } => self.array(element, bytes, name, depth),
            Kind::Struct(composite) => composite
                .members()
                .try_for_each(|member| self.member(member, bytes, name, depth)),
            Kind::Union(composite) => {
                let size = |member: &Member<'_>| self.btf.size_of(member.of);
                // The first one of the largest.
                let member = composite.members().fold(None, |most, member| match most {
                    Some(most) if size(&most) >= size(&member) => Some(most),
                    _ => Some(member),
                });
                self.member(member?, bytes, name, depth)
            }
            _ => None,
        }
    }

    fn array(&mut self, element: TypeId, bytes: &[u8], name: &str, depth: u32) -> Option<()> {
        let size = self.btf.size_of(element)? as usize;
        match self.btf.strip(element).1.kind {
            Kind::Int(Int { size: 1, .. }) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                self.add(name, digits)
            }
            _ => {
                let mut elements = bytes.chunks(size.max(1)).enumerate();
                elements.try_for_each(|(index, bytes)| {
                    self.value(element, bytes, &format!("{name}[{index}]"), depth)
                })
            }
        }
    }

    fn member(&mut self, member: Member<'_>, bytes: &[u8], name: &str, depth: u32) -> Option<()> {
        let name = match (name, member.name) {
            (name, "") => name.to_owned(),
            ("", member) => member.to_owned(),
            (name, member) => format!("{name}.{member}"),
        };
        if member.bit_size > 0 {
            let mut bits = (member.bit_offset..member.bit_offset + member.bit_size).rev();
            let number = bits.try_fold(0u64, |number, bit| {
                let byte = bytes.get(bit as usize / 8)?;
                Some(number << 1 | u64::from(byte >> (bit % 8) & 1))
            })?;
            let text = match self.btf.strip(member.of).1.kind {
                Kind::Int(int) => integer(int, number, member.bit_size),
                _ => self
                    .btf
                    .enumerator(member.of, number)
                    .unwrap_or_else(|| number.to_string()),
            };
            return self.add(&name, text);
        }
        let start = member.bit_offset as usize / 8;
        let size = self.btf.size_of(member.of)? as usize;
        self.value(member.of, bytes.get(start..start + size)?, &name, depth)
    }
}

/// The number of bytes that come with the lowest first.
fn number<'a>(bytes: impl DoubleEndedIterator<Item = &'a u8> + ExactSizeIterator) -> Option<u64> {
    let fits = bytes.len() <= size_of::<u64>();
    fits.then(|| {
        bytes
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

/// A number in the network's byte order: a port in decimal, an address in hex.
fn unsigned(number: u64, size: usize) -> String {
    match size {
        2 => number.to_string(),
        _ => format!("{number:#0width$x}", width = 2 + 2 * size),
    }
}

fn integer(int: Int, number: u64, bits: u32) -> String {
    if int.is_bool {
        return (number != 0).to_string();
    }
    if int.signed {
        let unused = 64 - bits.clamp(1, 64);
        return ((number << unused).cast_signed() >> unused).to_string();
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use crate::Object;

    /// A key of `struct flow`, a key of an LPM trie, a counter for each CPU.
    #[test]
    fn values_are_told_by_their_types() {
        let object = include_bytes!("../../../../node/tests/objects/policy.bpf.o");
        let object = Object::parse(object).expect("an object");
        let btf = object.btf().expect("types");
        let told = |map: &str, key: &[u8], value: &[u8]| {
            let place = object.maps().iter().position(|def| def.name == map);
            let types = object.map_types(place.expect(map)).expect("types");
            let line = |id, bytes| {
                let parts = btf.parts(id, bytes)?;
                let parts = parts.iter().map(|(name, value)| format!("{name} {value}"));
                Some(parts.collect::<Vec<_>>().join(", "))
            };
            (line(types.0, key), line(types.1, value))
        };
        let bytes: Vec<u8> = (1..=16).collect();
        let config = btf
            .types()
            .find(|(_, of)| of.name == "config")
            .map(|(id, _)| id);
        insta::assert_debug_snapshot!([
            told("metrics", &bytes[..4], &bytes),
            told("connections", &bytes, &bytes),
            told("identities", &bytes[..8], &bytes[..4]),
            told("identities", &bytes[..7], &[]),
            (
                config.map(|id| format!("{:?}", btf.parts(id, &bytes[..8]))),
                None
            ),
        ]);
    }
}
