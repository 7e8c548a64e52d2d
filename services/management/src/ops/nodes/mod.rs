//! Nodes: enrolment, handshakes, heartbeats, and the changes and requests of operators.

pub mod change;
pub mod deregister;
pub mod host;
pub mod leave;
pub mod move_node;
pub mod read;
pub mod register;
pub mod sum_totals;

pub mod answer_sync;
pub mod find_drift;
pub mod follow_endpoint;
pub mod lost_journal;
pub mod request_handshakes;

pub mod assess_ages;
pub mod change_state;
pub mod note_excess;
pub mod note_hearing;
pub mod received;
pub mod record_heartbeats;
pub mod track_agent_runs;
pub mod unmet_needs;

pub mod ask;
pub mod bus_keys;
pub mod note_unfit_answer;
pub(super) mod one_at_a_time;
pub mod tell_draining;
pub mod tell_standing;
