//! Management against a private PostgreSQL and a private nats-server.

mod stack;

mod config;
mod pki;

mod ops;
mod process;

mod api_access;
mod api_endnodes;
mod api_input;
mod api_profile;
mod api_spec;
mod api_users;
mod standing;
