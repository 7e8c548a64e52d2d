//! The user's side of the demo: a tunnel that works, and its end.

use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use serde_json::{Value, json};
use vpnmanager_testbed::{
    client::ClientOptions,
    stack::{Connection, ServiceState, Stack},
    wait,
};

use super::job::{GROUP, Job, quote};
use crate::screen::done;

const CONNECT: Duration = Duration::from_secs(30);
const CUT: Duration = Duration::from_secs(1);

pub(super) async fn connect_and_cut(stack: &Stack, job: &Job, profile: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut connection = stack.start_client(profile, &ClientOptions::default()).await?;
    connection.client.connected(CONNECT).await?;
    let result = quote(&connection.client.log().text(), "Initialization Sequence Completed")?;
    done("Connect a real OpenVPN client", &result, started.elapsed());

    let started = Instant::now();
    let pings = connection.pings()?;
    pings.flows(20, CONNECT).await?;
    let stats = pings.stats();
    ensure!(stats.lost.is_empty(), "pings were lost: {:?}", stats.lost);
    done(
        "Ping the server through the tunnel",
        &format!("{} answered, 0 lost", stats.received),
        started.elapsed(),
    );

    let started = Instant::now();
    let service = stack.service()?;
    connection.namespace.set_resolver(service.resolver()).await?;
    let url = service.url();
    let reached = async || service.is_reached_from(&connection.namespace, &url).await;
    wait::until(CONNECT, format_args!("{url} through the tunnel"), reached).await?;
    let result = format!("the page of {}, through the tunnel", service.resolver());
    done(&format!("Fetch {url} behind the node"), &result, started.elapsed());

    let held = hold_to_a_rule(service, job, &connection).await?;
    ensure!(
        connection.client.connections() == 1 && pings.stats().lost.is_empty(),
        "a rule disturbed the session: {:?}",
        pings.stats()
    );
    done(
        &format!("PATCH /api/groups/{GROUP}, reach only UDP"),
        "the running session lost the page, and has it again without the rule",
        held,
    );

    let whereabouts = job.sees_session().await?;

    let (started, deleted) = (Instant::now(), SystemTime::now());
    job.delete().await?;
    let cut = pings.falls_silent(deleted, CUT, CONNECT).await?;
    ensure!(cut < CUT, "the session lived on for {cut:?}");
    connection.client.exited(CONNECT).await?;
    let result = format!(
        "last ping answered {} ms after DELETE began; client has ended",
        cut.as_millis()
    );
    done("See the session dead", &result, started.elapsed());

    job.was_seen(&whereabouts).await?;

    let started = Instant::now();
    connection.client.restart().await?;
    connection.client.refused(CONNECT).await?;
    let result = quote(&connection.client.log().text(), "AUTH_FAILED")?;
    ensure!(connection.client.connections() == 0, "the deleted user got in again");
    done("Try to connect again", &format!("refused: {result}"), started.elapsed());
    connection.close().await;
    Ok(())
}

/// Takes the page from the group, and gives it back. Returns how long it took until she had lost it.
async fn hold_to_a_rule(service: &ServiceState, job: &Job, connection: &Connection) -> anyhow::Result<Duration> {
    let url = service.url();
    let started = Instant::now();
    job.set_reach(&json!([{ "protocol": "udp" }])).await?;
    let refused = async || !service.is_reached_from(&connection.namespace, &url).await;
    wait::until(CONNECT, "the page to be refused", refused).await?;
    let held = started.elapsed();
    job.set_reach(&Value::Null).await?;
    let reached = async || service.is_reached_from(&connection.namespace, &url).await;
    wait::until(CONNECT, "the page to be reached again", reached).await?;
    Ok(held)
}
