//! Takes a trail entry by entry, from wherever it is, and says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    checkpoint::{self, Checkpoint, Head, SignedCheckpoint, head_of},
    digest::{brief, parse},
    findings::{Finding, Kind},
    row::{Link, Place, Row, Stretch},
    signers::Signers,
    walk::{Begins, Bridge, Chain, Mark, walk},
};
use crate::domain::audit_action::AuditAction;

/// Findings that are told; of a trail that was rewritten as a whole each entry is one.
const TOLD: usize = 1000;

/// What was found so far. It has about 60 bytes for an entry.
#[derive(Debug, Default)]
pub struct Trail {
    chains: BTreeMap<i16, Vec<Link>>,
    /// The ids of entries in no chain.
    outside: Vec<i64>,
    stretches: Vec<Stretch>,
    checkpoints: Vec<SignedCheckpoint>,
    heads: Vec<Head>,
    unchained_up_to: Option<i64>,
    findings: Vec<Finding>,
    entries: u64,
}

/// The last thing that management signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCheckpoint {
    /// Its number.
    pub number: i64,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// SHA-256 of the statement, in hexadecimal.
    pub hash: String,
}

/// What a trail is.
#[derive(Debug)]
pub struct Report {
    /// The entries that were read.
    pub entries: u64,
    /// Those of them from before there were chains: nothing is proven of them.
    pub unchained: usize,
    /// Entries that are only in archives, of which the trail tells.
    pub archived: i64,
    /// Entries that no checkpoint is about yet: their removal would not be seen.
    pub unproven: usize,
    /// The checkpoints that management signed.
    pub checkpoints: usize,
    /// The last of these.
    pub last: Option<LastCheckpoint>,
    /// What is wrong, the first entries first; not more than 1000.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub left_out: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

#[derive(Deserialize)]
struct Archived {
    #[serde(default)]
    chains: Vec<Stretch>,
}

impl Trail {
    /// Takes a line of JSON: an entry, or a checkpoint. `source` says where it is, for people.
    pub fn take_line(&mut self, line: &str, source: impl FnOnce() -> String) {
        match serde_json::from_str::<Row>(line) {
            Ok(row) => self.take_row(&row),
            Err(error) => match serde_json::from_str(line) {
                Ok(checkpoint) => self.take_checkpoint(checkpoint),
                Err(_neither) => {
                    let detail = format!("{} is no entry: {error}", source());
                    self.findings.push(Finding::new(Kind::Unreadable, None, detail));
                }
            },
        }
    }

    fn take_row(&mut self, row: &Row) {
        self.entries += 1;
        match row.place() {
            Place::Outside => self.outside.push(row.id),
            Place::Damaged => {
                let detail = format!("entry {} has lost its place in the chains", row.id);
                self.findings.push(Finding::new(Kind::Changed, Some(row.id), detail));
            }
            Place::In(chain, link) => {
                if link.is_whole && row.action == AuditAction::AuditArchived.as_str() {
                    let archived = row
                        .after
                        .as_ref()
                        .and_then(|after| serde_json::from_str::<Archived>(after.get()).ok());
                    self.stretches
                        .extend(archived.into_iter().flat_map(|archived| archived.chains));
                }
                self.chains.entry(chain).or_default().push(link);
            }
        }
    }

    /// Takes a checkpoint.
    pub fn take_checkpoint(&mut self, checkpoint: SignedCheckpoint) {
        self.checkpoints.push(checkpoint);
    }

    /// Takes what the database says of its chains: their last entries, and which entries were there before them.
    pub fn take_heads(&mut self, heads: Vec<Head>, unchained_up_to: i64) {
        self.heads = heads;
        self.unchained_up_to = Some(unchained_up_to);
    }

    /// The first places of the chains that are missing between others, as chain, first and last place.
    pub fn missing(&mut self, most: usize) -> Vec<(i16, i64, i64)> {
        let mut missing = Vec::new();
        for (chain, links) in &mut self.chains {
            links.sort_by_key(|link| (link.seq, link.id));
            let gaps = links.windows(2).filter_map(|pair| match pair {
                [one, next] if next.seq.saturating_sub(one.seq) > 1 => Some((*chain, one.seq + 1, next.seq - 1)),
                _ => None,
            });
            missing.extend(gaps.take(most - missing.len().min(most)));
        }
        missing
    }

    /// Says what is wrong with what was taken. `expected` is the hash of a checkpoint that must be among those of the trail.
    pub fn verify(mut self, signers: &Signers, begins: Begins, expected: Option<&str>) -> Report {
        let mut findings = std::mem::take(&mut self.findings);
        let rows = std::mem::take(&mut self.checkpoints);
        let checkpoints = checkpoint::check(rows, signers, begins == Begins::First, &mut findings);
        let unchained = self.unchained(&checkpoints, &mut findings);
        let has_expected =
            expected.is_none_or(|expected| checkpoints.iter().any(|one| one.hash.eq_ignore_ascii_case(expected)));
        if !has_expected {
            let detail = "the checkpoint that was asked for is not among those of the trail";
            findings.push(Finding::new(Kind::Checkpoint, None, detail));
        }
        let mut report = Report {
            entries: self.entries,
            unchained,
            archived: 0,
            unproven: 0,
            checkpoints: checkpoints.len(),
            last: checkpoints.last().map(|last| LastCheckpoint {
                number: last.statement.number,
                at: last.statement.at,
                hash: last.hash.clone(),
            }),
            findings: Vec::new(),
            left_out: 0,
        };
        for chain in self.into_chains(&checkpoints) {
            let walked = walk(chain, begins);
            findings.extend(walked.findings);
            report.archived += walked.archived;
            report.unproven += walked.unproven;
        }
        findings.sort_by_key(|finding| finding.id);
        report.left_out = findings.len().saturating_sub(TOLD);
        findings.truncate(TOLD);
        report.findings = findings;
        report
    }

    /// How many entries are from before there were chains. Others in no chain were put in.
    fn unchained(&self, checkpoints: &[Checkpoint], findings: &mut Vec<Finding>) -> usize {
        let signed = checkpoints.first().map(|first| first.statement.unchained_up_to);
        let first_link = || self.chains.values().flatten().map(|link| link.id).min();
        let up_to = signed.or(self.unchained_up_to).or_else(first_link).unwrap_or(i64::MAX);
        let mut earlier = 0;
        for id in &self.outside {
            if *id <= up_to {
                earlier += 1;
            } else {
                let detail = format!("entry {id} was put in: it is in no chain");
                findings.push(Finding::new(Kind::Inserted, Some(*id), detail));
            }
        }
        earlier
    }

    fn into_chains(mut self, checkpoints: &[Checkpoint]) -> Vec<Chain> {
        let mut marks: BTreeMap<i16, Vec<Mark>> = BTreeMap::new();
        let signed = checkpoints.iter().flat_map(|one| {
            let number = Some(one.statement.number);
            one.statement.heads.iter().map(move |head| (number, head))
        });
        for (checkpoint, head) in signed.chain(self.heads.iter().map(|head| (None, head))) {
            if let Some((chain, seq, hash)) = head_of(head) {
                let hash = brief(&hash);
                marks.entry(chain).or_default().push(Mark { seq, hash, checkpoint });
            }
        }
        let mut bridges: BTreeMap<i16, Vec<Bridge>> = BTreeMap::new();
        for stretch in &self.stretches {
            if let (Some(previous), Some(hash)) = (parse(&stretch.previous_hash), parse(&stretch.hash)) {
                bridges.entry(stretch.chain).or_default().push(Bridge {
                    first: stretch.first,
                    last: stretch.last,
                    previous: brief(&previous),
                    hash: brief(&hash),
                });
            }
        }
        // Both were taken together.
        let ends = self.unchained_up_to.map(|_| {
            let heads = self.heads.iter().map(|head| (head.chain, head.seq));
            heads.collect::<BTreeMap<i16, i64>>()
        });
        let numbers: BTreeSet<i16> = self.chains.keys().chain(marks.keys()).copied().collect();
        let chains = numbers.into_iter().map(|number| Chain {
            number,
            links: self.chains.remove(&number).unwrap_or_default(),
            bridges: bridges.remove(&number).unwrap_or_default(),
            marks: marks.remove(&number).unwrap_or_default(),
            last: ends.as_ref().map(|ends| ends.get(&number).copied().unwrap_or_default()),
        });
        chains.collect()
    }
}
