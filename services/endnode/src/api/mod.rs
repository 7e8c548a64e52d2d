//! The local API: nouns are folders, verbs are files. Its description is generated from here and committed as `openapi/endnode.json`.

mod application;

mod health;
mod sync;
mod users;

mod access;
mod local;
mod repeats;
mod scalars;
mod tags;
mod user_options;

pub use self::{
    application::{application, spec, spec_json, spec_yaml},
    local::LocalNode,
};
