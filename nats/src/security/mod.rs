//! Who may connect to the bus and what each may say there: NATS JWTs, credentials, revocation, and the files of a new bus.

use chrono::TimeDelta;

/// Every certificate of a fleet, of its CA, servers, clients and bus, is valid from this long ago: whoever checks it may have a clock that
/// lags, and a client that cannot log in on a fresh fleet because of it gets no word of the reason.
pub const BACKDATED: TimeDelta = TimeDelta::days(1);

pub mod claims;
pub mod creds;
pub mod enrolment;
pub mod jwt;
pub mod keys;

pub mod bus_files;
pub mod connections;
pub mod node_credentials;
pub mod revocations;
pub mod revoke;
pub mod standing;
