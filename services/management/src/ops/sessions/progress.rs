//! How much of what nodes tell of sessions is written: how far living ones are is left out where that was written lately.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use vpnmanager_entities::session;
use vpnmanager_nats::ids::NodeId;

use crate::{
    domain::{
        session_history::{Change, id_of, is_progress},
        session_id::SessionId,
        session_room::{Pace, SessionRoom},
    },
    ops::quotas::metered::metered_among,
};

/// What each node may still do.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    /// So many sessions may begin.
    pub(super) begins: HashMap<NodeId, u32>,
    /// So many may be written early because their traffic counts against a quota.
    pub(super) metered: HashMap<NodeId, u32>,
}

impl Allowed {
    /// Where the nodes tell of so many sessions.
    pub(super) fn of(told_by: &HashMap<NodeId, u32>, room: &SessionRoom, now: DateTime<Utc>) -> Self {
        let each = told_by.iter();
        let begins = each
            .clone()
            .map(|(node, told)| (node.clone(), room.allows(node, *told, now)));
        let metered = each.map(|(node, told)| (node.clone(), room.allows_metered(node, *told, now)));
        Self {
            begins: begins.collect(),
            metered: metered.collect(),
        }
    }
}

/// By what it is decided whether a change is written.
pub(super) struct Written<'a> {
    /// The rows as they are.
    pub(super) held: &'a BTreeMap<SessionId, session::Model>,
    /// By the clock of the database, as the times of these rows.
    pub(super) now: DateTime<Utc>,
    /// How often rows are written.
    pub(super) pace: Pace,
}

/// What is left of changes.
pub(super) struct Thinned {
    /// These are to be written.
    pub(super) changes: Vec<Change>,
    /// So many of each node only because their traffic counts against a quota.
    pub(super) metered: HashMap<NodeId, u32>,
}

/// When a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    /// Now if the traffic counts against a quota.
    NowIfMetered,
    /// What it says comes again with the next report.
    Later,
}

impl Written<'_> {
    fn when(&self, change: &Change) -> When {
        let held = self.held.get(&id_of(&change.row));
        let Some(held) = held.filter(|held| is_progress(held, &change.row)) else {
            return When::Now;
        };
        let age = self.now - held.recorded_at;
        if age >= self.pace.progress {
            When::Now
        } else if age >= self.pace.metered {
            When::NowIfMetered
        } else {
            When::Later
        }
    }
}

/// Leaves mere progress out that was written lately. `left` is how many sessions of each node may be written early because their traffic counts
/// against a quota.
pub(super) async fn thin(
    transaction: &DatabaseTransaction,
    changes: Vec<Change>,
    written: &Written<'_>,
    mut left: HashMap<NodeId, u32>,
) -> Result<Thinned, DbErr> {
    let early = changes
        .iter()
        .filter(|change| written.when(change) == When::NowIfMetered);
    let users = early.filter_map(|change| change.row.user_id).collect();
    let members = metered_among(transaction, users).await?;
    let mut thinned = Thinned {
        changes: Vec::new(),
        metered: HashMap::new(),
    };
    for change in changes {
        let node = &change.row.server_id;
        let is_written = match written.when(&change) {
            When::Now => true,
            When::Later => false,
            When::NowIfMetered => {
                let is_metered = change.row.user_id.is_some_and(|user| members.contains(&user));
                let takes = is_metered && takes_one(&mut left, node);
                if takes {
                    *thinned.metered.entry(node.clone()).or_default() += 1;
                }
                takes
            }
        };
        if is_written {
            thinned.changes.push(change);
        }
    }
    Ok(thinned)
}

fn takes_one(left: &mut HashMap<NodeId, u32>, node: &NodeId) -> bool {
    let Some(left) = left.get_mut(node).filter(|left| **left > 0) else {
        return false;
    };
    *left -= 1;
    true
}
