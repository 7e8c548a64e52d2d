//! States that an attack changed although they are not the attacker's: what is looked at before and after.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use sea_orm::{FromQueryResult, Statement};
use serde_json::json;
use vpnmanager_testbed::{
    api::Api,
    process::Identity,
    stack::{Part, Stack},
    wait,
};

use super::{
    operator::Sight,
    scene::{HONEST, Person, STOLEN, Scene, people},
    size::Size,
};

/// How many users of the honest node expire during an attack, in the full and in the short form; for each the node must be heard.
const EXPIRING: (u32, u32) = (12, 4);
/// The least time until an expiry, in both forms. Who is not on the node by then is not counted: the node does not know of the expiry.
const FIRST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));
/// The time between two expiries.
const NEXT: Duration = Duration::from_millis(100);
/// How many users of others one node may say to hold a newer revision of, and be believed: the 20 whose standby it is. Management cannot tell that
/// from a database that was restored from an older dump, so it believes a node three times a day about each user whom that node holds.
const BELIEVED: usize = 20;
/// How long what was accepted may take to come true after an attack.
const COME_TRUE: Duration = Duration::from_secs(90);
/// The parts that must not end. The agent of the stolen node may: what is done to its credential is done to it.
const PARTS: [Part; 4] = [Part::Management, Part::Nats, Part::Postgres, Part::Node(1)];

/// What was so before an attack.
pub(super) struct Before {
    processes: Vec<(Part, Option<Identity>)>,
    log: u64,
    audit: i64,
    others: BTreeMap<String, Person>,
    /// Users who expire while the attack goes on.
    expiring: Vec<String>,
}

/// What was found after an attack.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) wrong: Vec<String>,
    /// What is not wrong, and is told.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    action: String,
    username: Option<String>,
    server_id: String,
    actor: String,
    details: Option<String>,
    state: Option<String>,
}

/// Waits until the honest node is healthy.
async fn honest_is_healthy(api: &Api) -> anyhow::Result<()> {
    let state = async || {
        let answer = api.endnode(HONEST).await.and_then(|answer| answer.expect(200));
        let state = answer.map_err(|error| error.to_string())?.body["state"].clone();
        if state == "healthy" {
            Ok(())
        } else {
            Err(format!("it is {state}"))
        }
    };
    wait::until_ok(COME_TRUE, "the honest node to be healthy", state).await?;
    Ok(())
}

impl Before {
    /// Looks, and lets users be created who expire soon. `round` makes their names new.
    pub(super) async fn look(scene: &Scene, api: &Api, size: Size, round: usize) -> anyhow::Result<Self> {
        // A node that has just enrolled becomes healthy with its first heartbeat: that is no doing of the thief.
        honest_is_healthy(api).await?;
        let audit = last_row(scene).await?;
        let (count, first) = (size.pick(EXPIRING.0, EXPIRING.1), size.pick(FIRST.0, FIRST.1));
        let mut expiring = Vec::new();
        for number in 1..=count {
            let name = format!("fleeting-{round}-{number}");
            let (begun, now) = (Instant::now(), SystemTime::now());
            let at = now + first + NEXT * number;
            let until = humantime::format_rfc3339_millis(at).to_string();
            let body = json!({ "username": name, "server_id": HONEST, "expires_at": until });
            let created = api.create_user_as(&body, Some(first)).await?.expect(201)?;
            if created.body["synced"] == true && begun.elapsed() < first {
                expiring.push(name);
            }
        }
        anyhow::ensure!(
            !expiring.is_empty(),
            "none of {count} users who expire was on the honest node in time: no event of it would be looked for"
        );
        Ok(Self {
            processes: PARTS.map(|part| (part, scene.stack.process(part))).to_vec(),
            log: length(&scene.stack),
            audit,
            others: others(scene).await?,
            expiring,
        })
    }

    /// Everything that is wrong after an attack. Waits until what was accepted has come true.
    pub(super) async fn look_again(&self, scene: &Scene, api: &Api, sight: &Sight) -> anyhow::Result<Found> {
        let mut found = Found {
            wrong: self.ended(scene),
            notes: Vec::new(),
        };
        if !found.wrong.is_empty() {
            // Nothing that needs them can be asked.
            return Ok(found);
        }
        found.wrong.extend(unsynced(scene, &sight.created).await);
        found.wrong.extend(self.unheard(scene).await);
        found.wrong.extend(self.rows(scene).await?);
        self.changed(scene, &mut found).await?;
        found.wrong.extend(grouped(scene).await?);
        if let Err(error) = honest_is_healthy(api).await {
            found.wrong.push(error.to_string());
        }
        found.wrong.extend(self.ended(scene));
        Ok(found)
    }

    /// Processes and tasks that ended, and panics.
    fn ended(&self, scene: &Scene) -> Vec<String> {
        let stack = &scene.stack;
        let mut wrong: Vec<String> = self
            .processes
            .iter()
            .filter(|(part, before)| stack.process(*part) != *before)
            .map(|(part, _)| format!("{part} ended"))
            .collect();
        let log = stack.log(Part::Management).text();
        let new = log.get(usize::try_from(self.log).unwrap_or_default()..).unwrap_or(&log);
        let bad = |line: &&str| line.contains("Task died") || line.contains("panicked");
        wrong.extend(
            new.lines()
                .filter(bad)
                .take(3)
                .map(|line| format!("in the log: {line}")),
        );
        wrong
    }

    /// Events of the honest node that are not recorded.
    async fn unheard(&self, scene: &Scene) -> Option<String> {
        let missing = async || {
            let sql = "SELECT username FROM audit_log WHERE id > $1 AND action = 'user_expired' AND actor = $2";
            let rows = query::<Name>(scene, sql, [self.audit.into(), format!("node:{HONEST}").into()]).await;
            let heard: Vec<String> = rows
                .map_err(|error| error.to_string())?
                .into_iter()
                .map(|row| row.username)
                .collect();
            let missing = self.expiring.iter().filter(|name| !heard.contains(name)).count();
            if missing == 0 {
                Ok(())
            } else {
                Err(format!("{missing} of {} are missing", self.expiring.len()))
            }
        };
        let waited = wait::until_ok(COME_TRUE, "events of the honest node in the audit trail", missing).await;
        waited.err().map(|error| error.to_string())
    }

    /// Rows of the audit trail about what is not the thief's.
    async fn rows(&self, scene: &Scene) -> anyhow::Result<Vec<String>> {
        let sql = "SELECT action, username, server_id, actor, left(details, 100) AS details, after->>'state' AS state
            FROM audit_log WHERE id > $1 AND actor NOT LIKE 'key:%' ORDER BY id";
        let rows = query::<Row>(scene, sql, [self.audit.into()]).await?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows.iter().filter(|row| is_wrong(row, &self.others)) {
            let what = row.state.as_deref().or(row.details.as_deref()).unwrap_or_default();
            let about = match &row.username {
                Some(_) => "users of the honest node".to_owned(),
                None => row.server_id.clone(),
            };
            *counts
                .entry(format!("{} {what} of {about} by {}", row.action, row.actor))
                .or_default() += 1;
        }
        Ok(counts
            .into_iter()
            .map(|(what, times)| format!("{times} audit rows: {what}"))
            .collect())
    }

    /// Users of the honest node who are not as they were.
    async fn changed(&self, scene: &Scene, found: &mut Found) -> anyhow::Result<()> {
        let now = others(scene).await?;
        let (mut gone, mut moved, mut revised, mut believed) = (0, 0, 0, 0);
        for (name, before) in &self.others {
            match now.get(name) {
                None => gone += 1,
                Some(now) if now.server_id != before.server_id => moved += 1,
                Some(now) if now.revision != before.revision && before.on_stolen => believed += 1,
                Some(now) if now.revision != before.revision => revised += 1,
                Some(_) => {}
            }
        }
        let told = [
            (gone, "are gone"),
            (moved, "have another home"),
            (revised, "have another revision"),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        found
            .wrong
            .extend(told.map(|(count, what)| format!("{count} users of the honest node {what}")));
        let told = format!("{believed} users of the honest node whose standby is the stolen one have another revision");
        match believed {
            0 => {}
            1..=BELIEVED => found.notes.push(told),
            _ => found.wrong.push(format!("{told}, more than {BELIEVED}")),
        }
        Ok(())
    }
}

/// Whether a row is about what is not the thief's, and nobody's own doings explain it.
fn is_wrong(row: &Row, others: &BTreeMap<String, Person>) -> bool {
    // Whose expiry the look at the allow-list finds first is removed by it.
    let own = ["user_expired", "allow_list_repaired"].contains(&row.action.as_str());
    if own && row.actor == format!("node:{HONEST}") {
        return false;
    }
    // Those are counted by what they changed.
    let named = row.username.as_ref().and_then(|name| others.get(name));
    if row.action == "user_revision_raised" && named.is_some_and(|person| person.on_stolen) {
        return false;
    }
    let about_others = row.username.as_ref().is_some_and(|name| others.contains_key(name));
    // The thief may have asked for anybody's name, and was told no.
    let refused = row.action == "local_request_refused" && row.server_id == STOLEN;
    // A row about one of the thief's users may name the honest node, as the new home.
    let about_node = row.server_id == HONEST && row.username.is_none();
    (about_others && !refused) || about_node
}

/// Users who are in a group: nobody puts any into one.
async fn grouped(scene: &Scene) -> anyhow::Result<Option<String>> {
    let sql = "SELECT username FROM users WHERE group_name <> 'default'";
    let names = query::<Name>(scene, sql, []).await?.into_iter().map(|row| row.username);
    let names: Vec<String> = names.collect();
    Ok((!names.is_empty()).then(|| format!("{names:?} are in a group, and nobody put them there")))
}

/// Users who were accepted and are not on their nodes.
async fn unsynced(scene: &Scene, created: &[String]) -> Option<String> {
    let missing = async || {
        let sql = "SELECT username FROM users WHERE synced AND removed_at IS NULL";
        let rows = query::<Name>(scene, sql, []).await.map_err(|error| error.to_string())?;
        let synced: std::collections::BTreeSet<String> = rows.into_iter().map(|row| row.username).collect();
        let missing = created.iter().filter(|name| !synced.contains(*name)).count();
        if missing == 0 {
            Ok(())
        } else {
            Err(format!("{missing} of {} are missing", created.len()))
        }
    };
    let waited = wait::until_ok(COME_TRUE, "accepted users on their node", missing).await;
    waited.err().map(|error| error.to_string())
}

#[derive(Debug, FromQueryResult)]
struct Name {
    username: String,
}

#[derive(Debug, FromQueryResult)]
struct Last {
    id: Option<i64>,
}

async fn last_row(scene: &Scene) -> anyhow::Result<i64> {
    let rows = query::<Last>(scene, "SELECT max(id) AS id FROM audit_log", []).await?;
    Ok(rows.first().and_then(|row| row.id).unwrap_or_default())
}

async fn others(scene: &Scene) -> anyhow::Result<BTreeMap<String, Person>> {
    let known: std::collections::BTreeSet<&String> = scene.others().map(|person| &person.username).collect();
    let now = people(&scene.db).await?.into_iter();
    let now = now.filter(|person| known.contains(&person.username));
    Ok(now.map(|person| (person.username.clone(), person)).collect())
}

async fn query<T: FromQueryResult>(
    scene: &Scene,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<Vec<T>, sea_orm::DbErr> {
    let statement = Statement::from_sql_and_values(scene.db.get_database_backend(), sql, values);
    T::find_by_statement(statement).all(&scene.db).await
}

fn length(stack: &Stack) -> u64 {
    std::fs::metadata(stack.log(Part::Management).path()).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_about_others_are_told_from_those_about_the_thief() {
        let alice = Person {
            key: "k".to_owned(),
            username: "alice".to_owned(),
            server_id: HONEST.to_owned(),
            revision: 1,
            on_stolen: false,
        };
        let bob = Person {
            username: "bob".to_owned(),
            on_stolen: true,
            ..alice.clone()
        };
        let others = BTreeMap::from([alice, bob].map(|person| (person.username.clone(), person)));
        let wrong = |action: &str, username: Option<&str>, server: &str, actor: &str| {
            let row = Row {
                action: action.to_owned(),
                username: username.map(str::to_owned),
                server_id: server.to_owned(),
                actor: actor.to_owned(),
                details: None,
                state: None,
            };
            is_wrong(&row, &others)
        };
        assert!(wrong("node_state_changed", None, HONEST, "system"));
        assert!(wrong("user_rehomed", Some("alice"), "management", "system"));
        assert!(wrong("user_removed", Some("alice"), "management", "node:node-2"));
        assert!(wrong("user_expired", Some("alice"), STOLEN, "node:node-2"));
        assert!(wrong("openvpn_down", None, HONEST, "node:node-1"));
        assert!(wrong("user_revision_raised", Some("alice"), "management", "system"));
        assert!(!wrong("user_revision_raised", Some("bob"), "management", "system"));
        assert!(wrong("user_suspended", Some("bob"), "management", "system"));
        assert!(!wrong("user_expired", Some("fleeting"), HONEST, "node:node-1"));
        assert!(!wrong("user_rehomed", Some("mallory"), HONEST, "system"));
        assert!(!wrong("user_created", Some("mallory"), "management", "node:node-2"));
        assert!(!wrong("node_state_changed", None, STOLEN, "system"));
        assert!(!wrong("local_request_refused", Some("alice"), STOLEN, "node:node-2"));
    }
}
