//! What is in the folders of the list.

use std::collections::BTreeSet;

use vpnmanager_nats::ids::CommonName;

/// What is in a folder, or in all of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AllowListContents {
    /// Credentials that may log in.
    pub names: BTreeSet<CommonName>,
    /// Entries whose names cannot be a credential of ours: they let nobody in, and are left alone.
    pub foreign: Vec<String>,
}
