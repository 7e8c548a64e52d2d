//! What is known of a node before it is added.

use super::{Listener, NodeMode};
use crate::net::Namespace;

/// A node to be added.
pub(super) struct NewNode {
    pub(super) number: u8,
    pub(super) mode: NodeMode,
    /// `default` where none is named.
    pub(super) pool: Option<String>,
    pub(super) listeners: Vec<Listener>,
    /// Its machine, where that was there before.
    pub(super) machine: Option<Namespace>,
}
