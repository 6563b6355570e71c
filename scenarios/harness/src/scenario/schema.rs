//! The JSON schema of scenario files, for editors.

use schemars::generate::SchemaSettings;

use super::format::ScenarioFile;

/// The schema as text, as it is checked in beside the suite.
pub fn schema() -> String {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<ScenarioFile>();
    // A schema has no keys that are not texts, so it always prints.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
