//! Checks the history of sessions: each one that is open lives, none is listed twice, and the traffic of the days is that of the sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseConnection, FromQueryResult};
use serde_json::Value;
use vpnmanager_testbed::{
    api::Api,
    stack::{Node, NodeMode, Stack},
};

use super::inventory;

/// Sessions on a page: few, so that there are several pages.
const PAGE: usize = 50;
/// How long it may take until management has heard of the last ends.
const SETTLE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
/// What a node had sent before it lost its journal, or the bus its store, is recorded within this time, or when all agree.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(30);

/// When reports of sessions may have been lost that no node sends again.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    /// With the store of the bus: what management had not recorded.
    bus: Option<DateTime<Utc>>,
    /// With the journal of a node: the ends of those that were open.
    nodes: BTreeMap<String, DateTime<Utc>>,
}

impl Losses {
    /// The bus lost its store.
    pub(super) fn note_bus(&mut self) {
        self.bus = Some(Utc::now());
    }

    /// This node lost its journal, or a part of it.
    pub(super) fn note_node(&mut self, node: &str) {
        self.nodes.insert(node.to_owned(), Utc::now());
    }

    /// Of sessions of this node that were recorded last before this time, the end may be lost. `agreed`: when all had been recorded.
    fn until(&self, node: &str, agreed: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.bus.max(self.nodes.get(node).copied())?;
        Some((last + ON_ITS_WAY).min(agreed.max(last)))
    }
}

/// The sessions of a node.
#[derive(Debug, Clone)]
pub(super) struct NodeHistory {
    pub(super) node: String,
    /// In the order in which they are listed.
    pub(super) past: Vec<Past>,
    /// The ids of those that the node tells.
    pub(super) live: BTreeSet<String>,
    /// Of all days.
    pub(super) traffic: Traffic,
}

/// A session of the history.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub(super) id: String,
    pub(super) is_open: bool,
    /// Whether its end may be lost.
    pub(super) is_excused: bool,
    /// Whether management knew its user: only then its traffic counts for somebody.
    pub(super) has_user: bool,
    pub(super) traffic: Traffic,
}

/// How much was transferred, and in how many sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) sessions: u64,
}

impl Traffic {
    fn add(&mut self, more: Self) {
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.sessions += more.sessions;
    }

    fn read(item: &Value, sessions: u64) -> Option<Self> {
        Some(Self {
            bytes_in: item["bytes_in"].as_u64()?,
            bytes_out: item["bytes_out"].as_u64()?,
            sessions,
        })
    }
}

/// The result.
#[derive(Debug, Clone, Default)]
pub(super) struct Checked {
    pub(super) sessions: usize,
    /// Those that are open and do not live, because their end may be lost.
    pub(super) excused: usize,
    pub(super) violations: Vec<String>,
}

/// Waits until the history of every node is right. What is wrong with it in the end is a violation.
pub(super) async fn check(stack: &Stack, db: &DatabaseConnection, losses: &Losses, agreed: DateTime<Utc>) -> Checked {
    let began = Instant::now();
    loop {
        let checked = match read_all(stack, db, (losses, agreed)).await {
            Ok(nodes) => Checked {
                sessions: nodes.iter().map(|node| node.past.len()).sum(),
                excused: nodes.iter().map(|node| node.excused().count()).sum(),
                violations: nodes.iter().flat_map(untrue).collect(),
            },
            Err(error) => Checked {
                violations: vec![format!("the history of sessions cannot be read: {error:#}")],
                ..Checked::default()
            },
        };
        if checked.violations.is_empty() || began.elapsed() >= SETTLE {
            return checked;
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl NodeHistory {
    /// Open ones that the node does not tell.
    fn astray(&self) -> impl Iterator<Item = &Past> {
        self.past
            .iter()
            .filter(move |past| past.is_open && !self.live.contains(&past.id))
    }

    fn excused(&self) -> impl Iterator<Item = &Past> {
        self.astray().filter(|past| past.is_excused)
    }
}

/// What is wrong with the history of a node: one sentence for each.
pub(super) fn untrue(history: &NodeHistory) -> Vec<String> {
    let node = &history.node;
    let mut told = Vec::new();
    let (mut ids, mut sum) = (BTreeSet::new(), Traffic::default());
    for past in &history.past {
        if !ids.insert(&past.id) {
            told.push(format!("the history of {node} has the session {} twice", past.id));
        }
        if past.has_user {
            sum.add(past.traffic);
        }
    }
    for past in history.astray().filter(|past| !past.is_excused) {
        told.push(format!(
            "the session {} is open in the history, and {node} does not list it",
            past.id
        ));
    }
    if sum != history.traffic {
        told.push(format!(
            "the traffic of {node} is {:?}, and that of its sessions {sum:?}",
            history.traffic
        ));
    }
    told
}

/// Whether one of these sessions of the history is of this device, with this credential, and began at this time or later.
pub(super) fn tells_of(items: &[Value], (device, common_name): (&str, &str), since: DateTime<Utc>) -> bool {
    items.iter().any(|item| {
        let began = item["since"]
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        item["device"] == device && item["common_name"] == common_name && began.is_some_and(|at| at >= since)
    })
}

#[derive(FromQueryResult)]
struct Recorded {
    id: String,
    recorded_at: DateTime<Utc>,
}

async fn read_all(
    stack: &Stack,
    db: &DatabaseConnection,
    (losses, agreed): (&Losses, DateTime<Utc>),
) -> anyhow::Result<Vec<NodeHistory>> {
    let api = stack.api();
    let mut histories = Vec::new();
    for node in stack.nodes() {
        let mut history = read(&api, node).await?;
        let recorded = "SELECT server_id || '.' || extract(epoch FROM since)::bigint::text || '.' || cid::text AS id, recorded_at FROM sessions";
        let recorded: Vec<Recorded> = inventory::rows(db, recorded).await?;
        let recorded: BTreeMap<String, DateTime<Utc>> =
            recorded.into_iter().map(|row| (row.id, row.recorded_at)).collect();
        let lost_until = losses.until(&history.node, agreed);
        for past in &mut history.past {
            let at = recorded.get(&past.id);
            past.is_excused = at.zip(lost_until).is_some_and(|(at, until)| *at < until);
        }
        histories.push(history);
    }
    Ok(histories)
}

async fn read(api: &Api, node: Node<'_>) -> anyhow::Result<NodeHistory> {
    let id = node.id();
    // The history first: what began after that may live and be none of it.
    let past = pages(api, &format!("/api/sessions/history?server_id={id}")).await?;
    let past = past
        .iter()
        .map(|item| past_of(item).with_context(|| format!("no session: {item}")));
    let past = past.collect::<anyhow::Result<Vec<_>>>()?;
    // Nobody can ask a node in this mode.
    let live = match node.mode() {
        NodeMode::None => Vec::new(),
        NodeMode::Managed | NodeMode::External => pages(api, &format!("/api/endnodes/{id}/sessions")).await?,
    };
    let ids = live.iter().filter_map(|item| item["id"].as_str());
    let days = api.get(&format!("/api/endnodes/{id}/traffic")).await?.expect(200)?;
    let mut traffic = Traffic::default();
    for day in days.items() {
        let sessions = day["sessions"].as_u64().unwrap_or_default();
        traffic.add(Traffic::read(day, sessions).with_context(|| format!("no traffic: {day}"))?);
    }
    Ok(NodeHistory {
        node: id,
        past,
        live: ids.map(str::to_owned).collect(),
        traffic,
    })
}

fn past_of(item: &Value) -> Option<Past> {
    Some(Past {
        id: item["id"].as_str()?.to_owned(),
        is_open: item["end"].is_null(),
        is_excused: false,
        has_user: item["username"].is_string(),
        traffic: Traffic::read(item, 1)?,
    })
}

/// All items of a list, page by page.
async fn pages(api: &Api, path: &str) -> anyhow::Result<Vec<Value>> {
    let and = if path.contains('?') { '&' } else { '?' };
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api
            .get(&format!("{path}{and}limit={PAGE}{cursor}"))
            .await?
            .expect(200)?;
        let missing: &[Value] = page.body["missing"].as_array().map_or(&[], Vec::as_slice);
        anyhow::ensure!(missing.is_empty(), "{path}: {missing:?} did not tell");
        items.extend_from_slice(page.items());
        let Some(next) = page.body["next_cursor"].as_str() else {
            return Ok(items);
        };
        cursor = format!("&cursor={next}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn an_end_may_be_lost_with_the_bus_or_the_own_journal() {
        let losses = Losses {
            bus: Some(at(10)),
            nodes: BTreeMap::from([("node-1".to_owned(), at(50))]),
        };
        assert_eq!(losses.until("node-1", at(200)), Some(at(80)));
        assert_eq!(losses.until("node-1", at(60)), Some(at(60)));
        assert_eq!(losses.until("node-2", at(200)), Some(at(40)));
        assert_eq!(Losses::default().until("node-2", at(200)), None);
    }

    #[test]
    fn a_login_is_told_by_a_session_of_its_device_that_began_since() {
        let session = json!({ "device": "phone", "common_name": "alice.b", "since": "2027-01-15T08:00:10Z" });
        let items = [session];
        assert_eq!(at(10).to_rfc3339(), "2027-01-15T08:00:10+00:00");
        assert!(tells_of(&items, ("phone", "alice.b"), at(10)));
        assert!(!tells_of(&items, ("phone", "alice.b"), at(11)));
        assert!(!tells_of(&items, ("phone", "alice.a"), at(10)));
        assert!(!tells_of(&items, ("default", "alice.b"), at(10)));
    }
}
