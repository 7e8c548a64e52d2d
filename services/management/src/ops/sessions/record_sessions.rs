//! Records what nodes tell of sessions: the history, the traffic of each day, and when a user was last seen.

use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr};
use tracing::warn;
use vpnmanager_entities::session;
use vpnmanager_nats::{ids::NodeId, node_requests::LiveSession, sessions::SessionReport};
use vpnmanager_runtime::log_limit::LogLimit;

use super::{
    history_lock::lock_history,
    last_access,
    progress::{Allowed, Thinned, Written, thin},
    session_owners,
    session_owners::Owner,
    session_rows,
    traffic_days::add_traffic,
};
use crate::{
    domain::{
        session_history::{Change, follow, told},
        session_id::SessionId,
        session_room::{Pace, SessionRoom},
        traffic_days::additions,
    },
    ops::{database_now::database_now, nodes::track_agent_runs::refused_runs, transact::transact},
};

static LEFT_OUT: LogLimit = LogLimit::lines("sessions of a node were left out of the history", 5);
static WAITING: LogLimit = LogLimit::lines("sessions of a node wait for room in the history", 5);

/// Why what a node tells of a session is not in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    /// It has no number, or times that no session has.
    Unfit,
    /// Its credential is none that the node may let in, or has made.
    Foreign,
    /// The node told of it before, with another credential.
    Taken,
}

impl LeftOut {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unfit => "they have no number, or begin in the future",
            Self::Foreign => "their credentials are of no user that the node holds",
            Self::Taken => "the node told of them before, with other credentials",
        }
    }
}

/// What became of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedReports {
    /// The places of those with sessions for which there is no room yet: they must come again.
    pub come_again: BTreeSet<usize>,
    /// The rows of the users of whom a session began that lives, as far as is known.
    pub connected: BTreeSet<i64>,
    /// The rows of the users to whose traffic something was added.
    pub transferred: BTreeSet<i64>,
    /// Sessions that began.
    pub begun: u64,
}

/// What was recorded of each node.
#[derive(Debug, Default)]
struct Recorded {
    began: HashMap<NodeId, u32>,
    /// [`Thinned::metered`].
    metered: HashMap<NodeId, u32>,
    left_out: BTreeMap<(NodeId, LeftOut), u32>,
    /// For which there is no room yet.
    waiting: BTreeSet<SessionId>,
    connected: BTreeSet<i64>,
    transferred: BTreeSet<i64>,
}

impl Recorded {
    fn leave_out(&mut self, node: &NodeId, why: LeftOut) {
        *self.left_out.entry((node.clone(), why)).or_default() += 1;
    }

    fn waiting_of_each(&self) -> BTreeMap<&NodeId, u32> {
        let mut waiting = BTreeMap::new();
        for id in &self.waiting {
            *waiting.entry(&id.node).or_default() += 1;
        }
        waiting
    }
}

/// Records reports of sessions in one transaction; they may be recorded again, before or after others of the same sessions. Those of a clone
/// are ignored. How far a living session is, is written once a minute at most (`room`): what is left out comes with its next report. A session
/// is begun only by a node that holds its user or made its credential; others are left out and logged. Reports with sessions for which `room`
/// has no room yet must come again.
///
/// The transaction locks the nodes of the reports, for itself only, and at last the users who were seen, in the order of their ids and
/// without waiting for any.
///
/// Where the traffic of a session counts against a quota, how far it is, is written more often.
pub async fn record_sessions(
    db: &DatabaseConnection,
    room: &mut SessionRoom,
    reports: &[SessionReport],
) -> Result<RecordedReports, DbErr> {
    let now = Utc::now();
    let mut told_by: HashMap<NodeId, u32> = HashMap::new();
    for report in reports {
        let records = u32::try_from(report.records.len()).unwrap_or(u32::MAX);
        let sum = told_by.entry(report.node.clone()).or_default();
        *sum = sum.saturating_add(records);
    }
    let allowed = &Allowed::of(&told_by, room, now);
    let pace = room.pace();
    let recorded = transact(db, |tx| async move {
        record_within(&tx, reports, allowed.clone(), pace).await
    })
    .await?;
    for (node, began) in &recorded.began {
        room.spend(node, *began, now);
    }
    for (node, written) in &recorded.metered {
        room.spend_metered(node, *written, now);
    }
    for ((node, why), sessions) in &recorded.left_out {
        if let Some(times) = LEFT_OUT.admit() {
            warn!(node.id = %node, sessions, why = why.as_str(), times, "Left sessions of a node out of the history");
        }
    }
    for (node, sessions) in recorded.waiting_of_each() {
        if let Some(times) = WAITING.admit() {
            warn!(node.id = %node, sessions, times, "A node begins more sessions than the history has room for, they wait");
        }
    }
    let waits = |report: &SessionReport| ids(report).any(|id| recorded.waiting.contains(&id));
    let places = reports.iter().enumerate().filter(|(_, report)| waits(report));
    Ok(RecordedReports {
        come_again: places.map(|(place, _)| place).collect(),
        connected: recorded.connected,
        transferred: recorded.transferred,
        begun: recorded.began.values().map(|began| u64::from(*began)).sum(),
    })
}

/// The sessions that a report tells of.
fn ids(report: &SessionReport) -> impl Iterator<Item = SessionId> {
    report.records.iter().filter_map(|record| {
        let LiveSession { since, cid, .. } = &record.session;
        SessionId::new(report.node.clone(), *since, (*cid)?)
    })
}

async fn record_within(
    transaction: &DatabaseTransaction,
    reports: &[SessionReport],
    mut allowed: Allowed,
    pace: Pace,
) -> Result<Recorded, DbErr> {
    let now = lock_nodes(transaction, reports).await?;
    let refused = refused_runs(transaction).await?;
    let counts = |report: &&SessionReport| !refused.contains(&(report.node.clone(), report.instance));
    let mut recorded = Recorded::default();
    let told = merged(reports.iter().filter(counts), now, &mut recorded);
    let rows: Vec<&session::Model> = told.values().collect();
    let held = session_rows::read(transaction, &rows).await?;
    let (known, new): (BTreeMap<SessionId, session::Model>, BTreeMap<SessionId, session::Model>) =
        told.into_iter().partition(|(id, _)| held.contains_key(id));
    let changes = followed(&held, &known, &mut recorded);
    let held = &held;
    let thinned = thin(transaction, changes, &Written { held, now, pace }, allowed.metered).await?;
    let Thinned { mut changes, metered } = thinned;
    recorded.metered = metered;
    let rows: Vec<&session::Model> = new.values().collect();
    let owners = session_owners::read(transaction, &rows).await?;
    for (id, row) in new {
        let owner = owners.get(&(row.common_name.clone(), id.node.clone()));
        let left = allowed.begins.entry(id.node.clone()).or_default();
        match owner {
            None => recorded.leave_out(&id.node, LeftOut::Foreign),
            Some(_) if *left == 0 => {
                recorded.waiting.insert(id);
            }
            Some(owner) => {
                *left -= 1;
                *recorded.began.entry(id.node).or_default() += 1;
                changes.push(Change::beginning(owned(row, owner)));
            }
        }
    }
    if changes.is_empty() {
        return Ok(recorded);
    }
    let lives = |change: &&Change| change.began && change.row.ended_at.is_none();
    let connected = changes.iter().filter(lives).filter_map(|change| change.row.user_id);
    recorded.connected = connected.collect();
    let adds = |change: &&Change| change.bytes_in > 0 || change.bytes_out > 0;
    let transferred = changes.iter().filter(adds).filter_map(|change| change.row.user_id);
    recorded.transferred = transferred.collect();
    session_rows::write(transaction, &changes).await?;
    add_traffic(transaction, additions(&changes, now)).await?;
    // Last, because others wait for who is locked here.
    last_access::follow(transaction, &changes, now).await?;
    Ok(recorded)
}

/// What the reports change of sessions that are in the history.
fn followed(
    held: &BTreeMap<SessionId, session::Model>,
    told: &BTreeMap<SessionId, session::Model>,
    recorded: &mut Recorded,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, told) in told {
        let Some(held) = held.get(id) else { continue };
        if held.common_name == told.common_name {
            changes.extend(Change::following(held, told));
        } else {
            recorded.leave_out(&id.node, LeftOut::Taken);
        }
    }
    changes
}

/// Keeps other replicas from recording sessions of these nodes until the transaction ends, so that no byte is counted twice. Gives the time of
/// the database.
async fn lock_nodes(transaction: &DatabaseTransaction, reports: &[SessionReport]) -> Result<DateTime<Utc>, DbErr> {
    let nodes: BTreeSet<&NodeId> = reports.iter().map(|report| &report.node).collect();
    lock_history(transaction, &nodes).await?;
    database_now(transaction).await
}

/// What the reports tell of each session, all together.
fn merged<'a>(
    reports: impl Iterator<Item = &'a SessionReport>,
    now: DateTime<Utc>,
    recorded: &mut Recorded,
) -> BTreeMap<SessionId, session::Model> {
    let mut sessions = BTreeMap::new();
    for report in reports {
        for record in &report.records {
            let Some((id, row)) = told(&report.node, record, now) else {
                recorded.leave_out(&report.node, LeftOut::Unfit);
                continue;
            };
            match sessions.entry(id) {
                Entry::Vacant(place) => {
                    place.insert(row);
                }
                Entry::Occupied(mut place) => {
                    if place.get().common_name != row.common_name {
                        recorded.leave_out(&report.node, LeftOut::Taken);
                    } else if let Some(after) = follow(place.get(), &row) {
                        place.insert(after);
                    }
                }
            }
        }
    }
    sessions
}

fn owned(row: session::Model, owner: &Owner) -> session::Model {
    session::Model {
        user_id: owner.user_id,
        username: owner.username.clone(),
        device: owner.device.clone(),
        ..row
    }
}
