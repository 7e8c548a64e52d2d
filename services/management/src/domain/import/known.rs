//! What is known here of the certificates of a user of a source.

use std::collections::HashSet;

use vpnmanager_nats::ids::CommonName;

use super::{
    certificates::{Sorted, too_many},
    held::{Held, Merged, Owner, merged},
    planned::Amendment,
};

/// What is known here of the certificates of a user.
pub(super) struct Known {
    /// Whose certificates they are.
    pub(super) owner: Option<Owner>,
    /// What the source says otherwise. Those that nobody has are to be added.
    pub(super) amendment: Amendment,
    /// Whether some of them were revoked here.
    pub(super) stay_revoked: bool,
}

impl Known {
    /// Takes the valid certificates, and says in the reasons what becomes of those that are left out. `taken` has the common names of the users before.
    pub(super) fn of(sorted: &mut Sorted, held: &Held, taken: &mut HashSet<CommonName>) -> Self {
        let mut known = Self {
            owner: None,
            amendment: Amendment::of(0),
            stay_revoked: false,
        };
        known.take_valid(sorted, held, taken);
        known.take_revoked(sorted, held);
        known
    }

    fn take_valid(&mut self, sorted: &mut Sorted, held: &Held, taken: &mut HashSet<CommonName>) {
        for certificate in std::mem::take(&mut sorted.valid) {
            let name = &certificate.common_name;
            if !taken.insert(name.clone()) {
                sorted.leave_out(format!("the certificate {name} is of another user of the source"));
                continue;
            }
            if held.credentials.contains(name) {
                sorted.leave_out(format!(
                    "the certificate {name} has the name of a credential of the fleet, and is left out"
                ));
                continue;
            }
            let Some(held) = held.certificates.get(name) else {
                self.amendment.add.push(certificate);
                continue;
            };
            let Some(owner) = &held.owner else {
                self.stay_revoked = true;
                sorted
                    .reasons
                    .push(format!("the certificate {name} was revoked here, and stays so"));
                continue;
            };
            if !self.is_of(owner) {
                let username = &owner.username;
                sorted.reasons.push(format!(
                    "the certificate {name} is that of {username} here, and stays so"
                ));
                continue;
            }
            match merged(held, certificate) {
                Merged::Same => {}
                Merged::Differs(certificate) => self.amendment.change.push((held.id, certificate)),
                Merged::TooMany(name) => {
                    sorted.reasons.push(too_many(&name));
                    self.amendment.revoke.push((held.id, name));
                }
            }
        }
    }

    fn take_revoked(&mut self, sorted: &mut Sorted, held: &Held) {
        for name in &sorted.revoked {
            let held = held.certificates.get(name);
            let owned = held.and_then(|held| Some((held, held.owner.as_ref()?)));
            if let Some((held, owner)) = owned
                && self.is_of(owner)
            {
                sorted.reasons.push(format!("the certificate {name} is revoked"));
                self.amendment.revoke.push((held.id, name.clone()));
            }
        }
    }

    /// Whether this is the owner, who is the first that is found.
    fn is_of(&mut self, owner: &Owner) -> bool {
        let first = self.owner.get_or_insert_with(|| owner.clone());
        self.amendment.user = first.id;
        first.id == owner.id
    }
}
