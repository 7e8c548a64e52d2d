//! What is told about an import: to whoever asked for it, and to whoever looks at it later.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vpnmanager_adopt::found::{Found, FoundServer};
use vpnmanager_nats::{bounded::shortened, ids::NodeId, network::Network, username::Username};

use super::{
    outcome::Outcome,
    planned::{Planned, Work},
    policies::Policies,
    pool_network::network_of,
};

/// The longest name of a user or a file that is repeated, in characters: no source makes a report, or a terminal, of what it likes.
const LONGEST_NAME: usize = 255;
const LONGEST_REMARK: usize = 500;

/// What became of a source, or would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The id of its record; `None`: nothing was changed, because it was a trial, or because all was as the source says.
    pub id: Option<Uuid>,
    /// The node that the source is of.
    pub node: NodeId,
    /// What the source is called.
    pub source: String,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// What kinds of source it was made of.
    pub kinds: Vec<String>,
    /// How many entries came to what.
    pub counts: Counts,
    /// The certificate authority of the old server.
    pub authority: Option<Authority>,
    /// What its `server.conf` says.
    pub server: Option<Server>,
    /// The entries, in the order of the source.
    pub entries: Vec<Entry>,
    /// How many entries are left out.
    pub entries_left_out: u64,
    /// What could not be read or carried over, and what people should know of all of it.
    pub remarks: Vec<Remark>,
}

/// How many entries came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`Outcome::Created`].
    pub created: u64,
    /// [`Outcome::Joined`].
    pub joined: u64,
    /// [`Outcome::Changed`].
    pub changed: u64,
    /// [`Outcome::Unchanged`].
    pub unchanged: u64,
    /// [`Outcome::Conflict`].
    pub conflicts: u64,
    /// [`Outcome::Skipped`].
    pub skipped: u64,
    /// Certificates of the old server that the node accepts in addition.
    pub old_certificates: u64,
}

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its name.
    pub subject: String,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

/// What a `server.conf` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Where its clients connect.
    pub listeners: Vec<String>,
    /// The networks of its clients.
    pub networks: Vec<String>,
    /// The network of a pool that leads its users to the same. It is not set: `PATCH /api/pools/{name}` does that.
    pub pool_network: Network,
}

/// What became of one user of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name in the source.
    pub name: String,
    /// The name of the user in the fleet; `None`: there is none.
    pub username: Option<Username>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, and what else people should know.
    pub reasons: Vec<String>,
    /// The file of the source.
    pub file: String,
    /// The line or row in it, from 1.
    pub line: Option<u64>,
}

/// What people should know of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The file of the source.
    pub file: String,
    /// The line or row in it, from 1; `None`: all of it.
    pub line: Option<u64>,
    /// What it is and why.
    pub text: String,
}

/// What the report is of.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The node that the source is of.
    pub node: &'a NodeId,
    /// What the source is called.
    pub source: &'a str,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: &'a str,
    /// What was found in it.
    pub found: &'a Found,
    /// What was decided beforehand.
    pub policies: &'a Policies,
}

impl Report {
    /// The report of what was planned.
    pub fn of(about: About<'_>, planned: &[Planned]) -> Self {
        let found = about.found;
        let mut remarks: Vec<Remark> = found.remarks.iter().map(Remark::of).collect();
        let counts = Counts::of(planned);
        let group = &about.policies.group;
        if counts.old_certificates > 0 && !group.is_default() {
            remarks.push(Remark::of_all(format!(
                "members of the group {group} are not let in at the old listener: their old profiles end"
            )));
        }
        let server = found.server.as_ref().map(|server| Server::of(server, &mut remarks));
        Self {
            id: None,
            node: about.node.clone(),
            source: about.source.to_owned(),
            sha256: about.sha256.to_owned(),
            kinds: found.kinds.clone(),
            counts,
            authority: found.authority.as_ref().map(|authority| Authority {
                subject: shortened(&authority.subject, LONGEST_NAME),
                not_after: authority.not_after,
            }),
            server,
            entries: planned.iter().map(Entry::of).collect(),
            entries_left_out: 0,
            remarks,
        }
    }

    /// The same without the entries that say no more than that all is well, and with at most `most` of the others and of the remarks.
    #[must_use]
    pub fn shortened(mut self, most: usize) -> Self {
        let before = self.entries.len();
        self.entries.retain(Entry::is_noteworthy);
        self.entries.truncate(most);
        let left_out = before.saturating_sub(self.entries.len());
        self.entries_left_out += u64::try_from(left_out).unwrap_or(u64::MAX);
        if self.remarks.len() > most {
            let more = self.remarks.len() - most;
            self.remarks.truncate(most);
            self.remarks
                .push(Remark::of_all(format!("{more} further remarks are left out")));
        }
        self
    }
}

impl Counts {
    /// Counts what was planned.
    pub fn of(planned: &[Planned]) -> Self {
        let mut counts = Self::default();
        for entry in planned {
            *counts.count_of(entry.outcome) += 1;
            let added = match &entry.work {
                Work::None => 0,
                Work::Create(newcomer) => newcomer.certificates.len(),
                Work::Amend(amendment) => amendment.add.len(),
            };
            counts.old_certificates += u64::try_from(added).unwrap_or_default();
        }
        counts
    }

    /// How many entries came to this.
    pub fn of_outcome(mut self, outcome: Outcome) -> u64 {
        *self.count_of(outcome)
    }

    fn count_of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Joined => &mut self.joined,
            Outcome::Changed => &mut self.changed,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Conflict => &mut self.conflicts,
            Outcome::Skipped => &mut self.skipped,
        }
    }
}

impl Entry {
    fn of(planned: &Planned) -> Self {
        Self {
            name: shortened(&planned.name, LONGEST_NAME),
            username: planned.username.clone(),
            outcome: planned.outcome,
            reasons: planned.reasons.clone(),
            file: shortened(&planned.place.file, LONGEST_NAME),
            line: planned.place.line,
        }
    }

    /// Whether it says more than that all is well.
    pub fn is_noteworthy(&self) -> bool {
        match self.outcome {
            Outcome::Created | Outcome::Unchanged => !self.reasons.is_empty(),
            Outcome::Joined | Outcome::Changed | Outcome::Conflict | Outcome::Skipped => true,
        }
    }
}

impl Remark {
    fn of(remark: &vpnmanager_adopt::found::Remark) -> Self {
        Self {
            file: shortened(&remark.place.file, LONGEST_NAME),
            line: remark.place.line,
            text: shortened(&remark.text, LONGEST_REMARK),
        }
    }

    /// One of the source as a whole.
    pub fn of_all(text: String) -> Self {
        Self {
            file: String::new(),
            line: None,
            text,
        }
    }
}

impl Server {
    fn of(server: &FoundServer, remarks: &mut Vec<Remark>) -> Self {
        let (pool_network, left_out) = network_of(server);
        let left_out = left_out.into_iter();
        remarks.extend(left_out.map(|what| Remark::of_all(format!("not in the network of a pool: {what}"))));
        if server.duplicate_cn {
            remarks.push(Remark::of_all(
                "duplicate-cn: one old profile may be connected several times, one of the fleet may not".to_owned(),
            ));
        }
        Self {
            listeners: server.listeners.iter().map(ToString::to_string).collect(),
            networks: server.networks.iter().map(ToString::to_string).collect(),
            pool_network,
        }
    }
}
