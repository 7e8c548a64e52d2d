//! Decides what becomes of each user of a source.
//!
//! A user is known again by the certificates that were imported before, and else by name. What management knows of a user who is there stays: an import
//! adds certificates of old servers to her, and takes away those that the source has revoked since. Whom the source does not let in gets nothing by
//! being known here.

mod by_name;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use vpnmanager_adopt::found::{Found, FoundUser, Place};
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use super::{
    certificates::{Rules, Sorted, alike, sort},
    held::{Held, Owner},
    known::Known,
    names::replaced,
    outcome::Outcome,
    planned::{Amendment, Planned, Work},
    policies::{Ended, Policies, RefusedNames},
    words::{shown_name, shown_place},
};
use crate::domain::shown_time::shown_time;

/// A source, and where and when it is imported.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What was found in it.
    pub found: &'a Found,
    /// The node that it is of.
    pub node: &'a NodeId,
    /// The pool of that node.
    pub pool: &'a str,
    /// The time, by the clock of the database.
    pub now: DateTime<Utc>,
}

/// Decides for each user of the source, in its order.
pub fn plan(source: Source<'_>, policies: &Policies, held: &Held) -> Vec<Planned> {
    let users = &source.found.users;
    let alike = alike(source.found);
    let mut planner = Planner {
        source,
        policies,
        held,
        alike: &alike,
        names: users.iter().map(|user| user.name.as_str()).collect(),
        seen: HashMap::new(),
        usernames: HashSet::new(),
        common_names: HashSet::new(),
    };
    users.iter().map(|user| planner.decide(user)).collect()
}

struct Planner<'a> {
    source: Source<'a>,
    policies: &'a Policies,
    held: &'a Held,
    alike: &'a HashMap<String, Vec<SerialNumber>>,
    /// All names of the source.
    names: HashSet<&'a str>,
    /// Names of the source until here, with where they stand first.
    seen: HashMap<&'a str, &'a Place>,
    /// Names that users of this source have in the fleet.
    usernames: HashSet<Username>,
    /// Common names of users of this source.
    common_names: HashSet<CommonName>,
}

/// What was decided, and how it is told.
struct Decided {
    username: Option<Username>,
    outcome: Outcome,
    work: Work,
}

impl Decided {
    fn nothing(outcome: Outcome) -> Self {
        Self {
            username: None,
            outcome,
            work: Work::None,
        }
    }

    fn of(username: Username, outcome: Outcome, work: Work) -> Self {
        Self {
            username: Some(username),
            outcome,
            work,
        }
    }

    /// A conflict, for this reason.
    fn conflict(reasons: &mut Vec<String>, reason: String) -> Self {
        reasons.push(reason);
        Self::nothing(Outcome::Conflict)
    }
}

/// The name that a user gets.
struct Named {
    username: Username,
    /// Whether the source has another one.
    is_replaced: bool,
}

impl<'a> Planner<'a> {
    fn decide(&mut self, user: &'a FoundUser) -> Planned {
        let mut reasons = Vec::new();
        let decided = match self.seen.get(user.name.as_str()) {
            Some(first) => {
                let first = shown_place(first);
                Decided::conflict(
                    &mut reasons,
                    format!("the source has this name twice: first in {first}"),
                )
            }
            None => {
                self.seen.insert(&user.name, &user.place);
                self.decide_first(user, &mut reasons)
            }
        };
        if let Some(username) = &decided.username {
            self.usernames.insert(username.clone());
        }
        Planned {
            place: user.place.clone(),
            name: user.name.clone(),
            username: decided.username,
            outcome: decided.outcome,
            reasons,
            work: decided.work,
        }
    }

    fn decide_first(&mut self, user: &FoundUser, reasons: &mut Vec<String>) -> Decided {
        let mut sorted = sort(user, self.rules());
        let is_refused = !sorted.valid.is_empty() && !self.is_let_in(user);
        let known = Known::of(&mut sorted, self.held, &mut self.common_names);
        reasons.append(&mut sorted.reasons);
        if let Some(owner) = known.owner {
            return amend(owner, known.amendment, is_refused, reasons);
        }
        sorted.valid = known.amendment.add;
        if let Some(reason) = self.reason_to_skip(user, &sorted, known.stay_revoked) {
            reasons.push(reason);
            return Decided::nothing(Outcome::Skipped);
        }
        let parsed = user.name.parse::<Username>();
        if let Err(rule) = &parsed {
            reasons.push(format!("{} is no username: it {rule}", shown_name(&user.name)));
        }
        let is_replaced = parsed.is_err();
        match parsed.ok().or_else(|| self.replacement(&user.name)) {
            Some(username) => self.decide_by_name(user, Named { username, is_replaced }, sorted.valid, reasons),
            None => Decided::nothing(Outcome::Skipped),
        }
    }

    fn rules(&self) -> Rules<'a> {
        let authority = self.source.found.authority.as_ref();
        Rules {
            policy: self.policies.two_certificates,
            now: self.source.now,
            old_until: self.policies.old_until,
            revoked_without_name: authority.map_or(&[], |authority| authority.revoked_without_name.as_slice()),
            alike: self.alike,
        }
    }

    /// Whether the source lets the user in, whatever it says of certificates.
    fn is_let_in(&self, user: &FoundUser) -> bool {
        user.active && user.expires_at.is_none_or(|at| at > self.source.now)
    }

    fn reason_to_skip(&self, user: &FoundUser, sorted: &Sorted, stay_revoked: bool) -> Option<String> {
        let has_none = sorted.valid.is_empty() && !sorted.has_unusable;
        if stay_revoked && has_none {
            return Some("nothing else of this user is in the source".to_owned());
        }
        if has_none && sorted.ended.is_none() && !sorted.revoked.is_empty() {
            return Some("all certificates are revoked in the source".to_owned());
        }
        let end_of_access = user.expires_at.filter(|at| *at <= self.source.now);
        let ended = match end_of_access {
            Some(at) => Some(format!("access ended at {}", shown_time(at))),
            None => sorted.last_ended(),
        };
        match self.policies.ended {
            Ended::Skip => ended,
            Ended::Import => None,
        }
    }

    /// What becomes of a name that no user may have.
    fn replacement(&self, name: &str) -> Option<Username> {
        match self.policies.refused_names {
            RefusedNames::Skip => None,
            RefusedNames::Replace => replaced(name),
        }
    }
}

/// What becomes of somebody who is known by a certificate.
fn amend(owner: Owner, amendment: Amendment, is_refused: bool, reasons: &mut Vec<String>) -> Decided {
    let contradicts = is_refused && owner.has_access;
    if contradicts {
        reasons.push(not_let_in(&owner.username));
    }
    if !amendment.is_empty() {
        return Decided::of(owner.username, Outcome::Changed, Work::Amend(amendment));
    }
    let outcome = if contradicts {
        Outcome::Conflict
    } else {
        Outcome::Unchanged
    };
    Decided::of(owner.username, outcome, Work::None)
}

fn not_let_in(username: &Username) -> String {
    format!(
        "the source does not let this user in, and the user {username} has access here: suspend {username} if that is meant"
    )
}
