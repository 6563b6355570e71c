//! From a tree to a type, with the place of whatever does not fit.

use serde::de::DeserializeOwned;

use super::error::{Position, Problem, of_type};
use super::fields;
use super::tree::{Path, Step, Tree};

/// A value of type `T`. A field that the type does not have is a mistake.
pub fn typed<T: DeserializeOwned>(tree: &Tree) -> Result<T, (Position, Problem)> {
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = None;
    let json = tree.to_json();
    let result = {
        let deserializer = serde_path_to_error::Deserializer::new(json.clone(), &mut track);
        serde_ignored::deserialize(deserializer, |path| {
            unknown.get_or_insert_with(|| ignored_path(&path));
        })
    };
    match (result, unknown) {
        // What lacks a field often has its name misspelt.
        (Err(error), None) => {
            let path = tracked_path(&track.path());
            Err((
                tree.position(&path),
                Problem::value(&path, of_type(&error.to_string())),
            ))
        }
        (_, Some(path)) => {
            let parent = path.0.split_last().map_or(&[][..], |(_, parent)| parent);
            let known = fields::known::<T>(&json, parent);
            Err((tree.name_position(&path), Problem::field(&path, known)))
        }
        (Ok(value), None) => Ok(value),
    }
}

fn tracked_path(path: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    Path(steps.collect())
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> Path {
    use serde_ignored::Path as Ignored;
    let (parent, step) = match path {
        Ignored::Root => return Path::default(),
        Ignored::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        Ignored::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        Ignored::Some { parent }
        | Ignored::NewtypeStruct { parent }
        | Ignored::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = ignored_path(parent);
    steps.0.extend(step);
    steps
}
