//! Watches whether this replica hears nodes in time, by sending itself a message each second on the connection on which they speak, and
//! whether it records in time what they say.

use std::time::Duration;

use anyhow::Context;
use async_nats::{Subscriber, connection::State};
use chrono::Utc;
use futures_util::StreamExt;
use sea_orm::{ConnAcquireErr, DbErr};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::heartbeats::Mailbox;
use crate::{
    app::App,
    ops::nodes::note_hearing::{note_deafness, note_hearing},
};

const EVERY: Duration = Duration::from_secs(1);
/// What stands before the message in the queue of the connection was sent by nodes: a longer wait means that they are heard too late. The
/// same holds for heartbeats that wait for the database.
const IN_TIME: Duration = Duration::from_secs(2);

pub(super) async fn run(app: App, mailbox: Mailbox, stop: CancellationToken) -> anyhow::Result<()> {
    let client = app.inbound.client.clone();
    let subject = client.new_inbox();
    let mut echoes = client.subscribe(subject.clone()).await.context("subscribing failed")?;
    let mut connections = app.inbound.connections.clone();
    // Since the start everything was heard.
    connections.mark_unchanged();
    let (mut was_deaf, mut number) = (false, 0_u64);
    while !stop.is_cancelled() {
        let is_new = connections.has_changed().context("the connection is gone")?;
        connections.mark_unchanged();
        number += 1;
        app.hearing.look();
        let hears = !is_new
            && client.connection_state() == State::Connected
            && echo(&app, &subject, &mut echoes, number).await
            && mailbox.behind() < IN_TIME;
        app.hearing.look();
        if !hears {
            app.hearing.missed_until(Utc::now());
        }
        if let Err(error) = record(&app, hears).await {
            warn!(
                error = app.reach.explain_any(&error),
                "Recording whether nodes are heard failed"
            );
        }
        match (was_deaf, hears) {
            (false, false) => {
                warn!("What nodes send arrives late or not at all: until it does, no node is called stale or lost")
            }
            (true, true) => info!("What nodes send arrives in time again"),
            (false, true) | (true, false) => {}
        }
        was_deaf = !hears;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Records whether this replica hears, for the others, and notes what the database's clock says.
async fn record(app: &App, hears: bool) -> Result<(), DbErr> {
    let (replica, asked) = (&app.config.server_id, Utc::now());
    let recorded = timeout(IN_TIME, async {
        if hears {
            let heard_for = Utc::now() - app.hearing.since();
            note_hearing(&app.leases, replica, heard_for.to_std().unwrap_or_default()).await
        } else {
            note_deafness(&app.leases, replica).await
        }
    });
    let too_late = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
    let database_says = recorded.await.unwrap_or_else(|_| Err(too_late()))?;
    app.clock.said(database_says, asked);
    Ok(())
}

/// Whether the message with this number comes back in time. Those before it may come late, and prove nothing.
async fn echo(app: &App, subject: &str, echoes: &mut Subscriber, number: u64) -> bool {
    let payload = number.to_string();
    let sent = app.inbound.client.publish(subject.to_owned(), payload.clone().into());
    if sent.await.is_err() {
        return false;
    }
    let returned = async {
        while let Some(message) = echoes.next().await {
            if message.payload == payload.as_bytes() {
                return true;
            }
        }
        false
    };
    timeout(IN_TIME, returned).await.unwrap_or(false)
}
