//! Ends the process when PostgreSQL's machine went away without closing its connections, and another answers in its place. PostgreSQL's
//! client has no deadline, and TCP has one only for what was not received (RFC 9293, section 3.8.3): whoever waits for an answer on such a
//! connection may wait for ever. Only the process as a whole can begin anew, and its supervisor starts it again.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::bail;
use humantime::format_duration;
use sea_orm::sqlx::{Connection as _, postgres::PgConnection};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::reach::Reach;

/// How often a connection that nobody else uses is asked for a sign of life.
const PERIOD: Duration = Duration::from_secs(2);
/// Longer than this, no sign of life is silence.
const PATIENCE: Duration = Duration::from_secs(5);
/// When new connections answer again after a silence, the old one has as long as the silence was, but no longer than this: what TCP sends
/// again, it sends after pauses that double.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// What became of a connection.
enum End {
    /// It was closed, as everybody else's was.
    Closed,
    /// It got no answer for so long, while new ones do.
    Abandoned(Duration),
}

/// Fails when connections were abandoned.
pub(super) async fn watch(reach: Reach, stop: CancellationToken) -> anyhow::Result<()> {
    let abandoned = async {
        loop {
            let Ok(mut line) = reach.open(PATIENCE).await else {
                sleep(PERIOD).await;
                continue;
            };
            if let End::Abandoned(silence) = follow(&reach, &mut line).await {
                return silence;
            }
        }
    };
    tokio::select! {
        silence = abandoned => bail!(
            "the database at {} gave no answer for {} on a connection that it did not close, and answers on new ones, as after a \
             failover from a machine that died: stopping, to begin again with new connections",
            reach.place(),
            format_duration(Duration::from_secs(silence.as_secs())),
        ),
        () = stop.cancelled() => Ok(()),
    }
}

/// Asks for signs of life until the end of the connection.
async fn follow(reach: &Reach, line: &mut PgConnection) -> End {
    loop {
        let (mut sign, asked) = (pin!(line.ping()), Instant::now());
        let answer = match timeout(PATIENCE, &mut sign).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                warn!(database.at = reach.place(), "The database is silent on a connection");
                let answer = tokio::select! {
                    answer = sign => answer,
                    () = others_answer(reach, asked) => return End::Abandoned(asked.elapsed()),
                };
                if answer.is_err() {
                    // It was closed by whoever does not know it: those on which nothing is sent are not closed.
                    others_answer(reach, asked).await;
                    return End::Abandoned(asked.elapsed());
                }
                info!(database.at = reach.place(), "The database answers again");
                answer
            }
        };
        if answer.is_err() {
            return End::Closed;
        }
        sleep(PERIOD).await;
    }
}

/// Waits until a new connection gets an answer, and then as long as the silence was.
async fn others_answer(reach: &Reach, silent_since: Instant) {
    while !answers(reach).await {
        sleep(PERIOD).await;
    }
    sleep(silent_since.elapsed().min(LONGEST_GRACE)).await;
}

async fn answers(reach: &Reach) -> bool {
    let asked = async {
        let mut line = reach.open(PATIENCE).await.ok()?;
        line.ping().await.ok()
    };
    matches!(timeout(PATIENCE, asked).await, Ok(Some(())))
}
