//! Whose traffic counts against a quota.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;
use vpnmanager_nats::groups::{GroupName, Groups};

/// The groups whose members' traffic management counts against a quota.
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

    /// The names of these groups.
    pub(super) fn groups(&self) -> BTreeSet<GroupName> {
        let told = self.told.as_ref().and_then(|told| told.borrow().clone());
        let groups = told.iter().flat_map(|told| &told.groups);
        let metered = groups.filter(|group| group.metered);
        metered.map(|group| group.name.clone()).collect()
    }
}
