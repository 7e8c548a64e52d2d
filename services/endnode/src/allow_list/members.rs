//! What the list says of members of groups, who have fixed addresses.

use std::{collections::BTreeSet, fs};

use vpnmanager_nats::ids::CommonName;

use super::{
    AllowList,
    entry::{Form, Pushing},
    error::AllowListError,
    folder::Folder,
};
use crate::{groups::Place, listening::ListenerNumber, openvpn::vpn_network::VpnNetwork};

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
    /// What becomes of a session of this credential at this listener, with these addresses inside its tunnel, empty where it has none. What the
    /// folders of other listeners say does not count: OpenVPN would refuse its next key exchange by its own. A listener without a folder lets in
    /// nobody. An error when the folder is missing, so that nobody is cut because of a lost one.
    pub fn welcome(
        &self,
        number: ListenerNumber,
        name: &CommonName,
        address: &str,
        address6: &str,
    ) -> Result<Welcome, AllowListError> {
        let Some(folder) = self.folders().nth(number.0) else {
            return Ok(Welcome::Nowhere);
        };
        if !folder.contains(name)? {
            let is_held_back = folder.held_back().contains(name);
            return Ok(if is_held_back {
                Welcome::HeldBack
            } else {
                Welcome::Nowhere
            });
        }
        let fits = match &self.form {
            Form::Pushing(pushing) => pushing.places.fits_at(number, name, address, address6),
            Form::EmptyFile | Form::Told(_) => true,
        };
        Ok(if fits { Welcome::Here } else { Welcome::Elsewhere })
    }

    /// The IPv4 network that the entries of this listener have addresses in: `OPENVPN_NETWORK`, or its slice of that. `None` where entries have no
    /// addresses.
    pub fn network_at(&self, number: ListenerNumber) -> Option<VpnNetwork> {
        match &self.form {
            Form::Pushing(pushing) => Some(pushing.places.layout().beside(number).network()),
            Form::EmptyFile | Form::Told(_) => None,
        }
    }

    /// Takes back the entries of all whom the firewall does not hold, at all listeners, until it does.
    ///
    /// # Errors
    /// An entry could not be removed: its credential would be let in. All are tried, the first failure is returned.
    pub fn hold_back_unheld(&self) -> Result<(), AllowListError> {
        self.hold_back_in(self.folders())
    }

    /// The same at this listener alone, whose server is about to start, perhaps with another tunnel than that of the rules that are there. At the
    /// others, whose servers go on with the rules that they have, nothing changes. A listener without a folder lets in nobody.
    ///
    /// # Errors
    /// As [`Self::hold_back_unheld`], of this listener.
    pub fn hold_back_unheld_at(&self, number: ListenerNumber) -> Result<(), AllowListError> {
        self.hold_back_in(self.folders().nth(number.0).into_iter())
    }

    fn hold_back_in<'a>(&self, folders: impl Iterator<Item = &'a Folder>) -> Result<(), AllowListError> {
        let Form::Pushing(pushing) = &self.form else {
            return Ok(());
        };
        let places = &pushing.places;
        let is_held = |name: &CommonName| places.place_of(name).is_none_or(|place| places.holds(&place));
        let unheld: Vec<CommonName> = places.names().into_iter().filter(|name| !is_held(name)).collect();
        let mut first_failure = Ok(());
        for folder in folders {
            first_failure = first_failure.and(folder.hold_back(&unheld));
        }
        first_failure
    }

    /// The fixed addresses that the entries give, as the first folder that has one of a credential says. It reads each entry that is a file.
    pub fn fixed(&self) -> Result<Vec<(CommonName, Place)>, AllowListError> {
        let Form::Pushing(pushing) = &self.form else {
            return Ok(Vec::new());
        };
        let (mut seen, mut fixed) = (BTreeSet::new(), Vec::new());
        for folder in self.folders() {
            for name in folder.list()?.names {
                if seen.contains(&name) {
                    continue;
                }
                let place = folder.place_of(pushing, &name);
                fixed.extend(place.map(|place| (name.clone(), place)));
                seen.insert(name);
            }
        }
        Ok(fixed)
    }
}

impl Folder {
    fn hold_back(&self, unheld: &[CommonName]) -> Result<(), AllowListError> {
        let mut first_failure = Ok(());
        for name in unheld {
            let was_held_back = self.held_back().contains(name);
            let denied = self.deny(name);
            // Whose entry cannot be removed is sent on after each login.
            if was_held_back || !matches!(denied, Ok(false)) {
                self.held_back().insert(name.clone());
            }
            first_failure = first_failure.and(denied.map(drop));
        }
        first_failure
    }

    /// The fixed address that the entry of a credential gives, if it is one of ours.
    fn place_of(&self, pushing: &Pushing, name: &CommonName) -> Option<Place> {
        let path = self.dir().join(name.as_str());
        // Links lead to what has no address.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() > 0);
        let text = is_file.then(|| fs::read_to_string(path).ok())??;
        pushing.place_in(&text, self.number())
    }
}
