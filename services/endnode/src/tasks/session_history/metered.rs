//! Whose traffic counts against a quota.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;
use vpnmanager_nats::{
    groups::{GroupName, Groups},
    ids::CommonName,
};

use crate::journal::Membership;

/// Whose traffic management counts against a quota: that of the members of some groups, and that of users with a quota of their own.
#[derive(Debug, Default)]
pub(super) struct Metered {
    /// What management told last of all groups.
    told: Option<watch::Receiver<Option<Arc<Groups>>>>,
}

impl Metered {
    /// As management tells.
    pub(super) fn by(told: watch::Receiver<Option<Arc<Groups>>>) -> Self {
        Self { told: Some(told) }
    }

    /// Of these memberships, given by the credentials, those whose traffic counts.
    pub(super) fn counted(&self, memberships: BTreeMap<CommonName, Membership>) -> BTreeSet<CommonName> {
        let groups = self.groups();
        let counts = |membership: &Membership| membership.is_metered || groups.contains(&membership.group);
        let counted = memberships.into_iter().filter(|(_, membership)| counts(membership));
        counted.map(|(name, _)| name).collect()
    }

    /// Whether any group has a quota.
    pub(super) fn has_groups(&self) -> bool {
        !self.groups().is_empty()
    }

    /// The names of the groups with a quota.
    fn groups(&self) -> BTreeSet<GroupName> {
        let told = self.told.as_ref().and_then(|told| told.borrow().clone());
        let groups = told.iter().flat_map(|told| &told.groups);
        let metered = groups.filter(|group| group.metered);
        metered.map(|group| group.name.clone()).collect()
    }
}
