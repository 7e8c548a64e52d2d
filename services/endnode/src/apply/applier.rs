//! The one place where access changes.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use tokio::sync::Mutex;
use tracing::{info, warn};
use vpnmanager_nats::{
    commands::Command,
    ids::{CommonName, IntentId, UserKey},
    intents::Intent,
};

use super::{
    commit::{Handled, History, Store},
    projection::{Ending, Merged, ProjectError, Projected, rebuild_profiles, remove_profiles},
    turn::Turn,
};
use crate::{
    backend::Rest,
    groups::Holding,
    journal::{Journal, JournalError},
    node::Node,
    plan::{Access, Held, access},
    vpn::Vpn,
};

/// Changes who is let in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Applier {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) node: Node,
    pub(super) journal: Journal,
    pub(super) vpn: Vpn,
    pub(super) holding: Holding,
    profiles: PathBuf,
    /// Held from a commit to the end of its projection, so that projections happen in the order of their commits. Sessions are ended after it:
    /// a server that is slow or away keeps nobody waiting for a change of the allow-list.
    pub(super) turn: Mutex<Turn>,
}

/// What an operator should know when a session may go on.
const STILL_ALIVE: &str = "new logins are refused, but a live session could not be ended: OpenVPN's management socket cannot be used \
     (another program may hold it). It ends as soon as the agent can use it, or at the session's next key exchange";

/// The same where the agent looks after no server.
const NOT_ENDED: &str = "new logins are refused, but the agent ends no session on this node: OPENVPN_MODE is none. An OpenVPN that uses \
     its allow-list refuses a live session at its next key exchange; to end it at once, end it there, or set OPENVPN_MODE to external";

/// What he should know of credentials that are refused although the command lets them in. They are let in without another command.
const HELD_BACK: &str =
    "refused until the firewall holds the rules of groups; what keeps it from that is the reason of the node's state";

/// A change was not made, or not made visible.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing changed.
    #[error("journaling a change failed")]
    Journal(#[from] JournalError),
    /// The journal holds it, the projection does not show it yet.
    #[error("projecting a change failed")]
    Project(#[from] ProjectError),
}

impl Applier {
    /// An applier over this journal, and what it is projected on.
    pub fn new(node: Node, journal: Journal, projected: Projected) -> Self {
        let Projected { vpn, holding, profiles } = projected;
        Self {
            inner: Arc::new(Inner {
                node,
                journal,
                vpn,
                holding,
                profiles,
                turn: Mutex::new(Turn::default()),
            }),
        }
    }

    /// Applies commands, in one commit. One result for each, in order. `sequence` is the newest of them in the stream,
    /// 0 when they came another way.
    ///
    /// # Errors
    /// Repeat the commands: what was stored of them is recognised.
    pub async fn apply(&self, commands: Vec<Command>, sequence: u64) -> Result<Vec<Handled>, ApplyError> {
        self.apply_with(commands, History::Open, sequence).await
    }

    /// The same for commands with this history.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_with(
        &self,
        commands: Vec<Command>,
        history: History,
        sequence: u64,
    ) -> Result<Vec<Handled>, ApplyError> {
        let inner = &self.inner;
        let mut turn = inner.turn.lock().await;
        let commands: Arc<[Command]> = commands.into();
        let (now, profiles, storing) = (Utc::now(), inner.profiles.clone(), Arc::clone(&commands));
        let mut holding = inner.holding.draft();
        let stored = inner.journal.write(move |records| {
            records.advance_sequence(sequence)?;
            let mut store = Store {
                records,
                profiles: &profiles,
                holding: &mut holding,
                history,
                now,
            };
            let stored = storing.iter().map(|command| store.store(command));
            let stored = stored.collect::<Result<Vec<_>, _>>()?;
            Ok((stored, holding, records.snapshot()?.complete))
        });
        let (mut stored, holding, is_complete) = match stored.await {
            Ok(stored) => stored,
            Err(failure) => {
                let ending = inner.refuse_unjournaled(&mut turn, commands, now).await?;
                drop(turn);
                ending.carry_out(&inner.vpn).await?;
                return Err(failure.into());
            }
        };
        holding.commit();
        turn.journaled(&commands);
        if is_complete {
            turn.is_complete();
        }
        // Where the list cannot be read, what is known is carried out first.
        let looked = turn.unknown(&inner.vpn).await.map(|unknown| {
            for (stored, command) in stored.iter_mut().zip(commands.iter()) {
                let of_user = unknown.remove(CommonName::part_of(command.username()));
                stored.refuse(of_user.into_iter().flatten());
            }
        });
        let (mut merged, mut forget, mut applied) = (Merged::default(), Vec::new(), Vec::with_capacity(stored.len()));
        let changed = stored.iter().any(|stored| stored.handled.changed);
        let mut concerned = Vec::with_capacity(stored.len());
        for stored in stored {
            concerned.push((!stored.access.deny.is_empty(), stored.access.allow.clone()));
            merged.add(stored.access);
            merged.moves(stored.moved);
            forget.extend(stored.forget);
            applied.push(stored.handled);
        }
        let users = commands.iter().map(Command::user_key).collect();
        merged.add_old(inner.old_change(users, &turn).await);
        let sessions = inner.project(merged, &turn).await;
        drop(turn);
        let held_back = sessions.held_back().clone();
        let note = match sessions.carry_out(&inner.vpn).await?.rest {
            Rest::Nothing => None,
            Rest::Pending => Some(STILL_ALIVE),
            Rest::Unseen => Some(NOT_ENDED),
        };
        for (handled, command) in applied.iter_mut().zip(commands.iter()) {
            inner.note_old(handled, command);
        }
        for (handled, (ends, let_in)) in applied.iter_mut().zip(concerned) {
            if let Some(note) = note.filter(|_| ends) {
                handled.note(note);
            }
            if let_in.iter().any(|name| held_back.contains(name)) {
                handled.note(HELD_BACK);
            }
        }
        remove_profiles(&inner.profiles, &forget);
        looked?;
        if changed {
            inner.node.wakes.expiry.wake();
        }
        Ok(applied)
    }

    /// Deletes a user on this node at once and queues the request that tells management.
    /// False when the node no longer holds the user, or the user was deleted here before.
    pub async fn remove_locally(&self, user: UserKey, intent: Intent) -> Result<bool, ApplyError> {
        let inner = &self.inner;
        let turn = inner.turn.lock().await;
        let held = inner.journal.write(move |records| {
            let Some(held) = records.user(user)?.filter(is_living) else {
                return Ok(None);
            };
            records.remove_locally(user, intent.id)?;
            records.queue_intent(&intent, Utc::now())?;
            Ok(Some(held))
        });
        let Some(held) = held.await? else { return Ok(false) };
        inner.node.wakes.intents.wake();
        let deny: Vec<CommonName> = held
            .credentials
            .into_iter()
            .map(|credential| credential.common_name)
            .collect();
        let access = Access {
            allow: Vec::new(),
            deny,
        };
        let ending = inner.project_access(access, vec![user], &turn).await;
        drop(turn);
        ending.carry_out(&inner.vpn).await?;
        info!(user.key = %user, "Deleted a user locally");
        Ok(true)
    }

    /// Management refused a local delete: the user is let in again as management says.
    pub async fn restore(&self, intent: IntentId) -> Result<(), ApplyError> {
        let turn = self.inner.turn.lock().await;
        let held = self
            .inner
            .journal
            .write(move |records| records.restore_locally_removed(intent))
            .await?;
        let Some(held) = held else { return Ok(()) };
        let users = vec![held.command.user_key()];
        let ending = self.inner.project_access(access(&held, Utc::now()), users, &turn).await;
        drop(turn);
        ending.carry_out(&self.inner.vpn).await?;
        Ok(())
    }

    /// Removes users that management does not know (ghosts), and returns them. `known` is asked once nothing else can be journaled,
    /// so that a user who came a moment before is not taken for a ghost.
    pub async fn sweep(&self, known: impl FnOnce() -> HashSet<UserKey>) -> Result<Vec<Held>, ApplyError> {
        let inner = &self.inner;
        let mut turn = inner.turn.lock().await;
        let known = known();
        let mut holding = inner.holding.draft();
        let ghosts = inner.journal.write(move |records| {
            let ghosts = records.users_besides(&known)?;
            for ghost in &ghosts {
                records.forget_user(ghost.command.user_key())?;
                holding.forget(ghost.credentials.iter().map(|credential| &credential.common_name));
            }
            Ok((ghosts, holding))
        });
        let (ghosts, holding) = ghosts.await?;
        holding.commit();
        let names = ghosts.iter().flat_map(|ghost| &ghost.credentials);
        let deny: Vec<CommonName> = names.map(|credential| credential.common_name.clone()).collect();
        remove_profiles(&inner.profiles, &deny);
        let access = Access {
            allow: Vec::new(),
            deny,
        };
        let users = ghosts.iter().map(|ghost| ghost.command.user_key()).collect();
        let ending = inner.project_access(access, users, &turn).await;
        for ghost in &ghosts {
            turn.forgotten(ghost.command.user_key());
            warn!(user.key = %ghost.command.user_key(), "Removed a user that management does not know");
        }
        drop(turn);
        ending.carry_out(&inner.vpn).await?;
        Ok(ghosts)
    }

    /// Makes the folder of profiles equal to the journal.
    pub async fn rebuild_profiles(&self) -> Result<(), ProjectError> {
        rebuild_profiles(&self.inner.journal, &self.inner.profiles).await
    }

    /// The folder of profiles.
    pub fn profiles(&self) -> &Path {
        &self.inner.profiles
    }
}

impl Inner {
    /// Makes a change of access visible, except that it lets in nobody who is refused whatever the journal says, or whose group cannot be held.
    pub(super) async fn project(&self, mut change: Merged, turn: &Turn) -> Ending {
        change.refuse(&turn.refused(), &self.holding);
        change.project(&self.vpn, &self.holding, turn.door).await
    }

    /// The same of the access of these users, with what the journal says of their old certificates.
    pub(super) async fn project_access(&self, access: Access, users: Vec<UserKey>, turn: &Turn) -> Ending {
        let mut change = Merged::from(access);
        change.add_old(self.old_change(users, turn).await);
        self.project(change, turn).await
    }
}

fn is_living(held: &Held) -> bool {
    match held.command {
        Command::PutUser(_) => held.removed_by.is_none(),
        Command::RemoveUser(_) => false,
    }
}
