//! What the documents say exists, and what exists is in the documents: `make` targets, settings, other variables, audit
//! actions, HTTP routes, quoted messages, links, figures. And units of systemd. It reads files only; no server is started.

mod actions;
mod checks;
mod compose;
mod links;
mod markdown;
mod messages;
mod monitoring;
mod pins;
mod proofs;
mod routes;
mod settings;
mod sources;
mod targets;
mod units;
mod variables;
