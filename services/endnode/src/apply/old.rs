//! Who is let in at the old listener. It follows the journal alone: whatever changed, all names that it concerns are looked up anew.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tracing::{info, warn};
use vpnmanager_nats::{
    commands::Command,
    ids::{CommonName, UserKey},
    old_certificates::OldCertificate,
};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    applier::{Applier, ApplyError, Inner},
    commit::Handled,
    old_change::OldChange,
    projection::{Door, Ending, Merged, ProjectError},
    turn::Turn,
};
use crate::{
    allow_list::Reconciled,
    journal::{JournalError, OldGrant},
    plan::{group_of, old_certificates_of, old_let_in},
};

static NOT_LET_IN: LogLimit = LogLimit::new("old certificates of users are not let in");

/// What an operator should know of old certificates that a command names and that are not let in.
const IN_A_GROUP: &str = "old certificates of this user are refused: the old listener cannot hold members of a group to its rules. The new profile \
     works, or put the user into the group default";

/// The same on a node without an old listener.
const NO_OLD_LISTENER: &str =
    "old certificates of this user have no effect here: OLD_SERVER_CONF of this node is not set";

impl Applier {
    /// Makes the list of the old listener equal to the journal, and returns what had to change.
    pub(super) async fn reconcile_old(&self) -> Result<Reconciled, ApplyError> {
        let inner = &self.inner;
        let Some(old) = inner.vpn.old() else {
            return Ok(Reconciled::default());
        };
        // A look at all of them takes long where there are many. It holds up nobody, and mostly finds nothing.
        let (door, refused) = {
            let turn = inner.turn.lock().await;
            (turn.door, turn.refused_old())
        };
        let wanted = inner.old_wanted(door, &refused).await?;
        let looked = old.compare(wanted).await.map_err(ProjectError::from)?;
        if looked.is_right() {
            return Ok(Reconciled::default());
        }
        let turn = inner.turn.lock().await;
        let wanted = inner.old_wanted(turn.door, &turn.refused_old()).await?;
        Ok(old.mend(&looked.differing, wanted).await.map_err(ProjectError::from)?)
    }

    /// Refuses at the old listener whom the journal does not let in there, and returns them.
    pub(super) async fn refuse_unwanted_old(&self) -> Result<Vec<CommonName>, ApplyError> {
        let inner = &self.inner;
        let Some(old) = inner.vpn.old() else {
            return Ok(Vec::new());
        };
        let turn = inner.turn.lock().await;
        let wanted = inner.old_wanted(turn.door, &turn.refused_old()).await?;
        let let_in: BTreeSet<CommonName> = wanted.iter().map(|grant| grant.common_name.clone()).collect();
        let looked = old.compare(wanted.clone()).await.map_err(ProjectError::from)?;
        let unwanted: BTreeSet<CommonName> = looked.differing.difference(&let_in).cloned().collect();
        // With them go the refusals of revoked certificates: who is let in already must find them before the server starts.
        let changes = old.mend(&unwanted, wanted).await.map_err(ProjectError::from)?;
        Ok(changes.removed)
    }
}

impl Inner {
    /// What the journal says of the old certificates of these users: of all that it holds of theirs, and of all that are let in for them.
    pub(super) async fn old_change(&self, users: Vec<UserKey>, turn: &Turn) -> OldChange {
        let Some(old) = self.vpn.old() else {
            return OldChange::default();
        };
        let present = old.names_of(&users);
        let mut names = present.clone();
        let read = self.journal.read(move |records| {
            for user in &users {
                names.extend(records.old_names_of(*user)?);
            }
            let grants = match names.is_empty() {
                true => Vec::new(),
                false => records.old_grants_among(&names, Utc::now())?,
            };
            Ok((names, grants))
        });
        match read.await {
            Ok((names, grants)) => {
                let refused = turn.refused_old();
                let allow: Vec<OldGrant> = grants
                    .into_iter()
                    .filter(|grant| !refused.contains(&grant.common_name))
                    .collect();
                let (allow, disabled) = old.without_disabled(allow);
                let let_in: BTreeSet<&CommonName> = allow.iter().map(|grant| &grant.common_name).collect();
                let deny = names.iter().filter(|name| !let_in.contains(name)).cloned();
                let deny = deny.chain(disabled).collect();
                OldChange { deny, allow }
            }
            // The agent ends. Its next run begins with a look at all of them.
            Err(JournalError::Closed) => OldChange::default(),
            Err(error) => {
                warn!(error = %chain(&error), "Whose old certificates are let in cannot be read: those of the users concerned are refused until it can");
                OldChange::denying(present)
            }
        }
    }

    /// Refuses at the old listener whose certificate's time is over. Their users have access all the same.
    pub(super) async fn refuse_over(&self, turn: &Turn, now: DateTime<Utc>) -> Result<Option<Ending>, ApplyError> {
        let Some(old) = self.vpn.old().filter(|old| old.lets_in_anybody()) else {
            return Ok(None);
        };
        let over = self
            .journal
            .read(move |records| records.old_certificates_over(now))
            .await?;
        let over = old.present(over);
        if over.is_empty() {
            return Ok(None);
        }
        info!(
            certificates = over.len(),
            "The time of old certificates is over: they are refused"
        );
        let change = Merged::from(OldChange::denying(over));
        Ok(Some(self.project(change, turn).await))
    }

    /// What of the old certificates of its user this command ends, by itself and by the list of the old listener. Revoked ones are refused at once.
    pub(super) fn old_ended_by(&self, command: &Command, now: DateTime<Utc>) -> Vec<CommonName> {
        let Some(old) = self.vpn.old() else {
            return Vec::new();
        };
        let is_let_in = |certificate: &&OldCertificate| match old.revoke(certificate) {
            Ok(()) => true,
            Err(error) => {
                warn!(error = %chain(&error), "A revoked old certificate could not be refused: all of its name are");
                false
            }
        };
        let let_in: BTreeSet<&CommonName> = old_let_in(command, now)
            .filter(is_let_in)
            .map(|certificate| &certificate.common_name)
            .collect();
        let mut names = old.names_of(&[command.user_key()]);
        let told = old_certificates_of(command).iter();
        names.extend(told.map(|certificate| certificate.common_name.clone()));
        names.retain(|name| !let_in.contains(name));
        names.into_iter().collect()
    }

    /// Notes what an operator should know of the old certificates that a command names, if none of them can be let in.
    pub(super) fn note_old(&self, handled: &mut Handled, command: &Command) {
        if old_certificates_of(command).is_empty() {
            return;
        }
        let note = match (self.vpn.old(), group_of(command)) {
            (None, _) => NO_OLD_LISTENER,
            (Some(_), Some(_)) => IN_A_GROUP,
            (Some(_), None) => return,
        };
        handled.note(note);
        if handled.changed
            && let Some(times) = NOT_LET_IN.admit()
        {
            info!(user.key = %command.user_key(), reason = note, times, "Old certificates of a user are not let in");
        }
    }

    /// As [`Applier::reconcile_old`], for who has the turn.
    pub(super) async fn reconcile_old(&self, turn: &Turn) -> Result<Reconciled, ApplyError> {
        let Some(old) = self.vpn.old() else {
            return Ok(Reconciled::default());
        };
        let wanted = self.old_wanted(turn.door, &turn.refused_old()).await?;
        let looked = old.compare(wanted.clone()).await.map_err(ProjectError::from)?;
        Ok(old.mend(&looked.differing, wanted).await.map_err(ProjectError::from)?)
    }

    /// Every old certificate that may log in.
    async fn old_wanted(&self, door: Door, refused: &BTreeSet<CommonName>) -> Result<Vec<OldGrant>, ApplyError> {
        let mut wanted = match door {
            Door::Open => self.journal.read(|records| records.old_grants(Utc::now())).await?,
            Door::Closed => Vec::new(),
        };
        wanted.retain(|grant| !refused.contains(&grant.common_name));
        Ok(wanted)
    }
}
