//! Management against a private PostgreSQL and a private nats-server.

// Starting a whole management nests more futures than the compiler follows by default.
#![recursion_limit = "256"]

mod bus_node;
mod database;
mod logs;
mod queries;
mod silent_way;
mod stack;

mod config;
mod pki;

mod ops;
mod process;

mod api_access;
mod api_bulk;
mod api_devices;
mod api_endnodes;
mod api_groups;
mod api_imports;
mod api_input;
mod api_install;
mod api_join_tokens;
mod api_keys;
mod api_own_limits;
mod api_pools;
mod api_profile;
mod api_sessions;
mod api_spec;
mod api_unknown;
mod api_users;
mod backup;
mod callers;
mod certificates;
mod doctor;
mod enrolment;
mod events;
mod exporting;
mod forwarded;
mod idempotency;
mod importing;
mod outage;
mod pooled;
mod probes;
mod profile_links;
mod quotas;
mod request_rate;
mod revoked_keys;
mod session_history;
mod session_limits;
mod standing;
mod strangers;
mod webhooks;

mod trail;
