//! The main job on whole stacks: from one API call to a working tunnel, and back, with everything that may go wrong
//! on the way. Needs the binaries of both services (`cargo build --workspace --bins`).

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

pub(crate) mod profile;
pub(crate) mod site;

mod adopt;
mod ca_rollover;
mod create;
mod cut;
mod devices;
mod expiry;
mod groups;
mod listeners;
mod network;
mod older;
mod reissue;
mod rollout;
mod sessions;
mod suspend;

mod agent_killed;
mod deregister;
mod doctor;
mod failover;
mod interrupted;
mod session_history;

mod crowd;
mod enrolment;
mod foreign;
mod forwarded;
mod local_api;
mod local_delete;
mod secrets;
mod sync_users;
mod undecodable;
