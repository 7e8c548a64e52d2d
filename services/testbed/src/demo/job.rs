//! The operator's side of the demo, over HTTP.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    stack::{ServiceState, Stack},
    wait,
};

use crate::screen::{done, say};

pub(super) const USER: &str = "alice";
const WAIT: Duration = Duration::from_secs(10);

/// The life of one user, through management's API.
pub(super) struct Job {
    api: Api,
}

impl Job {
    pub(super) fn new(stack: &Stack) -> Self {
        Self { api: stack.api() }
    }

    /// Has users reach the networks of the service host, through every node.
    pub(super) async fn set_network(&self, service: &ServiceState) -> anyhow::Result<()> {
        let started = Instant::now();
        let network = json!({ "routes": service.networks, "dns_servers": [service.resolver()] });
        let changed = self.api.set_network("default", &network).await?.expect(200)?;
        let wanted = &changed.body["revision"];
        wait::until_ok(WAIT, "every node to apply the network", async || {
            let nodes = self.api.get("/api/endnodes").await.map_err(|error| error.to_string())?;
            let mut items = nodes.items().iter();
            match items.all(|node| node["network"]["applied_revision"] == *wanted) {
                true => Ok(()),
                false => Err(nodes.text),
            }
        })
        .await?;
        let result = format!("{} by NAT, on every node", service.networks.join(" and "));
        done("PATCH /api/pools/default, routes", &result, started.elapsed());
        Ok(())
    }

    /// Creates the user, waits until every node allows it, and returns its profile.
    pub(super) async fn create(&self) -> anyhow::Result<String> {
        let started = Instant::now();
        let answer = self.api.create_user(USER, Some(WAIT)).await?.expect(201)?;
        ensure!(
            answer.body["synced"] == true,
            "the nodes have not applied it: {}",
            answer.text
        );
        let result = "201, synced: every placed node lets her in";
        done(
            &format!("POST /api/users {USER}, wait until synced"),
            result,
            started.elapsed(),
        );

        let started = Instant::now();
        let profile = self.api.profile(USER).await?;
        for part in ["<ca>", "<cert>", "<key>", "<tls-crypt-v2>", "remote "] {
            ensure!(profile.contains(part), "the profile has no {part}");
        }
        let remotes = profile.lines().filter(|line| line.starts_with("remote ")).count();
        let result = format!("{} bytes, {remotes} servers in order", profile.len());
        done(&format!("GET /api/users/{USER}/profile"), &result, started.elapsed());
        Ok(profile)
    }

    /// Sees the user's session.
    pub(super) async fn sees_session(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let path = format!("/api/users/{USER}/sessions");
        let answer = self.api.get(&path).await?.expect(200)?;
        let [session] = answer.items() else {
            bail!("not one session of {USER}: {}", answer.text);
        };
        let text = |field: &str| session[field].as_str().unwrap_or("-").to_owned();
        let result = format!(
            "on {} from {}, inside {}, {} bytes in, {} out",
            text("server_id"),
            text("real_address"),
            text("virtual_address"),
            session["bytes_in"],
            session["bytes_out"]
        );
        done(&format!("GET {path}"), &result, started.elapsed());
        Ok(())
    }

    /// Deletes the user and waits until every node has removed it.
    pub(super) async fn delete(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let answer = self.api.delete_user(USER, Some(WAIT)).await?.success()?;
        done(
            &format!("DELETE /api/users/{USER}, wait until synced"),
            &answer.status.to_string(),
            started.elapsed(),
        );
        let gone = self.api.user(USER).await?;
        ensure!(gone.status == 404, "{USER} is still there: {}", gone.text);
        Ok(())
    }

    /// Prints the audit trail of the user.
    pub(super) async fn audit_trail(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let answer = self.api.audit(&format!("?username={USER}")).await?.expect(200)?;
        let actions: Vec<String> = answer.items().iter().map(row).collect();
        ensure!(
            actions.len() >= 2,
            "the audit trail lacks the creation or the deletion: {}",
            answer.text
        );
        done(
            &format!("GET /api/audit?username={USER}"),
            &format!("{} rows", actions.len()),
            started.elapsed(),
        );
        actions.iter().for_each(|action| say(format_args!("       {action}")));
        Ok(())
    }
}

fn row(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
    format!(
        "{}  {:<18} by {} from {}",
        text("timestamp"),
        text("action"),
        text("actor"),
        text("ip_address")
    )
}

/// The first line of OpenVPN's log that contains `needle`.
pub(super) fn quote(log: &str, needle: &str) -> anyhow::Result<String> {
    let line = log.lines().find(|line| line.contains(needle));
    Ok(line
        .with_context(|| format!("OpenVPN's log does not say {needle}"))?
        .trim()
        .to_owned())
}
