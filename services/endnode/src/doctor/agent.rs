//! The agent itself, as it answers.

use std::time::Duration;

use reqwest::ClientBuilder;
use serde_json::Value;
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble, host_names::dialled},
    error_chain::innermost,
};

use crate::config::Config;

pub(super) const AGENT: Check =
    Check::new("agent", "The agent runs, and says that the node is well").after(&["configuration"]);

const PATIENCE: Duration = Duration::from_secs(4);
const LOG: &str = "journalctl -u vpnmanager-endnode -n 50";

/// Asks it at its socket, which nobody else can have, or at the first address of its local API.
pub(super) async fn look(config: &Config) -> Seen {
    if let Some(socket) = &config.api_socket {
        let client = reqwest::Client::builder().unix_socket(socket.as_path());
        // Whoever may not open it asks at the address.
        if let Ok(health) = health(client, "http://localhost").await {
            return judge(&health, config.server_id.as_str());
        }
    }
    let Some(listen) = config.listen.first() else {
        return Seen::skipped("LISTEN is empty");
    };
    let scheme = match config.tls.files() {
        Some(_) => "https",
        None => "http",
    };
    // It is asked on its own machine, and told no secret; its certificate is for the names that others dial.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    match health(client, &format!("{scheme}://{}", dialled(listen))).await {
        Ok(health) => judge(&health, config.server_id.as_str()),
        Err(error) => Seen::failed(Trouble::new(
            format!("the agent does not answer at {listen}"),
            innermost(&error),
            "systemctl restart vpnmanager-endnode; journalctl -u vpnmanager-endnode -n 50",
        )),
    }
}

async fn health(client: ClientBuilder, base: &str) -> Result<Value, reqwest::Error> {
    let client = client.timeout(PATIENCE).no_proxy().build()?;
    client.get(format!("{base}/health")).send().await?.json().await
}

fn judge(health: &Value, node: &str) -> Seen {
    let text = |member: &str| health[member].as_str().unwrap_or_default();
    if text("server_id") != node {
        return Seen::failed(Trouble::new(
            format!("another agent answers there: {:?}", text("server_id")),
            format!("this node is {node}; LISTEN is that of another one"),
            "${EDITOR:-vi} /etc/vpnmanager/endnode-config.json",
        ));
    }
    let is_down = health["openvpn"]["state"] == "down";
    match text("status") {
        "ok" => Seen::fine(format!("agent {} says that the node is well", text("version")), ()),
        "degraded" if !is_down => {
            let trouble = Trouble::new("the agent says that the node is degraded", text("detail"), LOG);
            Seen::warning(trouble, ())
        }
        status => Seen::failed(Trouble::new(
            format!("the agent says that the node is {status}"),
            text("detail"),
            LOG,
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_agent_says_of_the_node_is_told() {
        let said = |status: &str, openvpn: &str| {
            let health = json!({
                "server_id": "n1", "status": status, "version": "1", "detail": "why",
                "openvpn": { "state": openvpn },
            });
            format!("{:?}", judge(&health, "n1"))
        };
        assert!(said("ok", "up").contains("Fine"));
        assert!(said("degraded", "up").contains("Warning"));
        for (status, openvpn) in [("degraded", "down"), ("refused", "waiting"), ("enrolling", "absent")] {
            assert!(said(status, openvpn).contains("Failed"), "{status}");
        }
        let other = format!("{:?}", judge(&json!({ "server_id": "n2" }), "n1"));
        assert!(other.contains("another agent"), "{other}");
    }
}
