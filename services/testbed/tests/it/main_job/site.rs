//! A stack and the people who use its tunnels.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use vpnmanager_testbed::{
    api::Answer,
    client::ClientOptions,
    net::require_tunnels,
    ping::PingStream,
    process::Log,
    stack::{Connection, Part, Stack, StackOptions},
    wait,
};

use super::profile;

/// Long enough for anything that happens at all, on a machine that does other things too.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Who is no longer allowed must be cut within this time.
pub(crate) const CUT: Duration = Duration::from_secs(1);
/// Without an answer for this long, a stream of pings has ended.
const SILENCE: Duration = Duration::from_secs(1);
const LINES: usize = 15;

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
        let api = self.stack.api();
        let created = api
            .create_user(username, Some(SOON))
            .await
            .unwrap()
            .expect(201)
            .unwrap();
        assert_synced(&created);
        api.profile(username).await.unwrap()
    }

    /// Connects with a profile and begins to ping.
    pub(crate) async fn visit(&self, profile: &str) -> Visitor {
        let connection = self
            .stack
            .start_client(profile, &ClientOptions::default())
            .await
            .unwrap();
        connection.client.connected(SOON).await.unwrap();
        let pings = connection.pings().unwrap();
        pings.flows(5, SOON).await.unwrap();
        Visitor { connection, pings }
    }

    /// A user that nobody touches, with a stream of pings.
    pub(crate) async fn witness(&self) -> Visitor {
        let profile = self.create("witness").await;
        self.visit(&profile).await
    }

    /// Panics unless every server of the profile refuses it in words.
    pub(crate) async fn refuses(&self, text: &str) {
        for remote in profile::remotes(text) {
            let only = profile::with_only(text, remote);
            let connection = self.stack.start_client(&only, &ClientOptions::default()).await.unwrap();
            connection.client.refused(SOON).await.unwrap();
            assert_eq!(connection.client.connections(), 0, "{remote} let it in");
            connection.close().await;
        }
    }

    /// Panics unless every server of the profile lets it in.
    pub(crate) async fn lets_in(&self, text: &str) {
        for remote in profile::remotes(text) {
            let only = profile::with_only(text, remote);
            let connection = self.stack.start_client(&only, &ClientOptions::default()).await.unwrap();
            connection.client.connected(SOON).await.unwrap();
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

    /// Waits until management knows nothing of the user: removed, and every node said so.
    pub(crate) async fn forgets(&self, username: &str) {
        let api = self.stack.api();
        let gone = async || api.user(username).await.is_ok_and(|answer| answer.status == 404);
        wait::until(SOON, format_args!("{username} to be gone"), gone)
            .await
            .unwrap();
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
    /// How long after `since` the last ping was answered; panics when that is longer than a second.
    pub(crate) async fn is_cut(&self, since: SystemTime, by: &str) -> Duration {
        let cut = self.pings.falls_silent(since, SILENCE, SOON).await.unwrap();
        eprintln!("measured: last ping answered {} ms after {by} began", cut.as_millis());
        assert!(cut < CUT, "the session lived on for {cut:?} after {by}");
        cut
    }

    /// Ends the stream; panics when a single ping was lost.
    pub(crate) async fn lost_nothing(self) {
        self.pings.flows(5, SOON).await.unwrap();
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

/// Panics unless every placed node holds what the answer shows.
pub(crate) fn assert_synced(answer: &Answer) {
    assert_eq!(answer.body["synced"], true, "{}", answer.text);
    for node in answer.body["nodes"].as_array().unwrap() {
        assert_eq!(node["wanted_revision"], node["applied_revision"], "{}", answer.text);
    }
}
