//! Credentials that answers told of.

use super::device::Device;

/// A credential of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) device: Device,
    pub(super) by: By,
    pub(super) fate: Fate,
}

/// How an answer named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// The text of a profile, with its certificate.
    Profile(String),
    /// Its common name.
    Name(String),
}

/// What later answers say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing ended it.
    Valid,
    /// It, its device or its user was ended, and that was answered.
    Revoked,
    /// The same without an answer: it may have happened.
    Unknown,
}
