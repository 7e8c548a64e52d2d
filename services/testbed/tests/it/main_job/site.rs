//! A stack and the people who use its tunnels.

pub(crate) mod nodes;

use std::{
    thread,
    time::{Duration, SystemTime},
};

use async_nats::{ConnectOptions, jetstream};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::{Answer, Api},
    client::ClientOptions,
    net::require_tunnels,
    ping::PingStream,
    process::Log,
    stack::{Connection, Node, Part, Stack, StackOptions},
    wait,
};

use super::profile;

/// After a fault: whoever waits for the bus, or was refused by it, tries again after some seconds.
pub(crate) const HEARD: Duration = Duration::from_mins(1);
/// Without an answer for this long, a stream of pings has ended.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
/// No client of a node that drains or leaves is without its tunnel for longer, each time that it is moved.
pub(crate) const MOVED: Duration = wait::under_load(Duration::from_secs(2));
const LINES: usize = 15;
/// Fifty streams at 50 ms would be what the machine is busy with.
const CROWD_PING: Duration = Duration::from_millis(100);
const STARTS_AT_ONCE: usize = 8;

/// A running stack; tells its troubles when a test fails.
pub(crate) struct Site {
    pub(crate) stack: Stack,
}

impl Site {
    /// Two nodes with real OpenVPN, where this machine can.
    pub(crate) async fn with_tunnels(test: &str) -> Option<Self> {
        require_tunnels(test)?;
        Some(Self::start(StackOptions::default()).await)
    }

    /// Nodes without OpenVPN, for what needs no tunnel.
    pub(crate) async fn without_tunnels(nodes: u8) -> Self {
        Self::start(StackOptions {
            nodes,
            tunnels: Some(false),
            ..StackOptions::default()
        })
        .await
    }

    /// Any stack.
    pub(crate) async fn start(options: StackOptions) -> Self {
        let stack = Stack::start(options).await.unwrap_or_else(|error| panic!("{error:?}"));
        Self { stack }
    }

    /// Creates a user, waits until all nodes let it in, and returns its profile.
    pub(crate) async fn create(&self, username: &str) -> String {
        self.create_as(username, &json!({ "username": username })).await
    }

    /// The same with this node as its home.
    pub(crate) async fn create_at(&self, username: &str, node: &str) -> String {
        self.create_as(username, &json!({ "username": username, "server_id": node }))
            .await
    }

    /// The same in this group.
    pub(crate) async fn create_in(&self, username: &str, group: &str) -> String {
        self.create_as(username, &json!({ "username": username, "group": group }))
            .await
    }

    async fn create_as(&self, username: &str, body: &Value) -> String {
        let api = self.stack.api();
        let created = api.create_user_as(body, Some(wait::SOON)).await.unwrap();
        assert_synced(&created.expect(201).unwrap());
        api.profile(username).await.unwrap()
    }

    /// Deletes a user, and waits until all nodes have carried it out.
    pub(crate) async fn delete(&self, username: &str) {
        let deleted = self.stack.api().delete_user(username, Some(wait::SOON)).await;
        deleted.unwrap().success().unwrap();
    }

    /// Changes a user, and waits until all nodes have carried it out.
    pub(crate) async fn change(&self, username: &str, change: &Value) {
        let api = self.stack.api();
        let changed = api.change_user(username, change, Some(wait::SOON)).await.unwrap();
        assert_synced(&changed.expect(200).unwrap());
    }

    /// Creates a group.
    pub(crate) async fn create_group(&self, group: &Value) {
        let created = self.stack.api().create_group(group).await.unwrap();
        created.expect(201).unwrap();
    }

    /// Connects with a profile.
    pub(crate) async fn connect(&self, profile: &str) -> Connection {
        let connection = self.stack.start_client(profile, &ClientOptions::default()).await;
        let connection = connection.unwrap();
        connection.client.connected(wait::SOON).await.unwrap();
        connection
    }

    /// Connects with a profile and begins to ping.
    pub(crate) async fn visit(&self, profile: &str) -> Visitor {
        Visitor::begin(self.connect(profile).await).await
    }

    /// Connects with all these profiles at once and begins to ping with each.
    pub(crate) async fn visit_all(&self, profiles: &[String]) -> Vec<Visitor> {
        let options = ClientOptions::default();
        let starts = profiles
            .iter()
            .map(|profile| self.stack.start_client(profile, &options));
        let connections: Vec<_> = stream::iter(starts).buffered(STARTS_AT_ONCE).collect().await;
        let mut visitors = Vec::new();
        for connection in connections {
            let connection = connection.unwrap();
            connection.client.connected(wait::SOON).await.unwrap();
            let pings = connection.pings_every(CROWD_PING).unwrap();
            visitors.push(Visitor { connection, pings });
        }
        for flows in join_all(visitors.iter().map(|visitor| visitor.pings.flows(5, wait::SOON))).await {
            flows.unwrap();
        }
        visitors
    }

    /// A user that nobody touches, with a stream of pings.
    pub(crate) async fn witness(&self) -> Visitor {
        let profile = self.create("witness").await;
        self.visit(&profile).await
    }

    /// The number of the node that the profile's first remote names.
    pub(crate) fn first_node(&self, text: &str) -> u8 {
        let host = profile::hosts(text)[0].to_owned();
        let is_it = |node: &Node<'_>| node.namespace().unwrap().address.to_string() == host;
        self.stack.nodes().find(is_it).unwrap().number()
    }

    /// kill -9 of a node: agent and OpenVPN, which nobody starts again.
    pub(crate) async fn kill_node(&mut self, number: u8) {
        for part in [Part::Node(number), Part::Openvpn(number)] {
            self.stack.kill_part(part).await.unwrap();
        }
    }

    /// Panics unless every server of the profile refuses it in words.
    pub(crate) async fn refuses(&self, text: &str) {
        for remote in profile::remotes(text) {
            let only = profile::with_only(text, remote);
            let connection = self.stack.start_client(&only, &ClientOptions::default()).await.unwrap();
            connection.client.refused(wait::SOON).await.unwrap();
            assert_eq!(connection.client.connections(), 0, "{remote} let it in");
            connection.close().await;
        }
    }

    /// Panics unless every server of the profile lets it in.
    pub(crate) async fn lets_in(&self, text: &str) {
        for remote in profile::remotes(text) {
            let connection = self.connect(&profile::with_only(text, remote)).await;
            assert!(connection.answers().await, "{remote} does not answer");
            connection.close().await;
        }
    }

    /// Waits until every user that management lists is synced, and returns how many they are.
    pub(crate) async fn all_synced(&self, deadline: Duration) -> usize {
        let api = self.stack.api();
        let synced = wait::until_ok(deadline, "all users to be synced", async || {
            let users = api.users("?limit=1000").await.map_err(|error| error.to_string())?;
            let pending: Vec<String> = users
                .items()
                .iter()
                .filter(|user| user["synced"] != true)
                .map(ToString::to_string)
                .collect();
            match pending.first() {
                None if users.status == 200 => Ok(users.items().len()),
                None => Err(users.text),
                Some(first) => Err(format!("{} pending, such as {first}", pending.len())),
            }
        });
        synced.await.unwrap()
    }

    /// Waits until management knows the user.
    pub(crate) async fn knows(&self, username: &str) {
        let api = self.stack.api();
        let known = async || api.user(username).await.is_ok_and(|answer| answer.status == 200);
        wait::until(wait::SOON, format_args!("{username} to be known"), known)
            .await
            .unwrap();
    }

    /// Waits until management knows nothing of the user: removed, and every node said so.
    pub(crate) async fn forgets(&self, username: &str) {
        let api = self.stack.api();
        let gone = async || api.user(username).await.is_ok_and(|answer| answer.status == 404);
        wait::until(wait::SOON, format_args!("{username} to be gone"), gone)
            .await
            .unwrap();
    }

    /// Waits until the history of the user's sessions, the newest first, is as it should be, and returns it.
    pub(crate) async fn history(&self, username: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let api = self.stack.api();
        let path = format!("/api/sessions/history?username={username}");
        wait::until_ok(HEARD, format_args!("the history of {username}"), async || {
            let answer = api.get(&path).await.and_then(|answer| answer.expect(200));
            let answer = answer.map_err(|error| error.to_string())?;
            match is_it(answer.items()) {
                true => Ok(answer.items().to_vec()),
                false => Err(answer.text),
            }
        })
        .await
        .unwrap()
    }

    /// The bus with management's credentials.
    pub(crate) async fn bus(&self) -> jetstream::Context {
        let options = ConnectOptions::with_credentials_file(self.stack.nats_creds()).await;
        let client = options.unwrap().connect(self.stack.state().nats_url()).await;
        jetstream::new(client.unwrap())
    }

    /// The log of a node's agent.
    pub(crate) fn agent_log(&self, number: u8) -> Log {
        self.stack.log(Part::Node(number))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if thread::panicking() {
            let troubles = self.stack.troubles();
            let from = troubles.len().saturating_sub(LINES);
            eprintln!("troubles of the stack:\n  {}", troubles[from..].join("\n  "));
        }
    }
}

/// A client with a tunnel, pinging every 50 ms.
pub(crate) struct Visitor {
    pub(crate) connection: Connection,
    pub(crate) pings: PingStream,
}

impl Visitor {
    /// Begins to ping, once the tunnel is up.
    pub(crate) async fn begin(connection: Connection) -> Self {
        let pings = connection.pings().unwrap();
        pings.flows(5, wait::SOON).await.unwrap();
        Self { connection, pings }
    }

    /// How long after `since` the last ping was answered; panics when that is longer than a second.
    pub(crate) async fn is_cut(&self, since: SystemTime, by: &str) -> Duration {
        let cut = self.pings.falls_silent(since, SILENCE, wait::SOON).await.unwrap();
        eprintln!("measured: last ping answered {} ms after {by} began", cut.as_millis());
        assert!(
            cut < wait::PROMISED_SECOND,
            "the session lived on for {cut:?} after {by}"
        );
        cut
    }

    /// Panics unless the client, started again, is refused in words.
    pub(crate) async fn is_turned_away(&mut self) {
        self.connection.client.restart().await.unwrap();
        self.connection.client.refused(wait::SOON).await.unwrap();
    }

    /// Waits until the client has reached this server for the `times`-th time and gets answers through it; returns how
    /// long it was without any.
    pub(crate) async fn moved_to(&self, host: &str, times: usize) -> Duration {
        let log = self.connection.client.log();
        log.wait_for(&reached(host), times, wait::SOON).await.unwrap();
        self.pings.flows(10, wait::SOON).await.unwrap();
        self.pings.stats().longest_gap
    }

    /// Begins a new stream: what the old one missed counts no more.
    pub(crate) fn renew_pings(&mut self) {
        self.pings = self.connection.pings_every(CROWD_PING).unwrap();
    }

    /// Ends the stream; panics when a single ping was lost.
    pub(crate) async fn lost_nothing(self) {
        self.pings.flows(5, wait::SOON).await.unwrap();
        let stats = self.pings.stop().await;
        eprintln!(
            "measured: the witness lost {} of {} pings, longest gap {} ms",
            stats.lost.len(),
            stats.sent,
            stats.longest_gap.as_millis()
        );
        assert!(stats.lost.is_empty(), "the witness lost pings: {stats:?}");
        assert_eq!(
            self.connection.client.connections(),
            1,
            "the witness had to connect again"
        );
        self.connection.close().await;
    }
}

/// The line of a client's log that says which server it speaks with.
pub(crate) fn reached(host: &str) -> String {
    format!("Peer Connection Initiated with [AF_INET]{host}:")
}

/// Creates users of these names one after the other, and returns those that were promised. Without an answer, or with a refusal of one who
/// cannot at this moment, nothing was.
pub(crate) async fn create_each(api: Api, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut promised = Vec::new();
    for name in names {
        let created = api.create_user(&name, None).await;
        if created.is_ok_and(|answer| answer.status == 201) {
            promised.push(name);
        }
    }
    promised
}

/// Panics unless every placed node holds what the answer shows.
pub(crate) fn assert_synced(answer: &Answer) {
    assert_eq!(answer.body["synced"], true, "{}", answer.text);
    let checksum = answer.body["checksum"].as_str().unwrap_or_default();
    assert_eq!(checksum.len(), 64, "synced without a profile: {}", answer.text);
    for node in answer.body["nodes"].as_array().unwrap() {
        assert_eq!(node["wanted_revision"], node["applied_revision"], "{}", answer.text);
    }
}
