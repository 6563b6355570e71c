//! YAML as a tree that knows where each value stands in its file.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::{Position, Problem, of_yaml};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub at: Position,
    pub node: Node,
}

/// A value, of YAML's core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Field>),
}

/// A field of a map: where its name stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub at: Position,
    pub value: Tree,
}

/// One step from a value to a value within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps from a document's root to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of a field of what is at the end of this one.
    pub fn field(&self, name: &str) -> Self {
        self.then(Step::Key(name.to_owned()))
    }

    /// The path of an element of the list at the end of this one.
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The documents of a YAML stream, empty ones left out.
pub fn parse(text: &str) -> Result<Vec<Tree>, (Position, Problem)> {
    let documents: Vec<Spanned<Raw>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let at = error.location().map_or_else(Position::default, Into::into);
        (
            at,
            Problem::Yaml(of_yaml(&error.without_snippet().to_string())),
        )
    })?;
    let trees = documents.into_iter().map(Tree::from);
    Ok(trees.filter(|tree| tree.node != Node::Null).collect())
}

impl Tree {
    /// The value as serde knows it, without its place.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::from(*value),
            Node::Signed(value) => Value::from(*value),
            Node::Unsigned(value) => Value::from(*value),
            Node::Float(value) => Value::from(*value),
            Node::Text(value) => Value::from(value.as_str()),
            Node::List(values) => values.iter().map(Self::to_json).collect(),
            Node::Map(values) => {
                let values = values.iter();
                Value::Object(
                    values
                        .map(|(key, value)| (key.clone(), value.value.to_json()))
                        .collect(),
                )
            }
        }
    }

    /// The value of a map's key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.node {
            Node::Map(fields) => fields.get(key).map(|field| &field.value),
            _ => None,
        }
    }

    /// Gives a map a text for a key that it lacks.
    pub fn set_default(&mut self, key: &str, text: &str) {
        let at = self.at;
        if let Node::Map(fields) = &mut self.node {
            fields.entry(key.to_owned()).or_insert_with(|| Field {
                at,
                value: Self {
                    at,
                    node: Node::Text(text.to_owned()),
                },
            });
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where the value at the end of a path stands, or the last one on the way that is there.
    pub fn position(&self, path: &Path) -> Position {
        self.walk(path).1
    }

    /// The same, but where a field's name stands if the path ends in one.
    pub fn name_position(&self, path: &Path) -> Position {
        self.walk(path).0
    }

    fn walk(&self, path: &Path) -> (Position, Position) {
        let (mut tree, mut name) = (self, self.at);
        for step in &path.0 {
            let next = match (step, &tree.node) {
                (Step::Key(key), Node::Map(fields)) => {
                    fields.get(key).map(|field| (field.at, &field.value))
                }
                (Step::Index(index), Node::List(values)) => {
                    values.get(*index).map(|value| (value.at, value))
                }
                _ => None,
            };
            let Some(next) = next else { break };
            (name, tree) = next;
        }
        (name, tree.at)
    }
}

/// What serde-saphyr yields: the same with its own kind of place.
enum Raw {
    Leaf(Node),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl From<Spanned<Raw>> for Tree {
    fn from(raw: Spanned<Raw>) -> Self {
        let node = match raw.value {
            Raw::Leaf(node) => node,
            Raw::List(values) => Node::List(values.into_iter().map(Self::from).collect()),
            Raw::Map(values) => {
                let fields = values.into_iter().map(|(key, value)| {
                    let field = Field {
                        at: key.referenced.into(),
                        value: value.into(),
                    };
                    (key.value, field)
                });
                Node::Map(fields.collect())
            }
        };
        Self {
            at: raw.referenced.into(),
            node,
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Signed(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
