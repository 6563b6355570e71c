//! Policies: what manifests say, against a model written from the API's documentation; and what bad manifests get.

mod generate;
mod manifests;
mod oracle;
mod random;
