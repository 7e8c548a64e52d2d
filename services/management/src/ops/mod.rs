//! What management can do, one file each: a transaction with its audit row, and the wake-up that follows its commit.

pub mod audit;
pub mod retry;

pub mod change_user;
pub mod create_user;
pub mod fetch_profile;
pub mod living_user;
pub mod read_users;
pub mod reissue_profile;
pub mod remove_user;
pub mod wait_settled;

mod apply_acks;
pub mod apply_reports;
pub mod claim_publications;
pub mod raise_revisions;
pub mod recognise_stream;
pub mod record_publications;
pub mod sign_certificates;

pub mod accept_intent;
pub mod answer_sync;
pub mod ask_node;
pub mod assess_ages;
pub mod change_node;
pub mod create_join_token;
pub mod deregister_node;
pub mod find_drift;
pub mod hand_over;
pub mod observe_runs;
pub mod place_users;
pub mod prompt_syncs;
pub mod read_nodes;
pub mod readmit_nodes;
pub mod record_heartbeats;
pub mod register_node;
pub mod rehome_users;
pub mod tell_draining;
pub mod tell_standing;

pub mod authenticate;
pub mod bootstrap;
pub mod read_audit;
