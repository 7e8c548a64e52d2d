#![doc = include_str!("../README.md")]

pub mod group;
pub mod own_group;
pub mod pool;
pub mod server;
pub mod user;

pub mod credential;
pub mod old_certificate;
pub mod placement;

pub mod session;
pub mod traffic_day;

pub mod agent_run;
pub mod health_history;
pub mod health_status;
pub mod replica;

pub mod api_key;
pub mod audit_log;
pub mod bus_revocation;
pub mod bus_stream;
pub mod certificate;
pub mod certificate_authority;
pub mod import;
pub mod intent;
pub mod join_token;
pub mod node_reissue;
pub mod node_revocation;
pub mod profile_link;
pub mod rollout;
pub mod rollout_node;
pub mod webhook;
pub mod webhook_delivery;
