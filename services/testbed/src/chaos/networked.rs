//! Checks that nodes have the networks of their pools as PostgreSQL has them: they say so, their firewalls lead to the routes and nowhere else, and
//! clients are told of the DNS servers.

use std::collections::BTreeSet;

use sea_orm::DatabaseConnection;
use serde_json::Value;
use vpnmanager_testbed::stack::{NodeMode, Stack};

use super::{
    engineer::Network,
    held::firewall,
    inventory::{self, Inventory, Pool},
    node_view::NodeView,
};

/// Where the network of a node differs from that of its pool: one sentence for each.
pub(super) async fn otherwise(
    stack: &Stack,
    db: &DatabaseConnection,
    (inventory, nodes): (&Inventory, &[NodeView]),
) -> Vec<String> {
    let read = async {
        let pools = inventory::pools(db).await?;
        let listed = stack.api().endnodes().await?.expect(200)?;
        anyhow::Ok((pools, listed))
    };
    let (pools, listed) = match read.await {
        Ok(read) => read,
        Err(error) => return vec![format!("the pools cannot be read: {error:#}")],
    };
    let mut told = Vec::new();
    for node in nodes.iter().filter(|node| node.mode == NodeMode::Managed) {
        let of_node = inventory.pool_of(&node.id);
        let Some(pool) = pools.iter().find(|pool| Some(pool.name.as_str()) == of_node) else {
            told.push(format!("{} is in the pool {of_node:?}, and there is none", node.id));
            continue;
        };
        told.extend(behind(node, pool, listed.items()));
        match firewall(stack, &node.id).await {
            Ok(rules) => told.extend(misled(node, pool, &rules)),
            Err(error) => told.push(format!("the firewall of {} cannot be read: {error:#}", node.id)),
        }
    }
    told
}

/// Whether the node, as the API lists it, has applied the network of its pool as it is.
pub(super) fn behind(node: &NodeView, pool: &Pool, listed: &[Value]) -> Option<String> {
    let listed = listed.iter().find(|item| item["server_id"] == node.id.as_str());
    let network = listed.map(|item| &item["network"]);
    let is_right = network.is_some_and(|network| {
        network["applied"] == true
            && network["wanted_revision"] == pool.revision
            && network["applied_revision"] == pool.revision
    });
    (!is_right).then(|| {
        format!(
            "{} does not have the revision {} of the network of {}: {network:?}",
            node.id, pool.revision, pool.name
        )
    })
}

/// Where the firewall of the node, or what it tells clients, differs from the network of its pool.
pub(super) fn misled(node: &NodeView, pool: &Pool, firewall: &str) -> Vec<String> {
    let Some(wanted) = pool.network.as_ref().and_then(Network::stored) else {
        return vec![format!("the pool {} has no network of a run", pool.name)];
    };
    let mut told = Vec::new();
    let mut compare = |what: &str, should: String, is: String| {
        if should != is {
            told.push(format!(
                "{} has {what} {is}, and its pool {} has {should}",
                node.id, pool.name
            ));
        }
    };
    let should: BTreeSet<&str> = wanted.routes.iter().map(String::as_str).collect();
    compare(
        "a firewall with the routes",
        format!("{should:?}"),
        format!("{:?}", routes(firewall)),
    );
    compare(
        "a firewall that lets clients reach each other:",
        format!("{:?}", Some(wanted.client_to_client)),
        format!("{:?}", joins_clients(firewall)),
    );
    let should: BTreeSet<&str> = wanted.dns_servers.iter().map(String::as_str).collect();
    compare(
        "for clients the DNS servers",
        format!("{should:?}"),
        format!("{:?}", dns_servers(&node.pushed)),
    );
    told
}

/// The routes of the network, as nft prints them.
fn routes(firewall: &str) -> BTreeSet<&str> {
    let set = block(firewall, "set routes4 {").unwrap_or_default();
    let elements = set
        .split_once("elements = {")
        .and_then(|(_, elements)| elements.split_once('}'));
    let (elements, _) = elements.unwrap_or_default();
    let elements = elements.split(',').map(str::trim);
    elements.filter(|route| !route.is_empty()).collect()
}

/// Whether clients reach each other; `None` where no rule says so.
fn joins_clients(firewall: &str) -> Option<bool> {
    let mut rules = block(firewall, "chain from_clients {")?.lines().map(str::trim);
    let rule = rules.find(|rule| rule.starts_with("oifname "))?;
    Some(!rule.contains("reject"))
}

/// What stands in a set or a chain.
fn block<'a>(firewall: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = firewall.split_once(name)?;
    let (block, _) = rest.split_once("\n\t}")?;
    Some(block)
}

/// Those that are pushed to clients.
fn dns_servers(pushed: &str) -> BTreeSet<&str> {
    let servers = pushed.lines().filter_map(|line| {
        let server = line.strip_prefix("push \"dhcp-option DNS ")?;
        server.strip_suffix('"')
    });
    servers.collect()
}
