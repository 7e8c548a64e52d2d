//! Checks that new profiles for all users of a node are there: none is still to come, and nobody was left out.

use chrono::TimeDelta;
use sea_orm::DatabaseConnection;

use super::inventory::{self, Audited, Credential, Inventory, NodeReissue, User};

/// A credential that was made so long before is seen by the request: no fault makes a transaction last longer.
const SURELY_SEEN: TimeDelta = TimeDelta::seconds(20);

/// What is otherwise than the last request of each node says: one sentence for each.
pub(super) async fn otherwise(db: &DatabaseConnection, inventory: &Inventory) -> Vec<String> {
    match inventory::node_reissues(db).await {
        Ok(reissues) => left_out(&reissues, inventory),
        Err(error) => vec![format!("the reissues of nodes cannot be read: {error:#}")],
    }
}

/// Reissues that go on, have not come to all, or after which a device has nothing newer than what the node had made.
pub(super) fn left_out(reissues: &[NodeReissue], inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    for reissue in reissues {
        let NodeReissue {
            server_id,
            total,
            done,
            failed,
            ..
        } = reissue;
        if reissue.goes_on {
            told.push(format!("the reissue of {server_id} goes on: {done} of {total}"));
            continue;
        }
        if *failed != 0 {
            told.push(format!("the reissue of {server_id} failed for {failed} users"));
        }
        if reissue.stopped {
            continue;
        }
        if done != total {
            told.push(format!("the reissue of {server_id} came to {done} of {total} users"));
        }
        for user in inventory.users.iter().filter(|user| !user.removed) {
            told.extend(without_newer(reissue, user, inventory));
        }
    }
    told
}

/// Devices of this user that have a credential which counts as lost, and none that is newer.
fn without_newer(reissue: &NodeReissue, user: &User, inventory: &Inventory) -> Vec<String> {
    let is_lost = |credential: &&&Credential| {
        credential.server_id == reissue.server_id
            && credential.id <= reissue.upto
            && credential.created_at + SURELY_SEEN <= reissue.started_at
    };
    let mut told = Vec::new();
    for (device, held) in inventory.devices_of(user) {
        let lost = held.iter().filter(is_lost).map(|credential| credential.id).max();
        let newest = held.iter().map(|credential| credential.id).max();
        if let Some(lost) = lost
            && newest == Some(lost)
        {
            told.push(format!(
                "the device {device} of {} got nothing new with the reissue of {}",
                user.username, reissue.server_id
            ));
        }
    }
    told
}

/// Reissues of nodes that the audit trail begins and does not end: one sentence for each node. One that nobody needs ends as it begins.
pub(super) fn left_open(trail: &[Audited]) -> Vec<String> {
    let mut nodes: Vec<&str> = trail.iter().map(|row| row.server_id.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let open = nodes.into_iter().filter_map(|node| {
        let begun = rows(trail, node, "node_reissue_started");
        let begun = begun.filter(|row| is_needed(row)).count();
        let completed = rows(trail, node, "node_reissue_completed").count();
        let stopped = rows(trail, node, "node_reissue_stopped").count();
        (begun != completed + stopped).then(|| {
            format!("the audit trail has {begun} reissues of {node}, {completed} that were completed, and {stopped} that were stopped")
        })
    });
    open.collect()
}

/// The rows of this action and node.
pub(super) fn rows<'a>(trail: &'a [Audited], node: &'a str, action: &'a str) -> impl Iterator<Item = &'a Audited> {
    let is_of = move |row: &&Audited| row.server_id == node && row.action == action;
    trail.iter().filter(is_of)
}

/// Whether any user needed the reissue that this row begins.
fn is_needed(row: &Audited) -> bool {
    row.after
        .as_ref()
        .is_some_and(|after| after["total"].as_i64() != Some(0))
}
