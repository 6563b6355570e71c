//! Policies: what manifests say, against a model written from the API's documentation; and what bad manifests get.

mod clusters;
mod datapath;
mod documentation;
mod events;
mod files;
mod generate;
mod manifests;
mod maps;
mod nodes;
mod oracle;
mod random;
mod spoilt;
