//! Real OpenVPN clients, honest and hostile, one or many.

mod crowd;
mod hostile;
mod openvpn;

pub use crowd::Crowd;
pub use hostile::Hostile;
pub use openvpn::{ClientError, ClientOptions, OpenvpnClient};
