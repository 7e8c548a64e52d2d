//! Rules without I/O.

pub mod actor;
pub mod audit_action;
pub mod audit_room;

pub mod acks;
pub mod client_directives;
pub mod clones;
pub mod command;
pub mod conduct;
pub mod continuity;
pub mod device;
pub mod drift;
pub mod endpoint;
pub mod enrolment;
pub mod group;
pub mod health;
pub mod lifetime;
pub mod link_token;
pub mod own_limits;
pub mod placement;
pub mod pool;
pub mod quota;
pub mod refusals;
pub mod renewal;
pub mod rollout;
pub mod session_address;
pub mod session_history;
pub mod session_id;
pub mod session_limits;
pub mod session_room;
pub mod signing;
pub mod silence;
pub mod source_budget;
pub mod traffic;
pub mod traffic_days;
