//! Reports of sessions for the history: very many of own users, and some of users of others.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{SecondsFormat, TimeDelta, Utc};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use crate::attack::{
    flood::{Flood, Offered},
    scene::{Person, STOLEN, Scene},
    size::Size,
    thief::messages::{Message, now, payload, text},
};

/// The most sessions of a report.
const SESSIONS: u64 = 50;
/// Reports that tell of other sessions each.
const REPORTS: u64 = 200;
/// How long what the thief tells of own users may take to be recorded.
const RECORDED: Duration = Duration::from_secs(60);

/// 4,000 reports of 50 sessions of own users: 10,000 sessions, each told of again and again from two addresses in turn.
pub(in crate::attack) fn many(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let own = credentials(scene, scene.own()).await?;
        let (count, told) = (size.count(4_000, 100), Told::lately(scene));
        let reports = (0..REPORTS.min(count / 2)).flat_map(|number| {
            // Each is as new as the other, so each changes the session again.
            ["198.51.100.1:1", "198.51.100.2:2"].map(|from| told.report(&own, number, from))
        });
        let flood = Flood::at_once(reports.collect(), count).sized(size);
        flood.send(scene.bus(), &scene.thief).await
    }
    .boxed_local()
}

/// Of users who are on the honest node only, and of nobody. None may come into the history, and none of these users may have been seen.
pub(in crate::attack) fn others(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let people = || scene.others().filter(|person| !person.on_stolen);
        let mut names = credentials(scene, people()).await?;
        names.push("nobody.aaaaaaaaaaaaaaaa".to_owned());
        let own = credentials(scene, scene.own()).await?;
        let (count, told) = (size.count(40, 10), Told::lately(scene));
        let foreign = (0..count).map(|number| told.report(&names, number, "198.51.100.3:3"));
        // It comes after the others, so they were read when it is recorded.
        let last = told.report(&own, REPORTS, "198.51.100.4:4");
        let messages: Vec<Message> = foreign.chain([last]).collect();
        let flood = Flood::at_once(messages, count + 1).sized(size);
        let mut offered = flood.send(scene.bus(), &scene.thief).await?;

        let is_read = async || {
            number(scene, OF_LAST, vec!["198.51.100.4".to_owned()])
                .await
                .map(|rows| rows > 0)
        };
        let is_read = async || match is_read().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it is not recorded".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        };
        wait::until_ok(RECORDED, "the last report to be read", is_read).await?;
        let sessions = number(scene, OF_NAMES, names).await?;
        if sessions > 0 {
            let what = format!("{sessions} sessions of users of the honest node are in the history");
            offered.wrong.push(what);
        }
        let usernames = people().map(|person| person.username.clone()).collect();
        let seen = number(scene, SEEN, usernames).await?;
        if seen > 0 {
            let what = format!("{seen} users of the honest node were seen");
            offered.wrong.push(what);
        }
        Ok(offered)
    }
    .boxed_local()
}

const OF_LAST: &str = "SELECT count(*) AS number FROM sessions WHERE host(real_ip) = ANY($1)";
const OF_NAMES: &str = "SELECT count(*) AS number FROM sessions WHERE common_name = ANY($1)";
const SEEN: &str = "SELECT count(*) AS number FROM users WHERE username = ANY($1) AND last_access IS NOT NULL";

/// What all reports of an attack have in common.
struct Told {
    instance: String,
    since: String,
    seen_at: String,
}

impl Told {
    /// Sessions that began an hour ago, in a whole second as OpenVPN tells it.
    fn lately(scene: &Scene) -> Self {
        Self {
            instance: scene.instance.clone(),
            since: (Utc::now() - TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true),
            seen_at: now(),
        }
    }

    /// A full report of the largest sessions, with these credentials in turn.
    fn report(&self, names: &[String], number: u64, real_address: &str) -> Message {
        let records: Vec<Value> = (0..SESSIONS)
            .zip(names.iter().cycle())
            .map(|(at, name)| {
                let cid = number * SESSIONS + at;
                json!({
                    "common_name": name, "cid": cid, "real_address": real_address,
                    "virtual_address": format!("10.8.{}.{}", cid / 250 % 250, cid % 250), "virtual_address6": "fd00:8::2",
                    "bytes_in": i64::MAX, "bytes_out": i64::MAX, "since": self.since, "client_version": text(32),
                    "client_platform": text(32), "seen_at": self.seen_at,
                })
            })
            .collect();
        let body = json!({
            "v": 1, "type": "sessions", "node": STOLEN, "instance": self.instance, "records": records,
        });
        (format!("vpn.event.{STOLEN}.sessions"), payload(&body))
    }
}

#[derive(FromQueryResult)]
struct Name {
    common_name: String,
}

/// The credentials of these people.
async fn credentials(scene: &Scene, of: impl Iterator<Item = &Person>) -> anyhow::Result<Vec<String>> {
    let usernames: Vec<String> = of.map(|person| person.username.clone()).collect();
    let statement = Statement::from_sql_and_values(
        scene.db.get_database_backend(),
        "SELECT c.common_name FROM credentials c JOIN users u ON u.id = c.user_id
         WHERE u.username = ANY($1) AND c.revoked_at IS NULL ORDER BY c.id",
        [usernames.into()],
    );
    let found = Name::find_by_statement(statement).all(&scene.db).await?;
    anyhow::ensure!(
        !found.is_empty(),
        "these users have no credentials: nothing would be tested"
    );
    Ok(found.into_iter().map(|row| row.common_name).collect())
}

async fn number(scene: &Scene, sql: &'static str, of: Vec<String>) -> anyhow::Result<i64> {
    let statement = Statement::from_sql_and_values(scene.db.get_database_backend(), sql, [of.into()]);
    let row = scene.db.query_one_raw(statement).await?.context("no row")?;
    Ok(row.try_get("", "number")?)
}
