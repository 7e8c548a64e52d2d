//! A change of who is let in at the old listener.

use std::collections::BTreeSet;

use vpnmanager_nats::ids::CommonName;

use crate::{
    backend::{BackendError, CutSessions, Parting},
    journal::OldGrant,
    vpn::Vpn,
};

/// Who is refused there, and who is let in. Nobody is both.
#[derive(Debug, Default)]
pub(super) struct OldChange {
    pub(super) deny: BTreeSet<CommonName>,
    pub(super) allow: Vec<OldGrant>,
}

impl OldChange {
    /// Refuses these.
    pub(super) fn denying(names: impl IntoIterator<Item = CommonName>) -> Self {
        Self {
            deny: names.into_iter().collect(),
            allow: Vec::new(),
        }
    }

    /// With a later change, which wins.
    pub(super) fn add(&mut self, later: Self) {
        let is_later = |grant: &OldGrant| later.allow.iter().any(|other| other.common_name == grant.common_name);
        self.allow
            .retain(|grant| !later.deny.contains(&grant.common_name) && !is_later(grant));
        for grant in &later.allow {
            self.deny.remove(&grant.common_name);
        }
        self.deny.extend(later.deny);
        self.allow.extend(later.allow);
    }

    /// Refuses whom it refuses, and gives them: their sessions are still to be ended.
    pub(super) async fn refuse(&self, vpn: &Vpn) -> (Vec<CommonName>, Result<(), BackendError>) {
        let names: Vec<CommonName> = self.deny.iter().cloned().collect();
        let refused = match vpn.old() {
            Some(old) => old.deny(&names).await,
            None => Ok(()),
        };
        (names, refused)
    }

    /// Lets in whom it lets in.
    pub(super) async fn let_in(self, vpn: &Vpn) -> Result<(), BackendError> {
        match vpn.old() {
            Some(old) => old.allow(self.allow).await,
            None => Ok(()),
        }
    }
}

/// Ends the sessions of these at the old listener, and of those who may be connected there with a certificate that is refused by now.
pub(super) async fn end_old(vpn: &Vpn, names: &[CommonName]) -> Result<CutSessions, BackendError> {
    let Some(old) = vpn.old() else {
        return Ok(CutSessions::default());
    };
    let ended = old.disconnect(names, Parting::Halt).await;
    let renewed = old.renew().await;
    Ok(ended?.and(renewed?))
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::ids::UserKey;

    use super::*;

    fn name(text: &str) -> CommonName {
        text.parse().expect("a name")
    }

    fn grant(text: &str, user_key: UserKey) -> OldGrant {
        OldGrant {
            common_name: name(text),
            user_key,
            revoked: Vec::new(),
        }
    }

    #[test]
    fn of_several_changes_the_last_one_counts() {
        let (alice, bob) = (UserKey::new(), UserKey::new());
        let allowing = |text: &str, user| OldChange {
            deny: BTreeSet::new(),
            allow: vec![grant(text, user)],
        };
        let mut change = allowing("shared", alice);
        change.add(allowing("shared", bob));
        change.add(OldChange::denying([name("carol")]));
        change.add(allowing("carol", bob));
        change.add(OldChange::denying([name("dave")]));

        assert_eq!(change.allow, [grant("shared", bob), grant("carol", bob)]);
        assert_eq!(change.deny, BTreeSet::from([name("dave")]));
        change.add(OldChange::denying([name("shared")]));
        assert_eq!(change.allow, [grant("carol", bob)]);
    }
}
