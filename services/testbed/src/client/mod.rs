//! Real OpenVPN clients, honest and hostile, one or many.

mod crowd;
mod error;
mod hostile;
mod openvpn;
mod profile;

pub use crowd::Crowd;
pub use error::ClientError;
pub use hostile::Hostile;
pub use openvpn::{ClientOptions, OpenvpnClient};
pub(crate) use profile::{profile_at, write_profile};
