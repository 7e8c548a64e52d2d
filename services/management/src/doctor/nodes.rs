//! The nodes, as management sees them.

use sea_orm::{DatabaseConnection, DbErr, EntityTrait as _, QueryOrder as _};
use vpnmanager_entities::server::{self, NodeState};
use vpnmanager_runtime::doctor::{Check, Seen, Trouble, Verdict};

use super::database::unreadable;

pub(super) const NODES: Check = Check::new("nodes", "Every node serves").after(&["database-schema"]);

/// Those of the fleet, by name.
pub(super) async fn members(db: &DatabaseConnection) -> Result<Vec<server::Model>, DbErr> {
    let servers = server::Entity::find()
        .order_by_asc(server::Column::Name)
        .all(db)
        .await?;
    Ok(servers.into_iter().filter(|server| !server.is_deregistered()).collect())
}

/// Judges each node by what the service noted last.
pub(super) async fn look(db: &DatabaseConnection) -> Seen {
    let nodes = match members(db).await {
        Ok(nodes) => nodes,
        Err(error) => return unreadable(&error),
    };
    if nodes.is_empty() {
        let trouble = Trouble::new(
            "no node has enrolled",
            "nobody can connect before one has",
            "vpnmanager join-tokens create",
        );
        return Seen::warning(trouble, ());
    }
    Seen::each(nodes.iter().map(|node| (node.name.to_string(), verdict_of(node))))
}

fn verdict_of(node: &server::Model) -> Verdict {
    let found = match (node.enabled, node.draining) {
        (_, true) => format!("{}, and drained", node.state.as_str()),
        (false, false) => format!("{}, and disabled", node.state.as_str()),
        (true, false) => node.state.as_str().to_owned(),
    };
    let trouble = |command: &str| {
        let why = node.state_reason.as_deref().unwrap_or("no heartbeat has come yet");
        Trouble::new(
            found.clone(),
            why,
            format!("ssh root@{} {command}", node.public_host.as_str()),
        )
    };
    match (node.state, &node.state_reason) {
        (NodeState::Healthy, None) => Verdict::Fine(found),
        (NodeState::Healthy, Some(_)) => Verdict::Warning(trouble("vpnmanager-endnode doctor")),
        (NodeState::Enrolled | NodeState::Stale, _) => Verdict::Warning(trouble("systemctl status vpnmanager-endnode")),
        (NodeState::Degraded, _) => of_drained(node, trouble("vpnmanager-endnode doctor")),
        (NodeState::Lost, _) => of_drained(node, trouble("systemctl restart vpnmanager-endnode")),
    }
}

/// Whoever drains a node may take it away.
fn of_drained(node: &server::Model, trouble: Trouble) -> Verdict {
    match node.draining {
        true => Verdict::Warning(trouble),
        false => Verdict::Failed(trouble),
    }
}
