//! Checks that nodes hold members of groups to the rules that PostgreSQL has.

use std::collections::BTreeSet;

use sea_orm::{DatabaseConnection, FromQueryResult};
use serde_json::Value;
use vpnmanager_testbed::stack::{NodeMode, Stack};

use super::{inventory, node_view::NodeView};

const RECEIPTS: &str = "SELECT s.name AS node, h.groups_revision AS held, t.revision AS wanted
    FROM servers s CROSS JOIN groups_told t LEFT JOIN health_status h ON h.server_id = s.name";
/// Users of a run have no other own rules than a speed.
const RULES: &str = "SELECT name, rules FROM groups
    UNION ALL SELECT o.name, g.rules FROM own_groups o JOIN groups g ON g.name = o.group_name ORDER BY name";

/// What a node says that it holds its members to.
#[derive(Debug, FromQueryResult)]
pub(super) struct Receipt {
    pub(super) node: String,
    pub(super) held: Option<i64>,
    pub(super) wanted: i64,
}

/// The rules of a group, as they are stored.
#[derive(Debug, FromQueryResult)]
pub(super) struct Ruled {
    pub(super) name: String,
    pub(super) rules: Value,
}

/// What nodes hold their members to otherwise: one sentence for each.
pub(super) async fn otherwise(stack: &Stack, db: &DatabaseConnection, nodes: &[NodeView]) -> Vec<String> {
    let read = async {
        let receipts: Vec<Receipt> = inventory::rows(db, RECEIPTS).await?;
        let groups: Vec<Ruled> = inventory::rows(db, RULES).await?;
        anyhow::Ok((receipts, groups))
    };
    let (receipts, groups) = match read.await {
        Ok(read) => read,
        Err(error) => return vec![format!("the groups cannot be read: {error:#}")],
    };
    let mut told = Vec::new();
    for node in nodes.iter().filter(|node| node.mode == NodeMode::Managed) {
        told.extend(behind(node, &receipts));
        match firewall(stack, &node.id).await {
            Ok(rules) => told.extend(unruled(node, &groups, &rules)),
            Err(error) => told.push(format!("the firewall of {} cannot be read: {error:#}", node.id)),
        }
    }
    told
}

/// Whether the node says that it has the groups as they are.
pub(super) fn behind(node: &NodeView, receipts: &[Receipt]) -> Option<String> {
    let receipt = receipts.iter().find(|receipt| receipt.node == node.id);
    let is_right = receipt.is_some_and(|receipt| receipt.held == Some(receipt.wanted));
    (!is_right).then(|| {
        format!(
            "{} does not say that it has the groups as they are: {receipt:?}",
            node.id
        )
    })
}

/// The table of the node's agent; empty where there is none.
pub(super) async fn firewall(stack: &Stack, id: &str) -> anyhow::Result<String> {
    for node in stack.nodes().filter(|node| node.id() == id) {
        let tables = node.namespace()?.run("nft list tables").await?;
        if tables.contains("inet vpnmanager") {
            return Ok(node.namespace()?.run("nft list table inet vpnmanager").await?);
        }
    }
    Ok(String::new())
}

/// Groups of whom somebody is let in, and whose ports the firewall does not name. Each change of the rules of a group names another port.
pub(super) fn unruled(node: &NodeView, groups: &[Ruled], firewall: &str) -> Vec<String> {
    let placed: BTreeSet<&str> = node.places.values().map(|place| place.group.as_str()).collect();
    let mut told = Vec::new();
    for Ruled { name, rules } in groups.iter().filter(|group| placed.contains(group.name.as_str())) {
        let missing = ports(rules).filter(|port| !firewall.contains(port));
        told.extend(missing.map(|port| format!("{} does not hold the group {name} to the port {port}", node.id)));
    }
    told
}

fn ports(rules: &Value) -> impl Iterator<Item = &str> {
    let reach = rules["reach"].as_array().into_iter().flatten();
    let ports = reach.flat_map(|entry| entry["ports"].as_array().into_iter().flatten());
    ports.filter_map(Value::as_str)
}
