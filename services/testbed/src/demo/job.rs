//! The operator's side of the demo, over HTTP.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    stack::{ServiceState, Stack},
    wait,
};

use crate::screen::{done, say};

pub(super) const USER: &str = "alice";
/// The group that she is in.
pub(super) const GROUP: &str = "support";
const WAIT: Duration = Duration::from_secs(10);

/// An address inside the tunnel that the user had at a time.
pub(super) struct Whereabouts {
    address: String,
    at: DateTime<Utc>,
}

/// The life of one user, through management's API.
pub(super) struct Job {
    api: Api,
}

impl Job {
    pub(super) fn new(stack: &Stack) -> Self {
        Self { api: stack.api() }
    }

    /// Makes a group that has no rules yet.
    pub(super) async fn create_group(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        self.api.create_group(&json!({ "name": GROUP })).await?.expect(201)?;
        let result = "201, without rules: its members reach all that is routed";
        done(&format!("POST /api/groups {GROUP}"), result, started.elapsed());
        Ok(())
    }

    /// Has members of the group reach this; `null`: all that is routed.
    pub(super) async fn set_reach(&self, reach: &Value) -> anyhow::Result<()> {
        let change = json!({ "reach": reach });
        self.api.change_group(GROUP, &change).await?.expect(200)?;
        Ok(())
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

    /// Creates the user in the group, waits until every node allows it, and returns its profile.
    pub(super) async fn create(&self) -> anyhow::Result<String> {
        let started = Instant::now();
        let user = json!({ "username": USER, "group": GROUP });
        let answer = self.api.create_user_as(&user, Some(WAIT)).await?.expect(201)?;
        ensure!(
            answer.body["synced"] == true,
            "the nodes have not applied it: {}",
            answer.text
        );
        let result = "201, synced: every placed node lets her in";
        done(
            &format!("POST /api/users {USER} in {GROUP}, wait until synced"),
            result,
            started.elapsed(),
        );

        let started = Instant::now();
        let profile = self.api.profile(USER).await?;
        for part in ["<ca>", "<cert>", "<key>", "<tls-crypt-v2>", "remote "] {
            ensure!(profile.contains(part), "the profile has no {part}");
        }
        let result = format!("{} bytes, servers in order: {}", profile.len(), places(&profile));
        done(&format!("GET /api/users/{USER}/profile"), &result, started.elapsed());
        Ok(profile)
    }

    /// Sees the user among those who are connected.
    pub(super) async fn sees_session(&self) -> anyhow::Result<Whereabouts> {
        let started = Instant::now();
        let answer = self.api.get("/api/sessions").await?.expect(200)?;
        let at = Utc::now();
        let [session] = answer.items() else {
            bail!("not one session: {}", answer.text);
        };
        ensure!(session["username"] == USER, "it is not that of {USER}: {}", answer.text);
        let result = format!(
            "{} from {}, inside {}, {} bytes in, {} out",
            who(session),
            text(session, "real_address"),
            text(session, "virtual_address"),
            session["bytes_in"],
            session["bytes_out"]
        );
        done("GET /api/sessions", &result, started.elapsed());
        let address = text(session, "virtual_address").to_owned();
        Ok(Whereabouts { address, at })
    }

    /// Finds in the history, once the session has ended, that it was the user who had the address then.
    pub(super) async fn was_seen(&self, Whereabouts { address, at }: &Whereabouts) -> anyhow::Result<()> {
        let started = Instant::now();
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let path = format!("/api/sessions?address={address}&at={at}");
        let session = wait::until_ok(WAIT, format_args!("the end of the session in {path}"), async || {
            let answer = self.api.get(&path).await.map_err(|error| error.to_string())?;
            match answer.items() {
                [session] if session["ended_at"].is_string() => Ok(session.clone()),
                _ => Err(answer.text.clone()),
            }
        })
        .await?;
        ensure!(session["username"] == USER, "it was not {USER}: {session}");
        let result = format!(
            "GET /api/sessions?address={address}&at=...: {}, until {}",
            who(&session),
            text(&session, "ended_at")
        );
        done(&format!("Ask who had {address} at {at}"), &result, started.elapsed());
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

/// The ports of a profile's servers, in their order: `1194 udp, 443 tcp-client`.
fn places(profile: &str) -> String {
    let remotes = profile.lines().filter_map(|line| line.strip_prefix("remote "));
    let places: Vec<&str> = remotes.filter_map(|remote| Some(remote.split_once(' ')?.1)).collect();
    places.join(", ")
}

/// Whose session it is, and where.
fn who(session: &Value) -> String {
    format!(
        "{} with device {} on {} at {}",
        text(session, "username"),
        text(session, "device"),
        text(session, "server_id"),
        text(session, "listener")
    )
}

fn row(entry: &Value) -> String {
    format!(
        "{}  {:<18} by {} from {}",
        text(entry, "timestamp"),
        text(entry, "action"),
        text(entry, "actor"),
        text(entry, "ip_address")
    )
}

/// The text of a field, or a dash where it has none.
fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or("-")
}

/// The first line of OpenVPN's log that contains `needle`.
pub(super) fn quote(log: &str, needle: &str) -> anyhow::Result<String> {
    let line = log.lines().find(|line| line.contains(needle));
    Ok(line
        .with_context(|| format!("OpenVPN's log does not say {needle}"))?
        .trim()
        .to_owned())
}
