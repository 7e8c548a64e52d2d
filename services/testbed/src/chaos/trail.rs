//! Checks that the audit trail is complete: it has every answered operation, and its changes in order lead to the state in PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    being::Living,
    group::Group,
    inventory::{Audited, Inventory, User},
    model::Person,
};

const CHANGES: [&str; 8] = [
    "user_created",
    "user_suspended",
    "user_resumed",
    "user_changed",
    "user_reissued",
    "device_created",
    "device_revoked",
    "user_removed",
];
/// Changes that nobody asks for. `user_near_quota` and `session_limited` are about a user too, and change none.
const BY_ITSELF: [&str; 4] = ["user_placed", "user_rehomed", "user_over_quota", "user_quota_lifted"];
/// Actions that must not happen: no fault restores the database or copies a node.
const UNCALLED_FOR: [&str; 3] = ["user_revision_raised", "node_cloned", "node_clone_accepted"];

/// What the audit trail does not explain: one sentence for each violation.
pub(super) fn unaccounted(people: &[Person], inventory: &Inventory, trail: &[Audited]) -> Vec<String> {
    let mut told = miscounted(people, trail);
    told.extend(discontinuous(inventory, trail));
    told.extend(removals_left_open(trail));
    let uncalled = trail.iter().filter(|row| UNCALLED_FOR.contains(&row.action.as_str()));
    told.extend(uncalled.map(|row| {
        format!(
            "the audit trail has {} of {:?} without a cause: {:?}",
            row.action, row.username, row.details
        )
    }));
    told
}

/// How often each action is in the trail, by user.
pub(super) fn count<'a>(trail: &'a [Audited], action: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for row in trail.iter().filter(|row| row.action == action) {
        *counts.entry(row.username.as_deref().unwrap_or_default()).or_default() += 1;
    }
    counts
}

/// The requests for new profiles of all users of a node. The reissue of each of these users is nothing that was asked for the user.
fn asked_for_nodes(trail: &[Audited]) -> BTreeSet<&str> {
    let started = trail.iter().filter(|row| row.action == "node_reissue_started");
    started.filter_map(|row| row.request_id.as_deref()).collect()
}

fn miscounted(people: &[Person], trail: &[Audited]) -> Vec<String> {
    let mut told = Vec::new();
    let for_nodes = asked_for_nodes(trail);
    let is_for_user = |row: &&Audited| {
        let request = row.request_id.as_deref();
        row.action != "user_reissued" || !request.is_some_and(|id| for_nodes.contains(id))
    };
    let for_users: Vec<Audited> = trail.iter().filter(is_for_user).cloned().collect();
    for action in CHANGES {
        let found = count(&for_users, action);
        for person in people {
            let least = person.answered.get(action).copied().unwrap_or(0);
            let open = person.unanswered.get(action).copied().unwrap_or(0);
            let times = found.get(person.username.as_str()).copied().unwrap_or(0);
            if times < least || times > least + open {
                told.push(format!(
                    "the audit trail has {action} of {} {times} times, and it was answered {least} times and left open {open} times",
                    person.username
                ));
            }
        }
    }
    told
}

/// Changes that do not begin with the state that the previous change left, and last changes that do not end with the current state.
fn discontinuous(inventory: &Inventory, trail: &[Audited]) -> Vec<String> {
    let mut told = Vec::new();
    let mut users: BTreeMap<&str, Value> = BTreeMap::new();
    for row in trail {
        let Some(name) = row.username.as_deref() else { continue };
        let (before, after) = (&row.before, &row.after);
        let known = users.remove(name);
        let next = match row.action.as_str() {
            "user_created" if known.is_none() && before.is_none() => after.clone(),
            "user_removed" if known.is_some() && *before == known => None,
            "user_suspended" | "user_resumed" | "user_changed" | "user_reissued" | "device_created"
            | "device_revoked" | "user_over_quota" | "user_quota_lifted"
                if known.is_some() && *before == known && follows(before.as_ref(), after.as_ref(), &row.action) =>
            {
                after.clone()
            }
            "user_placed" if known.is_some() && revision(before.as_ref()) == revision(known.as_ref()) => {
                known.map(|known| at_revision(known, revision(after.as_ref())))
            }
            "user_rehomed" if known.is_some() && home(before.as_ref()) == home(known.as_ref()) => {
                known.map(|known| moved_to(known, home(after.as_ref())))
            }
            action if CHANGES.contains(&action) || BY_ITSELF.contains(&action) => {
                told.push(format!(
                    "the audit trail has {action} of {name} from {before:?} to {after:?}, and before that there was {known:?}"
                ));
                after.clone()
            }
            _ => known,
        };
        if let Some(next) = next {
            users.insert(name, next);
        }
    }
    let living = inventory.users.iter().filter(|user| !user.removed);
    for user in living.clone() {
        let played = users.get(user.username.as_str());
        if !played.is_some_and(|played| is(user, played)) {
            told.push(format!("the audit trail ends at {played:?}, and there is {user:?}"));
        }
    }
    let living: BTreeSet<&str> = living.map(|user| user.username.as_str()).collect();
    let ghosts = users.keys().filter(|name| !living.contains(*name));
    told.extend(ghosts.map(|name| format!("the audit trail ends with a living {name}, and there is none")));
    told
}

/// Whether the change raises the revision by one and does what its action says. To forgive a user who is not over the quota is nothing that nodes
/// hear of.
fn follows(before: Option<&Value>, after: Option<&Value>, action: &str) -> bool {
    let active = |user: Option<&Value>| user.and_then(|user| user["active"].as_bool());
    let is_over = |user: Option<&Value>| user.is_some_and(|user| user["over_quota_since"].is_string());
    let step = revision(after)
        .zip(revision(before))
        .map(|(after, before)| after - before);
    let becomes = match action {
        "user_suspended" => active(after) == Some(false),
        "user_resumed" => active(after) == Some(true),
        "user_over_quota" => active(after) == active(before) && is_over(after),
        "user_quota_lifted" => active(after) == active(before) && !is_over(after),
        _ => active(after) == active(before),
    };
    let is_silent = action == "user_quota_lifted" && !is_over(before);
    step == Some(i64::from(!is_silent)) && becomes
}

fn revision(user: Option<&Value>) -> Option<i64> {
    user?["revision"].as_i64()
}

fn at_revision(mut user: Value, revision: Option<i64>) -> Value {
    user["revision"] = json!(revision);
    user
}

fn home(user: Option<&Value>) -> Option<String> {
    Some(user?["server_id"].as_str()?.to_owned())
}

/// A move gives the user another home and a credential of it, which is the next revision.
fn moved_to(user: Value, home: Option<String>) -> Value {
    let next = revision(Some(&user)).map(|revision| revision + 1);
    let mut user = at_revision(user, next);
    user["server_id"] = json!(home);
    user
}

fn is(user: &User, played: &Value) -> bool {
    let lives = Group::named(&user.group).map(|group| Living {
        active: user.active,
        expires_at: user.expires_at,
        group,
        limits: user.own_limits(),
    });
    lives.is_some()
        && played["key"] == user.key.as_str()
        && revision(Some(played)) == Some(user.revision)
        && Living::shown(played) == lives
}

fn removals_left_open(trail: &[Audited]) -> Vec<String> {
    let (begun, completed) = (count(trail, "user_removed"), count(trail, "user_removal_completed"));
    let open = begun.iter().filter_map(|(name, begun)| {
        let completed = completed.get(name).copied().unwrap_or(0);
        (completed != *begun)
            .then(|| format!("the audit trail has {begun} removals of {name}, and {completed} that were completed"))
    });
    open.collect()
}
