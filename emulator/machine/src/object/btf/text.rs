//! Types as C writes them.

use super::{Btf, Kind, TypeId};

/// How deep types are written before `...` stands for the rest.
const MAX_DEPTH: u32 = 16;

impl Btf {
    /// A type as C writes it, such as `const volatile struct config *`, under the name that it has in its source.
    pub fn c_type(&self, id: TypeId) -> String {
        self.c_type_at(id, MAX_DEPTH)
    }

    fn c_type_at(&self, id: TypeId, depth: u32) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return "...".to_owned();
        };
        let of = self.get(id);
        let named = |keyword: &str| {
            let name = match of.name {
                "" => "{...}".to_owned(),
                name => source_name(name),
            };
            format!("{keyword}{name}")
        };
        match of.kind {
            Kind::Void => "void".to_owned(),
            Kind::Pointer(to) => {
                let to = self.c_type_at(to, depth);
                let space = if to.ends_with('*') { "" } else { " " };
                format!("{to}{space}*")
            }
            Kind::Array { element, len } => {
                let (mut element, mut dimensions) = (element, format!("[{len}]"));
                for _ in 0..depth {
                    let Kind::Array { element: of, len } = self.get(element).kind else {
                        break;
                    };
                    element = of;
                    dimensions += &format!("[{len}]");
                }
                format!("{}{dimensions}", self.c_type_at(element, depth))
            }
            Kind::Struct(_) | Kind::Forward { is_union: false } => named("struct "),
            Kind::Union(_) | Kind::Forward { is_union: true } => named("union "),
            Kind::Enum { .. } | Kind::Enum64 { .. } => named("enum "),
            Kind::Const(to) => format!("const {}", self.c_type_at(to, depth)),
            Kind::Volatile(to) => format!("volatile {}", self.c_type_at(to, depth)),
            Kind::Restrict(to) | Kind::TypeTag(to) => self.c_type_at(to, depth),
            Kind::Prototype { result, parameters } => {
                let parameters: Vec<_> = parameters
                    .iter()
                    .map(|of| self.c_type_at(of.of, depth))
                    .collect();
                format!(
                    "{} ({})",
                    self.c_type_at(result, depth),
                    parameters.join(", ")
                )
            }
            _ => named(""),
        }
    }
}

/// A name with what bpf-linker wrote as `_3C_` as it was: it leaves of names only letters, digits and underscores,
/// which is all that kernels took before 6.8, and gives the others as hexadecimal numbers.
fn source_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('_') {
        text += &rest[..at];
        rest = &rest[at..];
        let letter = escaped(rest);
        text.push(letter.unwrap_or('_'));
        rest = &rest[if letter.is_some() { ESCAPED } else { 1 }..];
    }
    text + rest
}

/// Bytes of an escaped letter.
const ESCAPED: usize = 4;

/// The letter whose number stands at the start, between underscores.
fn escaped(text: &str) -> Option<char> {
    let [b'_', high, low, b'_'] = text.as_bytes().first_chunk::<ESCAPED>()? else {
        return None;
    };
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let letter = char::from(digit(high)? << 4 | digit(low)?);
    (letter == ' ' || letter.is_ascii_punctuation() && letter != '_').then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source() {
        for (name, expected) in [
            ("config", "config"),
            ("Global_3C_u32_3E_", "Global<u32>"),
            (
                "Option_3C_core_3A__3A_Ordering_3E_",
                "Option<core::Ordering>",
            ),
            ("_5B_u8_3B__20_4_5D_", "[u8; 4]"),
            // No such escapes: a letter, an underscore, nothing at the end.
            ("a_41_b_5F_c_", "a_41_b_5F_c_"),
            ("__u32", "__u32"),
            ("in_3c_case", "in_3c_case"),
            ("_3C", "_3C"),
            ("", ""),
        ] {
            assert_eq!(source_name(name), expected);
        }
    }
}
