//! How the description groups the operations.

use poem_openapi::Tags;

#[derive(Tags)]
pub(super) enum Tag {
    /// Users that this node holds.
    Users,
    /// The node itself.
    Node,
}
