//! Names of fields, looked up before anything runs: a name that nothing has would never be equal.

use std::sync::Arc;

use twinpath_pcaps::dissect;

use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::Fields;
use crate::scenario::source::{Located, Source};
use crate::scenario::suggest;

/// Header fields with their values as text.
///
/// # Errors
/// For a name that no header's field has.
pub(super) fn of_frame(
    source: &Arc<Source>,
    fields: &Fields,
) -> Result<Vec<(String, String)>, ScenarioError> {
    match fields.keys().find(|name| !dissect::is_path(name)) {
        None => Ok(texts(fields)),
        Some(name) => Err(unknown(source, name)),
    }
}

/// Fields of a record with their values as text. `known` are the names that such a record has.
///
/// # Errors
/// For another name.
pub(super) fn of_record(
    source: &Arc<Source>,
    fields: &Fields,
    known: &[&str],
) -> Result<Vec<(String, String)>, ScenarioError> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(texts(fields)),
        Some(name) => {
            Err(Problem::unknown("field", name, known.iter().copied()).at(source, name.span()))
        }
    }
}

fn texts(fields: &Fields) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| (name.value().clone(), value.0.clone()))
        .collect()
}

/// There are too many names to list: those of the same header are.
fn unknown(source: &Arc<Source>, name: &Located<String>) -> ScenarioError {
    let header = |name: &str| name.split('.').next().map(str::to_owned);
    let siblings: Vec<&str> = dissect::NAMES
        .iter()
        .copied()
        .filter(|known| header(known) == header(name))
        .collect();
    let expected = match siblings.is_empty() {
        true => "expected a field's name in Wireshark's words, such as `ip.ttl` or `tcp.dstport`; of an inner header `ip.ttl#2`".to_owned(),
        false => format!("expected {}", suggest::list(siblings)),
    };
    let mut problem = Problem::new(format!("no field is named `{}`", name.value()), expected);
    if let Some(meant) = suggest::nearest(name, dissect::NAMES.iter().copied()) {
        problem = problem.help(format!("did you mean `{meant}`?"));
    }
    problem.at(source, name.span())
}
