//! Counts the users, and the certificates that end soon, from time to time. No scrape waits for it.

use std::time::{Duration, Instant};

use chrono::Utc;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    ops::figures::{count_users::count_users, read_certificates::read_certificates},
};

/// Between two counts, at least.
const PERIOD: Duration = Duration::from_secs(60);
/// Of the time, counting takes a fiftieth at most, however many users there are.
const SHARE: u32 = 50;

static UNCOUNTED: LogLimit = LogLimit::new("the users were not counted");

pub(super) async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let began = Instant::now();
        let Some(counted) = stop.run_until_cancelled(count(&app)).await else {
            return Ok(());
        };
        if let Err(error) = counted
            && let Some(times) = UNCOUNTED.admit()
        {
            warn!(
                error = app.reach.explain_any(&error),
                times, "The users were not counted"
            );
        }
        let pause = PERIOD.max(began.elapsed() * SHARE);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

async fn count(app: &App) -> Result<(), DbErr> {
    let certificates = read_certificates(&app.db).await?;
    app.figures.certificates.read(&certificates, Utc::now());
    let began = Instant::now();
    let users = count_users(&app.db).await?;
    app.figures.users.counted(&users, began);
    Ok(())
}
