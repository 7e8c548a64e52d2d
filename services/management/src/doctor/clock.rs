//! The clock of this machine, compared with that of PostgreSQL, by which replicas compare what they write.

use chrono::Utc;
use sea_orm::DatabaseConnection;
use vpnmanager_runtime::doctor::{Check, Seen, clock::difference};

use super::database::unreadable;
use crate::{config::Config, ops::database_now::database_now};

pub(super) const CLOCK: Check =
    Check::new("clock", "The clock agrees with that of PostgreSQL").after(&["configuration", "database"]);

/// Asks for the time there.
pub(super) async fn look((config, db): (&Config, &DatabaseConnection)) -> Seen {
    let asked = Utc::now();
    let told = match database_now(db).await {
        Ok(told) => told,
        Err(error) => return unreadable(&error),
    };
    let answered = Utc::now();
    // It was told at some moment in between.
    let here = asked + (answered - asked) / 2;
    let ahead = (here - told).num_milliseconds();
    difference("PostgreSQL", ahead, config.health.max_clock_skew).into()
}
