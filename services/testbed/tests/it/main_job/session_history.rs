//! The history of sessions is whole and counts nothing twice, whoever is killed meanwhile.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::OpenFlags;
use serde_json::{Value, json};
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Part, StackOptions},
    wait,
};

use super::{
    network::inner_address,
    site::{HEARD, Site, Visitor},
};

/// The pings of one transfer.
const PINGS: u64 = 200;
/// Bytes in each of them.
const CONTENT: u64 = 1000;
/// Bytes before those inside the tunnel: IPv4 and ICMP.
const HEADERS: u64 = 28;

/// One node, so that an address inside the tunnel is that of one client.
async fn one_node(test: &str) -> Option<Site> {
    require_tunnels(test)?;
    let options = StackOptions {
        nodes: 1,
        ..StackOptions::default()
    };
    Some(Site::start(options).await)
}

/// Sends pings of a known size, and returns how many bytes went through the tunnel each way.
async fn transfer(visitor: &Visitor) -> u64 {
    let line = format!("ping -n -q -i 0.01 -c {PINGS} -s {CONTENT} 10.8.0.1");
    let told = visitor.connection.namespace.run(&line).await.unwrap();
    let answered = told
        .split_once(" packets transmitted, ")
        .and_then(|(_, rest)| rest.split_once(" received"));
    let answered: u64 = answered.unwrap_or_else(|| panic!("{told}")).0.parse().unwrap();
    answered * (CONTENT + HEADERS)
}

fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time, but {value}"));
    text.parse().unwrap()
}

fn has_ended(row: &Value) -> bool {
    row["ended_at"].is_string()
}

/// Waits until nobody is missing in the answer to who had this address at this time, and returns that session.
async fn who_had(site: &Site, address: &str, at: DateTime<Utc>) -> Value {
    let api = site.stack.api();
    let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let path = format!("/api/sessions?address={address}&at={at}");
    wait::until_ok(HEARD, format_args!("who had {address} at {at}"), async || {
        let answer = api.get(&path).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        if let [session] = answer.items()
            && answer.body["missing"] == json!([])
        {
            return Ok(session.clone());
        }
        Err(answer.text)
    })
    .await
    .unwrap()
}

fn sum(items: &[Value], counter: &str) -> u64 {
    let counts = items.iter().map(|item| item[counter].as_u64().unwrap());
    counts.sum()
}

/// Panics unless the days of the user have so many sessions, all that was transferred, and no more than the history has.
async fn adds_up(site: &Site, username: &str, (sessions, transferred): (u64, u64)) {
    let path = format!("/api/users/{username}/traffic");
    let days = site.stack.api().get(&path).await.unwrap().expect(200).unwrap();
    // The bytes of these may have grown since.
    let rows = site.history(username, |_| true).await;
    assert_eq!(sum(days.items(), "sessions"), sessions, "{}", days.text);
    assert_eq!(rows.len() as u64, sessions, "{rows:?}");
    for counter in ["bytes_in", "bytes_out"] {
        let counted = sum(days.items(), counter);
        assert!(
            counted >= transferred,
            "{counter}: {transferred} were transferred, {}",
            days.text
        );
        assert!(counted <= sum(&rows, counter), "{counter}: {}, {rows:?}", days.text);
    }
}

/// The records of this user's sessions in the node's journal.
fn records(site: &Site, username: &str) -> Result<Vec<Value>, String> {
    let file = site.stack.node(1).unwrap().dir().join("journal.db");
    let read = || {
        let connection = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut sessions = connection.prepare("SELECT record FROM sessions")?;
        let rows = sessions.query_map([], |row| row.get::<_, String>("record"))?;
        rows.collect::<rusqlite::Result<Vec<String>>>()
    };
    let texts = read().map_err(|error| error.to_string())?;
    let credential = format!("{username}.");
    let is_of_user = |record: &Value| record["common_name"].as_str().unwrap().starts_with(&credential);
    let records = texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    Ok(records.filter(is_of_user).collect())
}

/// Waits until the node's journal is as it should be, as far as this user's sessions are concerned.
async fn is_journaled(site: &Site, username: &str, is_it: impl Fn(&[Value]) -> bool) {
    wait::until_ok(
        HEARD,
        format_args!("the journal of {username}'s sessions"),
        async || {
            let records = records(site, username)?;
            if is_it(&records) {
                Ok(())
            } else {
                Err(format!("{records:?}"))
            }
        },
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_session_is_one_row_whoever_is_killed_until_openvpn_is() {
    let Some(mut site) = one_node("history of a session").await else {
        return;
    };
    let api = site.stack.api();
    let (alices, bobs) = (site.create("alice").await, site.create("bob").await);
    let alice = site.visit(&alices).await;
    let address = inner_address(&alice.connection).await;
    let is_known = |rows: &[Value]| matches!(rows, [row] if row["virtual_address"] == address.as_str());
    let id = site.history("alice", is_known).await[0]["id"].clone();
    let mut transferred = transfer(&alice).await;
    let mut moments = Vec::new();

    for part in [Part::Node(1), Part::Management, Part::Nats] {
        site.stack.kill_part(part).await.unwrap();
        transferred += transfer(&alice).await;
        moments.push(Utc::now());
        site.stack.start_part(part).await.unwrap();
    }

    // Where the agent saw him it has also seen what she transferred before; and it is heard again.
    let bob = site.visit(&bobs).await;
    site.history("bob", |rows| rows.len() == 1).await;
    bob.connection.close().await;
    for moment in &moments {
        let had = who_had(&site, &address, *moment).await;
        assert_eq!(had["username"], "alice", "{had}");
        assert_eq!((&had["id"], has_ended(&had)), (&id, false), "{had}");
    }
    let rows = site.history("alice", |_| true).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let stats = alice.pings.stats();
    assert!(stats.lost.is_empty(), "{stats:?}");

    site.stack.kill_part(Part::Openvpn(1)).await.unwrap();
    site.stack.start_part(Part::Openvpn(1)).await.unwrap();

    alice.connection.client.connected_times(2, HEARD).await.unwrap();
    alice.pings.flows(5, wait::SOON).await.unwrap();
    let is_back = |rows: &[Value]| matches!(rows, [new, old] if new["virtual_address"].is_string() && has_ended(old));
    let rows = site.history("alice", is_back).await;
    let [new, old] = rows.as_slice() else {
        panic!("two sessions: {rows:?}");
    };
    assert_eq!((&old["id"], has_ended(new)), (&id, false), "{rows:?}");
    let last = moments[moments.len() - 1];
    assert!(
        time(&old["ended_at"]) > last && time(&new["since"]) > time(&old["since"]),
        "{rows:?}"
    );
    for moment in moments {
        assert_eq!(who_had(&site, &address, moment).await["id"], id);
    }
    eprintln!("measured: {transferred} bytes each way");
    adds_up(&site, "alice", (2, transferred)).await;
    for shown in [api.user("alice").await, api.device("alice", "default").await] {
        let shown = shown.unwrap().expect(200).unwrap();
        assert!(time(&shown.body["last_access"]) > last, "{}", shown.text);
    }
    alice.connection.close().await;
}

/// Where and when a client was.
struct Visit {
    address: String,
    at: DateTime<Utc>,
}

/// Connects, and leaves once the node has noted it. Ends when the node has noted that too.
async fn come_and_go(site: &Site, username: &str, profile: &str) -> Visit {
    let visitor = site.visit(profile).await;
    let address = inner_address(&visitor.connection).await;
    let has_begun = |records: &[Value]| {
        let is_it = |record: &Value| record["virtual_address"] == address.as_str() && record["ended"].is_null();
        matches!(records, [record] if is_it(record))
    };
    is_journaled(site, username, has_begun).await;
    let at = Utc::now();
    visitor.connection.close().await;
    let is_over = |records: &[Value]| records.iter().all(|record| !record["ended"].is_null());
    is_journaled(site, username, is_over).await;
    Visit { address, at }
}

#[tokio::test]
async fn who_comes_and_goes_while_nobody_hears_of_it_is_in_the_history_once() {
    let Some(mut site) = one_node("history of an outage").await else {
        return;
    };
    let (bobs, carols) = (site.create("bob").await, site.create("carol").await);

    site.stack.kill_part(Part::Management).await.unwrap();
    let bob = come_and_go(&site, "bob", &bobs).await;
    site.stack.kill_part(Part::Nats).await.unwrap();
    let carol = come_and_go(&site, "carol", &carols).await;
    for part in [Part::Nats, Part::Management] {
        site.stack.start_part(part).await.unwrap();
    }

    for (username, visit) in [("bob", bob), ("carol", carol)] {
        let is_over = |rows: &[Value]| !rows.is_empty() && rows.iter().all(has_ended);
        let rows = site.history(username, is_over).await;
        // Nothing more is to come.
        is_journaled(&site, username, |records| records.is_empty()).await;
        adds_up(&site, username, (1, 0)).await;
        assert_eq!(rows[0]["end"], "seen", "{rows:?}");
        assert!(
            time(&rows[0]["since"]) <= visit.at && visit.at < time(&rows[0]["ended_at"]),
            "{rows:?}"
        );
        let had = who_had(&site, &visit.address, visit.at).await;
        assert_eq!((&had["id"], &had["username"]), (&rows[0]["id"], &json!(username)));
    }
}
