//! Where a credential logs in.

use vpnmanager_nats::groups::GroupName;

/// The fixed address of a credential: one in the network of each listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The group that its user is in.
    pub group: GroupName,
    /// The number of the address in the network of a listener: `OPENVPN_NETWORK`, or its slice of that. It is the same in each.
    pub host: u32,
}

/// Where a credential logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seat {
    /// Where OpenVPN puts it: its user is in the group `default`.
    Dynamic,
    /// With a fixed address.
    Fixed(Place),
    /// Nowhere: `OPENVPN_NETWORK` has no address left for its group.
    Waiting,
}
