//! The fields that a type has in a place, as it asks for them itself.

use std::cell::Cell;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

use super::tree::Step;

type Names = &'static [&'static str];

/// The names of the fields that a `T` has where these steps lead; none where there is no structure.
pub fn known<T: DeserializeOwned>(value: &Value, steps: &[Step]) -> Names {
    let found: Cell<Names> = Cell::new(&[]);
    let probe = Probe {
        value,
        steps: Some(steps),
        found: &found,
    };
    // The value has been read before: what comes of it now does not matter.
    let _: Result<T, Error> = T::deserialize(probe);
    found.get()
}

/// A value whose readers are listened to.
#[derive(Clone, Copy)]
struct Probe<'a> {
    value: &'a Value,
    /// The steps from here to the place; none beside the way there.
    steps: Option<&'a [Step]>,
    found: &'a Cell<Names>,
}

impl<'a> Probe<'a> {
    fn inside(self, value: &'a Value, is: impl Fn(&Step) -> bool) -> Self {
        let steps = self.steps.and_then(<[Step]>::split_first);
        let steps = steps.filter(|(first, _)| is(first)).map(|(_, rest)| rest);
        Self {
            value,
            steps,
            ..self
        }
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let is = |step: &Step| matches!(step, Step::Key(key) if key == name);
                    (name.as_str(), self.inside(value, is))
                });
                visitor.visit_map(MapDeserializer::new(fields))
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(number, value)| {
                    let is = |step: &Step| matches!(step, Step::Index(index) if *index == number);
                    self.inside(value, is)
                });
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            plain => plain.clone().deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.steps.is_some_and(<[Step]>::is_empty) {
            self.found.set(fields);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: Names,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value.clone().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Probe<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
