//! What the list says of members of groups, who have fixed addresses.

use std::fs;

use vpnmanager_nats::ids::CommonName;

use super::{AllowList, entry::Form, error::AllowListError};
use crate::groups::Place;

/// What the list says of somebody who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// She may stay.
    Here,
    /// She may log in, and not stay with this address: her credential has another one.
    Elsewhere,
    /// She may log in as soon as the firewall holds the rules of her group and her entry can be made, and not before: until then another node may
    /// let her in.
    HeldBack,
    /// She may not log in.
    Nowhere,
}

impl AllowList {
    /// What becomes of a session of this credential with these addresses inside the tunnel, empty where it has none. An error as for
    /// [`Self::contains`].
    pub fn welcome(&self, name: &CommonName, address: &str, address6: &str) -> Result<Welcome, AllowListError> {
        if !self.contains(name)? {
            let is_held_back = self.held_back().contains(name);
            return Ok(if is_held_back {
                Welcome::HeldBack
            } else {
                Welcome::Nowhere
            });
        }
        let fits = match &self.form {
            Form::Pushing(pushing) => pushing.places.fits(name, address, address6),
            Form::EmptyFile => true,
        };
        Ok(if fits { Welcome::Here } else { Welcome::Elsewhere })
    }

    /// Takes back the entries of all whom the firewall does not hold, until it does: a server is about to start, perhaps with another tunnel than
    /// that of the rules that are there.
    ///
    /// # Errors
    /// An entry could not be removed: its credential would be let in. All are tried, the first failure is returned.
    pub fn hold_back_unheld(&self) -> Result<(), AllowListError> {
        let Form::Pushing(pushing) = &self.form else {
            return Ok(());
        };
        let places = &pushing.places;
        let is_held = |name: &CommonName| places.place_of(name).is_none_or(|place| places.holds(&place));
        let mut first_failure = Ok(());
        for name in places.names() {
            if is_held(&name) {
                continue;
            }
            let was_held_back = self.held_back().contains(&name);
            let denied = self.deny(&name);
            // Whose entry cannot be removed is sent on after each login.
            if was_held_back || !matches!(denied, Ok(false)) {
                self.held_back().insert(name);
            }
            first_failure = first_failure.and(denied.map(drop));
        }
        first_failure
    }

    /// The fixed addresses that the entries give. It reads each entry that is a file.
    pub fn fixed(&self) -> Result<Vec<(CommonName, Place)>, AllowListError> {
        let Form::Pushing(pushing) = &self.form else {
            return Ok(Vec::new());
        };
        let places = self.list()?.names.into_iter().filter_map(|name| {
            let path = self.dir.join(name.as_str());
            // Links lead to what has no address.
            let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() > 0);
            let text = is_file.then(|| fs::read_to_string(path).ok())??;
            Some((name, pushing.place_in(&text)?))
        });
        Ok(places.collect())
    }
}
