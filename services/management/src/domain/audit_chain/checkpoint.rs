//! What management signs once a minute.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{
    digest::{Digest, parse, sha256},
    findings::{Finding, Kind},
    signers::Signers,
};

/// What a statement is, so that none of another purpose is taken for one.
const PURPOSE: &str = "audit checkpoint";

/// The last entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The chain.
    pub chain: i16,
    /// Its place.
    pub seq: i64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// What is signed, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    purpose: String,
    /// They are numbered from 1 on.
    pub number: i64,
    /// When it was made, by the clock of the database.
    pub at: DateTime<Utc>,
    /// SHA-256 of the statement before, in hexadecimal; nothing in the first.
    pub previous: Option<String>,
    /// How many entries there are in all chains.
    pub entries: i64,
    /// Entries up to this id may be in no chain: they are from before there were chains.
    pub unchained_up_to: i64,
    /// The last entries of chains: of those that went on since the statement before, or of all.
    pub heads: Vec<Head>,
}

impl Statement {
    /// The first statement, of that time, of chains that are all empty.
    pub fn first(at: DateTime<Utc>) -> Self {
        Self {
            purpose: PURPOSE.to_owned(),
            number: 1,
            at,
            previous: None,
            entries: 0,
            unchained_up_to: 0,
            heads: Vec::new(),
        }
    }
}

/// What a statement says of the one before it.
pub fn previous_of(statement: &str) -> String {
    HEXLOWER.encode(&sha256(&[statement.as_bytes()]))
}

/// A row of `audit_checkpoints`, also as PostgreSQL writes it as JSON.
#[derive(Debug, Clone, Deserialize)]
pub struct SignedCheckpoint {
    /// Its number.
    pub number: i64,
    /// The statement, as it was signed.
    pub statement: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

/// A checkpoint that was signed by who may.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) statement: Statement,
    pub(super) hash: String,
}

/// The head of a chain, in bytes.
pub(super) fn head_of(head: &Head) -> Option<(i16, i64, Digest)> {
    Some((head.chain, head.seq, parse(&head.hash)?))
}

/// Those of these that are what management signed, in their order. `from_first`: the first one must be there.
pub(super) fn check(
    mut rows: Vec<SignedCheckpoint>,
    signers: &Signers,
    from_first: bool,
    findings: &mut Vec<Finding>,
) -> Vec<Checkpoint> {
    rows.sort_by_key(|row| row.number);
    rows.dedup_by(|later, row| later.number == row.number && later.statement == row.statement);
    let mut found = |detail: String| findings.push(Finding::new(Kind::Checkpoint, None, detail));
    let mut good: Vec<Checkpoint> = Vec::with_capacity(rows.len());
    let mut expected = from_first.then_some(1);
    let mut before: Option<String> = None;
    for row in rows {
        let number = row.number;
        match expected {
            Some(expected) if number > expected => {
                found(format!("checkpoints {expected} to {} are gone", number - 1));
                before = None;
            }
            Some(expected) if number < expected => found(format!("there are two checkpoints {number}")),
            Some(_) | None => {}
        }
        let hash = previous_of(&row.statement);
        match read(&row, signers) {
            Ok(statement) => {
                let follows = before
                    .as_ref()
                    .is_none_or(|before| statement.previous.as_ref() == Some(before));
                if !follows || (number == 1 && statement.previous.is_some()) {
                    found(format!("checkpoint {number} does not follow the one before it"));
                }
                good.push(Checkpoint {
                    statement,
                    hash: hash.clone(),
                });
            }
            Err(why) => found(format!("checkpoint {number} {why}")),
        }
        expected = Some(number.saturating_add(1));
        before = Some(hash);
    }
    good
}

fn read(row: &SignedCheckpoint, signers: &Signers) -> Result<Statement, &'static str> {
    let digits = row.signature.strip_prefix("\\x").unwrap_or(&row.signature);
    let signature = HEXLOWER.decode(digits.as_bytes()).unwrap_or_default();
    if !signers.have_signed(&row.statement, &signature) {
        return Err("is not signed by the fleet's certificate authority");
    }
    let statement: Option<Statement> = serde_json::from_str(&row.statement).ok();
    statement
        .filter(|statement| statement.purpose == PURPOSE && statement.number == row.number)
        .ok_or("is signed, but is another statement")
}
