//! How many clients a configuration of OpenVPN has room for.

/// Room for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The clients that it is meant for: addresses of the network, or the number that is set where that is lower.
    pub capacity: u32,
    /// Places, which handshakes that are not finished take too: OpenVPN's own limit on clients.
    pub places: u32,
}
