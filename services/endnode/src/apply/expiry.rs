//! Expiry, by the node's own clock: which may have been wrong for a while.

use chrono::{DateTime, Utc};
use tracing::{info, warn};
use vpnmanager_nats::events::EventKind;

use super::{
    applier::{Applier, ApplyError, Inner},
    projection::Merged,
    turn::Turn,
};
use crate::{
    backend::CutSessions,
    plan::{Access, access},
};

impl Applier {
    /// Refuses and cuts every user who has expired. Returns when the next user expires.
    pub async fn expire(&self) -> Result<Option<DateTime<Utc>>, ApplyError> {
        let inner = &self.inner;
        let mut turn = inner.turn.lock().await;
        let now = Utc::now();
        if turn.may_have_expired_early(now) {
            inner.undo_early_expiries(&turn, now).await?;
        }
        turn.looked_for_expiries(now);
        let ended = turn.take_ended(now);
        let unjournaled = match ended.is_empty() {
            true => None,
            false => Some(inner.refuse_unjournaled(&mut turn, ended.into(), now).await?),
        };
        let due = inner.journal.read(move |records| records.due_expiries(now)).await?;
        let mut refused = Vec::with_capacity(due.len());
        for expired in due {
            let access = Access {
                allow: Vec::new(),
                deny: expired.credentials,
            };
            let ending = inner.project_access(access, vec![expired.user_key], &turn).await;
            refused.push((expired.user_key, ending));
        }
        let over = inner.refuse_over(&turn, now).await;
        let next_unjournaled = turn.next_end();
        drop(turn);
        let (mut enforced, mut failure) = (Vec::with_capacity(refused.len()), None);
        if let Some(ending) = unjournaled {
            failure = ending.carry_out(&inner.vpn).await.err();
        }
        for (user_key, ending) in refused {
            match ending.carry_out(&inner.vpn).await {
                Ok(CutSessions { count: sessions, .. }) => {
                    info!(user.key = %user_key, sessions, "Refused an expired user");
                    let kind = EventKind::UserExpired { user_key, sessions };
                    enforced.push((user_key, inner.node.event(kind)));
                }
                // One whose file cannot be removed keeps none of the others in.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let unread = match over {
            Ok(ending) => {
                if let Some(ending) = ending {
                    failure = failure.or(ending.carry_out(&inner.vpn).await.err());
                }
                None
            }
            Err(error) => Some(error),
        };
        if !enforced.is_empty() {
            let noted = inner.journal.write(move |records| {
                for (user, event) in &enforced {
                    if records.expiry_enforced(*user, now)? {
                        records.queue_event(event)?;
                    }
                }
                Ok(())
            });
            noted.await?;
            inner.node.wakes.events.wake();
        }
        if let Some(failure) = failure.map(ApplyError::from).or(unread) {
            return Err(failure);
        }
        let next = inner.journal.read(move |records| {
            let ends = [
                records.next_expiry()?,
                records.next_end_of_old_certificates(now)?,
                next_unjournaled,
            ];
            Ok(ends.into_iter().flatten().min())
        });
        Ok(next.await?)
    }
}

impl Inner {
    /// Lets in again whose expiry was enforced too early, because the clock was ahead for a while, and enforces it when it comes.
    async fn undo_early_expiries(&self, turn: &Turn, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let early = self.journal.read(move |records| records.early_expiries(now)).await?;
        if early.is_empty() {
            return Ok(());
        }
        self.journal
            .write(move |records| records.undo_early_expiries(now))
            .await?;
        let mut merged = Merged::default();
        for held in &early {
            merged.add(access(held, now));
        }
        let users = early.iter().map(|held| held.command.user_key()).collect();
        merged.add_old(self.old_change(users, turn).await);
        warn!(
            users = early.len(),
            "The clock was ahead: users whose time is not over yet had been refused, and are let in again"
        );
        Ok(self.project(merged, turn).await.projected()?)
    }
}
