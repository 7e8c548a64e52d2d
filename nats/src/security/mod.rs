//! Who may connect to the bus and what each may say there: NATS JWTs, credentials, revocation, and the files of a new bus.

pub mod claims;
pub mod creds;
pub mod enrolment;
pub mod jwt;
pub mod keys;

pub mod bus_files;
pub mod connections;
pub mod node_credentials;
pub mod revoke;
pub mod standing;
