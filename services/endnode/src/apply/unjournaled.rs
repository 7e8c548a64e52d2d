//! Commands that the journal does not take: whose access they end must be refused all the same.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use tracing::warn;
use vpnmanager_nats::{
    commands::Command,
    ids::{CommonName, Revision, UserKey},
};
use vpnmanager_runtime::error_chain::chain;

use super::{
    applier::{ApplyError, Inner},
    old_change::OldChange,
    projection::{Ending, Merged, ProjectError},
    turn::{Refusal, Turn, end_of},
};
use crate::{
    backend::VpnBackend as _,
    journal::JournalError,
    plan::{Access, Plan, is_expired, plan},
};

/// Whose credentials a command of this revision ends.
type Ended = (UserKey, Revision, Vec<CommonName>);

impl Inner {
    /// A journal that is full, locked or damaged must let in nobody whose access has ended: they are refused now, and stay so in this run of
    /// the agent until the journal takes the command, which comes again. Whose access ends later by a command is refused then.
    pub(super) async fn refuse_unjournaled(
        &self,
        turn: &mut Turn,
        commands: Arc<[Command]>,
        now: DateTime<Utc>,
    ) -> Result<Ending, ApplyError> {
        let ends_later = |command: &&Command| end_of(command).is_some_and(|end| end > now);
        let mut is_news = false;
        for command in commands.iter().filter(ends_later) {
            is_news |= turn.ends_later(command);
        }
        if is_news {
            self.node.wakes.expiry.wake();
        }
        let read = Arc::clone(&commands);
        let refused = self.journal.read(move |records| {
            let mut refused = Vec::new();
            for command in read.iter() {
                let user = command.user_key();
                if let Plan::Change(change) = plan(records.user(user)?.as_ref(), command, now) {
                    refused.push((user, command.revision(), change.access.deny));
                }
            }
            Ok(refused)
        });
        let refused = match refused.await {
            Err(JournalError::Closed) => return Err(JournalError::Closed.into()),
            Err(error) => {
                warn!(error = %chain(&error), "The journal cannot be read: who is refused follows from the command and the allow-list");
                self.ended_by(&commands, now).await?
            }
            Ok(refused) => refused,
        };
        let mut merged = Merged::default();
        for (user, revision, names) in refused {
            let mut of_user = commands.iter().filter(|command| command.user_key() == user);
            let command = of_user.find(|command| command.revision() == revision);
            let old_names = command.map_or_else(Vec::new, |command| self.old_ended_by(command, now));
            let refusal = Refusal {
                revision,
                names: names.clone(),
                old_names: old_names.clone(),
            };
            if (names.is_empty() && old_names.is_empty()) || !turn.refuse(user, refusal) {
                continue;
            }
            warn!(user.key = %user, "Refused a user whose command could not be journaled");
            merged.add(Access {
                allow: Vec::new(),
                deny: names,
            });
            merged.add_old(OldChange::denying(old_names));
        }
        Ok(self.project(merged, turn).await)
    }

    /// What these commands end, by the names on the allow-list. Those of a user begin with the user's name, or as much of it as fits.
    async fn ended_by(&self, commands: &[Command], now: DateTime<Utc>) -> Result<Vec<Ended>, ProjectError> {
        let listed = self.vpn.compare(BTreeSet::new()).await?;
        let ended = commands.iter().map(|command| {
            let kept: &[CommonName] = match command {
                Command::PutUser(put) if put.active && !is_expired(put, now) => &put.credentials,
                Command::PutUser(_) | Command::RemoveUser(_) => &[],
            };
            let part = CommonName::part_of(command.username());
            let names = listed
                .iter()
                .filter(|name| name.user_part() == part && !kept.contains(name));
            (command.user_key(), command.revision(), names.cloned().collect())
        });
        Ok(ended.collect())
    }
}
