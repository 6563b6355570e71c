//! Types as C writes them.

use super::{Btf, Kind, TypeId};

/// How deep types are written before `...` stands for the rest.
const MAX_DEPTH: u32 = 16;

impl Btf {
    /// A type as C writes it, such as `const volatile struct config *`.
    pub fn c_type(&self, id: TypeId) -> String {
        self.c_type_at(id, MAX_DEPTH)
    }

    fn c_type_at(&self, id: TypeId, depth: u32) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return "...".to_owned();
        };
        let of = self.get(id);
        let named = |keyword: &str| {
            let name = if of.name.is_empty() { "{...}" } else { of.name };
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
                let element = self.c_type_at(element, depth);
                // The first dimension stands first.
                match element.find('[') {
                    Some(at) => format!("{}[{len}]{}", &element[..at], &element[at..]),
                    None => format!("{element}[{len}]"),
                }
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
