//! The groups of operations in the description.

use poem_openapi::Tags;

#[derive(Tags)]
pub(super) enum Tag {
    /// Who has access.
    Users,
    /// The servers that give access.
    Endnodes,
    /// One-time tokens with which servers enrol.
    JoinTokens,
    /// Who changed what.
    Audit,
    /// How management itself is.
    Service,
}
