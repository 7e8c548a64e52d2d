//! The list against what is wanted.

use std::collections::BTreeSet;

use vpnmanager_nats::ids::CommonName;

use super::{
    AllowList, Reconciled,
    entry::{Arrival, Entry, Form},
    error::AllowListError,
    folder::Folder,
};
use crate::blocking::beside;

impl AllowList {
    /// The credentials that are not as `wanted` has them in the folder of any listener. Changes nothing but a lost folder, which is made again.
    /// Those that are missing and held back are as they should be.
    pub fn compare(&self, wanted: &BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, AllowListError> {
        self.prepare()?;
        // One look for all: what becomes of them is the same everywhere.
        let wanted: Vec<Arrival<'_>> = wanted.iter().map(|name| self.form.arrival(name)).collect();
        let mut differing = BTreeSet::new();
        for folder in self.folders() {
            differing.append(&mut folder.compare(&self.form, &wanted)?);
        }
        Ok(differing)
    }

    /// The same on a thread of its own: it looks at each file.
    pub async fn compare_beside(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, AllowListError> {
        let list = self.clone();
        let differing = beside(move || list.compare(&wanted)).await;
        differing.unwrap_or_else(|| Ok(BTreeSet::new()))
    }

    /// Of these credentials, refuses those that are not `wanted`, and then lets in the others.
    ///
    /// # Errors
    /// The first failure. All of them are tried, those that are not wanted before the others.
    pub fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, AllowListError> {
        let mut changes = Reconciled::default();
        let mut first_failure = Ok(());
        for name in names.difference(wanted) {
            match self.deny(name) {
                Ok(true) => changes.removed.push(name.clone()),
                Ok(false) => {}
                Err(failure) => first_failure = first_failure.and(Err(failure)),
            }
        }
        for name in names.intersection(wanted) {
            match self.mend_one(name) {
                Ok(found) if found.contains(&Entry::Missing) => changes.added.push(name.clone()),
                Ok(found) if found.contains(&Entry::Ours) || found.contains(&Entry::Altered) => {
                    changes.repaired.push(name.clone());
                }
                Ok(_) => {}
                Err(failure) => first_failure = first_failure.and(Err(failure)),
            }
        }
        first_failure.map(|()| changes)
    }

    /// Lets one credential in at all listeners. Gives what was there before, wherever that was changed and somebody should be told.
    fn mend_one(&self, name: &CommonName) -> Result<Vec<Entry>, AllowListError> {
        let arrival = self.form.arrival(name);
        let outcomes: Vec<_> = self.folders().map(|folder| folder.mend(&self.form, &arrival)).collect();
        let mut changed = Vec::new();
        for outcome in outcomes {
            changed.extend(outcome?);
        }
        Ok(changed)
    }
}

impl Folder {
    fn compare(&self, form: &Form, wanted: &[Arrival<'_>]) -> Result<BTreeSet<CommonName>, AllowListError> {
        // All are in it but those that turn out to be as they should be.
        let mut differing = self.list()?.names;
        for arrival in wanted {
            if differing.contains(arrival.name) {
                if self.entry_of(form, arrival)? == Entry::Ours {
                    differing.remove(arrival.name);
                }
            } else if arrival.is_held_back {
                self.held_back().insert(arrival.name.clone());
            } else {
                differing.insert(arrival.name.clone());
            }
        }
        Ok(differing)
    }

    /// Lets one credential in. Gives what was there before, if that was changed and somebody should be told.
    fn mend(&self, form: &Form, arrival: &Arrival<'_>) -> Result<Option<Entry>, AllowListError> {
        let found = self.entry_of(form, arrival)?;
        let was_held_back = self.held_back().contains(arrival.name);
        let is_changed = self.allow(form, arrival)?;
        Ok((is_changed && !was_held_back).then_some(found))
    }
}
