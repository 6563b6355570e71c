//! What a scenario says for a key, a value or a variable, as bytes: by the type that the object has for the place.

use std::net::IpAddr;
use std::ops::Range;

use twinpath_machine::object::btf::{Btf, Composite, Int, Kind, Member, TypeId};
use twinpath_node::Ifindex;

use super::bytes::Bytes;
use super::error::Problem;
use super::literal::{Literal, parse_hex};
use super::source::Located;

/// Finds the interface index of a device.
pub type Devices<'a> = &'a dyn Fn(&str) -> Option<Ifindex>;

/// A place for bytes.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// In words: "a key of map `ports`".
    what: String,
    /// Names of members and indexes that lead here.
    path: String,
    size: usize,
    of: Option<(&'a Btf, TypeId)>,
}

/// The bytes of a place, and which of their bits were said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// As many as the place has; what was not said is zero.
    pub bytes: Vec<u8>,
    /// As many; a bit is set where one was said.
    pub said: Vec<u8>,
}

impl Encoded {
    /// Clears what was not said in a value of the same place.
    pub fn keep_said(&self, value: &mut [u8]) {
        for (byte, said) in value.iter_mut().zip(&self.said) {
            *byte &= said;
        }
    }
}

/// Something that has no bytes for its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where in the file it stands.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub problem: Problem,
}

impl<'a> Place<'a> {
    /// A place of `size` bytes; `of` is its type, where the object tells it.
    pub fn new(what: impl Into<String>, size: usize, of: Option<(&'a Btf, TypeId)>) -> Self {
        Self {
            what: what.into(),
            path: String::new(),
            size,
            of: of.filter(|(btf, id)| btf.size_of(*id) == u32::try_from(size).ok()),
        }
    }

    /// The bytes that a value is here.
    ///
    /// # Errors
    /// When the value does not fit, or names a member, an enumerator, a literal or a device that there is not.
    pub fn encode(&self, value: &Located<Bytes>, devices: Devices<'_>) -> Result<Encoded, Misfit> {
        let mut encoder = Encoder {
            devices,
            encoded: Encoded {
                bytes: vec![0; self.size],
                said: vec![0; self.size],
            },
        };
        encoder.value(value, self, 0)?;
        Ok(encoder.encoded)
    }

    fn inside(&self, path: String, of: TypeId) -> Option<Self> {
        let (btf, _) = self.of?;
        Some(Self {
            what: format!("`{path}`"),
            path,
            size: btf.size_of(of)? as usize,
            of: Some((btf, of)),
        })
    }

    fn kind(&self) -> Kind<'a> {
        self.of.map_or(Kind::Void, |(btf, id)| btf.strip(id).1.kind)
    }

    fn composite(&self) -> Option<(&'a Btf, Composite<'a>)> {
        match (self.of?, self.kind()) {
            ((btf, _), Kind::Struct(composite) | Kind::Union(composite)) => Some((btf, composite)),
            _ => None,
        }
    }

    /// The type of its elements and how many there are, if it is an array.
    fn elements(&self) -> Option<(TypeId, usize)> {
        match self.kind() {
            Kind::Array { element, len, .. } => Some((element, len as usize)),
            _ => None,
        }
    }

    /// Whether it is an array of bytes.
    fn is_bytes(&self) -> bool {
        let element = self.of.zip(self.elements());
        element.is_some_and(|((btf, _), (element, _))| {
            matches!(btf.strip(element).1.kind, Kind::Int(Int { size: 1, .. }))
        })
    }

    fn size_problem(&self, found: usize) -> Problem {
        Problem::new(
            format!("these are {found} bytes"),
            format!("expected {} bytes: the size of {}", self.size, self.what),
        )
    }

    fn range_problem(&self, number: i128) -> Problem {
        Problem::new(
            format!("{number} does not fit"),
            format!(
                "expected a number of {} bytes: the size of {}",
                self.size, self.what
            ),
        )
    }

    /// The number of an enumerator of this name; none where it is no enumeration.
    fn enumerator(&self, name: &str) -> Option<Result<u64, Problem>> {
        let (btf, id) = self.of?;
        let known: Vec<(&str, u64)> = btf.enumerators(id).collect();
        let found = known.iter().find(|(known, _)| *known == name);
        let unknown = || Problem::unknown("enumerator", name, known.iter().map(|(name, _)| *name));
        (!known.is_empty()).then(|| found.map(|(_, value)| *value).ok_or_else(unknown))
    }
}

struct Encoder<'a> {
    devices: Devices<'a>,
    encoded: Encoded,
}

impl Encoder<'_> {
    /// Says bytes from a place's first on.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let place = at..at + bytes.len();
        self.encoded.bytes[place.clone()].copy_from_slice(bytes);
        self.encoded.said[place].fill(0xff);
    }

    fn value(
        &mut self,
        value: &Located<Bytes>,
        place: &Place<'_>,
        at: usize,
    ) -> Result<(), Misfit> {
        let bytes = match value.value() {
            Bytes::Table(entries) => match (literal(entries, place), place.composite()) {
                (false, Some((btf, composite))) => {
                    return self.members(entries, place, btf, composite, at);
                }
                (false, None) if entries.len() != 1 => Err(Problem::new(
                    format!("{} has no members that the object tells of", place.what),
                    "expected a number, hex digits, a literal such as `{ be16 = 80 }`, or a list of these two",
                )),
                _ => self.literals(value).and_then(|bytes| match bytes {
                    Some(bytes) => sized(bytes, place, is_text(entries)),
                    None => Err(place.size_problem(0)),
                }),
            },
            Bytes::List(items) => match (self.literals(value), place.elements()) {
                (Ok(Some(bytes)), _) if bytes.len() == place.size => Ok(bytes),
                (_, Some((element, len))) => {
                    return self.array(items, place, (element, len), at, value);
                }
                (Ok(Some(bytes)), None) => Err(place.size_problem(bytes.len())),
                (Ok(None), None) => Err(Problem::new(
                    "a number in a list has no width",
                    "expected one such as { u32 = 5 }",
                )),
                (Err(problem), None) => Err(problem),
            },
            Bytes::Number(number) => integer(*number, place),
            Bytes::Text(text) => match place.enumerator(text) {
                Some(Ok(number)) => integer(number.into(), place),
                Some(Err(problem)) if parse_hex(text).is_none() => Err(problem),
                _ => texts(text).and_then(|texts| {
                    let right = texts.iter().position(|bytes| bytes.len() == place.size);
                    let mut texts = texts.into_iter();
                    let bytes = texts.nth(right.unwrap_or(0)).unwrap_or_default();
                    sized(bytes, place, false)
                }),
            },
        };
        let bytes = bytes.map_err(|problem| Misfit {
            span: value.span(),
            problem,
        })?;
        self.put(at, &bytes);
        Ok(())
    }

    /// What literals, hex digits and lists of them are together; none if there is something else among them.
    fn literals(&self, value: &Bytes) -> Result<Option<Vec<u8>>, Problem> {
        let mut bytes = Vec::new();
        match value {
            Bytes::Number(_) => return Ok(None),
            Bytes::Text(text) => bytes.extend(texts(text)?.into_iter().next().unwrap_or_default()),
            Bytes::List(items) => {
                for item in items {
                    let Some(part) = self.literals(item)? else {
                        return Ok(None);
                    };
                    bytes.extend(part);
                }
            }
            Bytes::Table(entries) => match entries.as_slice() {
                [(name, value)] => {
                    Literal::read(name, value)?.encode(self.devices, &mut bytes)?;
                }
                _ => return Ok(None),
            },
        }
        Ok(Some(bytes))
    }

    fn array(
        &mut self,
        items: &[Located<Bytes>],
        place: &Place<'_>,
        (element, len): (TypeId, usize),
        at: usize,
        list: &Located<Bytes>,
    ) -> Result<(), Misfit> {
        if items.len() > len {
            return Err(Misfit {
                span: list.span(),
                problem: Problem::new(
                    format!("these are {} elements", items.len()),
                    format!("expected {len} at most: {} has no more", place.what),
                ),
            });
        }
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", place.path);
            let Some(inside) = place.inside(path, element) else {
                continue;
            };
            self.value(item, &inside, at + index * inside.size)?;
        }
        Ok(())
    }

    fn members(
        &mut self,
        entries: &[(Located<String>, Located<Bytes>)],
        place: &Place<'_>,
        btf: &Btf,
        composite: Composite<'_>,
        at: usize,
    ) -> Result<(), Misfit> {
        let known = members(btf, composite, 0);
        let mut taken: Vec<(Range<u32>, &str)> = Vec::new();
        for (name, value) in entries {
            let misfit = |problem| Misfit {
                span: name.span(),
                problem,
            };
            let Some(member) = known.iter().find(|member| member.name == name.value()) else {
                let known = known.iter().map(|member| member.name);
                return Err(misfit(Problem::unknown("member", name, known)));
            };
            let path = match place.path.as_str() {
                "" => name.value().clone(),
                path => format!("{path}.{}", name.value()),
            };
            let Some(inside) = place.inside(path, member.of) else {
                let what = format!("the object does not tell the size of `{}`", name.value());
                return Err(misfit(Problem::new(what, "expected another member")));
            };
            let width = match member.bit_size {
                0 => 8 * inside.size as u32,
                bits => bits,
            };
            let bits = member.bit_offset..member.bit_offset + width;
            let shared = taken
                .iter()
                .find(|(other, _)| other.start < bits.end && bits.start < other.end);
            if let Some((_, other)) = shared {
                let what = format!("`{other}` and `{}` are members of a union", name.value());
                return Err(misfit(Problem::new(what, "expected one of the two")));
            }
            taken.push((bits.clone(), name.value()));
            match member.bit_size {
                0 => self.value(value, &inside, at + bits.start as usize / 8)?,
                _ => self.bit_field(value, &inside, at, bits)?,
            }
        }
        Ok(())
    }

    fn bit_field(
        &mut self,
        value: &Located<Bytes>,
        place: &Place<'_>,
        at: usize,
        bits: Range<u32>,
    ) -> Result<(), Misfit> {
        let width = bits.end - bits.start;
        let problem = |what: String| Misfit {
            span: value.span(),
            problem: Problem::new(
                what,
                format!(
                    "expected a number of {width} bits: the size of {}",
                    place.what
                ),
            ),
        };
        let number = match value.value() {
            Bytes::Number(number) => *number,
            Bytes::Text(text) => match place.enumerator(text) {
                Some(Ok(number)) => number.into(),
                Some(Err(problem)) => {
                    let span = value.span();
                    return Err(Misfit { span, problem });
                }
                None => return Err(problem("this is no number".to_owned())),
            },
            _ => return Err(problem("this is no number".to_owned())),
        };
        if !fits(number, width) {
            return Err(problem(format!("{number} does not fit")));
        }
        for (place, bit) in (0..).zip(bits) {
            let (byte, mask) = (at + bit as usize / 8, 1 << (bit % 8));
            if number >> place & 1 != 0 {
                self.encoded.bytes[byte] |= mask;
            }
            self.encoded.said[byte] |= mask;
        }
        Ok(())
    }
}

/// Whether a table says a literal, not members of the place's structure.
fn literal(entries: &[(Located<String>, Located<Bytes>)], place: &Place<'_>) -> bool {
    let [(name, _)] = entries else {
        return false;
    };
    let is_member = || {
        let composite = place.composite();
        let members = composite.map(|(btf, composite)| members(btf, composite, 0));
        members.is_some_and(|members| members.iter().any(|member| member.name == name.value()))
    };
    Literal::NAMES.contains(&name.as_str()) && !is_member()
}

fn is_text(entries: &[(Located<String>, Located<Bytes>)]) -> bool {
    entries.iter().all(|(name, _)| name.as_str() == "text")
}

/// The members of a structure, with those of its anonymous members in their place.
fn members<'a>(btf: &'a Btf, composite: Composite<'a>, start: u32) -> Vec<Member<'a>> {
    let mut all = Vec::new();
    for mut member in composite.members() {
        member.bit_offset += start;
        match btf.strip(member.of).1.kind {
            Kind::Struct(inner) | Kind::Union(inner) if member.name.is_empty() => {
                all.extend(members(btf, inner, member.bit_offset));
            }
            _ if member.name.is_empty() => {}
            _ => all.push(member),
        }
    }
    all
}

/// What a text may be: hex digits, or an address.
fn texts(text: &str) -> Result<Vec<Vec<u8>>, Problem> {
    let address = text.parse().ok().map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    let texts: Vec<Vec<u8>> = parse_hex(text).into_iter().chain(address).collect();
    match texts.is_empty() {
        false => Ok(texts),
        true => Err(Problem::new(
            format!("`{text}` is neither hex nor an address"),
            "expected two hex digits for each byte, an address, or a literal such as { text = \"eth0\" }",
        )),
    }
}

/// The bytes if they are as many as the place has. A text in an array of bytes is filled up with zeros.
fn sized(mut bytes: Vec<u8>, place: &Place<'_>, is_text: bool) -> Result<Vec<u8>, Problem> {
    if is_text && place.is_bytes() && bytes.len() < place.size {
        bytes.resize(place.size, 0);
    }
    match bytes.len() == place.size {
        true => Ok(bytes),
        false => Err(place.size_problem(bytes.len())),
    }
}

/// Whether so many bits hold a number, with a sign or without.
fn fits(number: i128, bits: u32) -> bool {
    (1..=64).contains(&bits) && (-(1i128 << (bits - 1))..1i128 << bits).contains(&number)
}

/// A number in the byte order of its place.
fn integer(number: i128, place: &Place<'_>) -> Result<Vec<u8>, Problem> {
    if matches!(place.kind(), Kind::Float { .. }) {
        return Err(Problem::new(
            format!("{} is a floating-point number", place.what),
            "expected its bytes as hex digits",
        ));
    }
    if !u32::try_from(8 * place.size).is_ok_and(|bits| fits(number, bits)) {
        return Err(place.range_problem(number));
    }
    let mut bytes = number.to_le_bytes()[..place.size].to_vec();
    let network_order = place.of.is_some_and(|(btf, id)| btf.is_network_order(id));
    if network_order {
        bytes.reverse();
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
