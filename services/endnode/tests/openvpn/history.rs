//! The history of the sessions of a real OpenVPN.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    backend::{BackendState, Serving, VpnBackend},
    coordination::contact::Contact,
    journal::Journal,
    tasks::session_history::SessionHistory,
    vpn::Vpn,
};
use vpnmanager_nats::{
    commands::Protocol,
    sessions::{EndKind, SessionRecord},
};
use vpnmanager_runtime::{reconcile::Wake, tasks::Tasks};
use vpnmanager_testbed::{ping::PingStream, wait};

use crate::{
    agent::Agent,
    external::beside_an_operators,
    fleet::{Connected, Fleet, INSIDE},
};

/// The task that keeps the history, with its journal.
pub(crate) struct Keeping {
    journal: Journal,
    writer: Tasks,
    stop: CancellationToken,
    task: JoinSet<anyhow::Result<()>>,
}

impl Keeping {
    pub(crate) async fn start(fleet: &Fleet, agent: &Agent) -> Self {
        let writer = Tasks::new();
        let journal = Journal::open(&fleet.dir().join("journal.db"), &writer).expect("a journal");
        let vpn = Vpn::from(agent.backend.clone());
        let history = SessionHistory::load(journal.clone(), vpn, Contact::default(), Wake::new());
        let history = history.await.expect("a history");
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(history.run(stop.clone()));
        Self {
            journal,
            writer,
            stop,
            task,
        }
    }

    /// Waits until the journal holds this many sessions, the oldest first: nothing is reported here.
    pub(crate) async fn holds(&self, sessions: usize, is_it: impl Fn(&[SessionRecord]) -> bool) -> Vec<SessionRecord> {
        let look = async || {
            let unreported = self.journal.read(|records| records.unreported_sessions(100)).await;
            let records: Vec<SessionRecord> = unreported
                .expect("read")
                .into_iter()
                .map(|session| session.record)
                .collect();
            if records.len() == sessions && is_it(&records) {
                Ok(records)
            } else {
                Err(format!("{records:?}"))
            }
        };
        wait::until_ok(2 * wait::SOON, format_args!("{sessions} sessions"), look)
            .await
            .expect("sessions")
    }

    /// As with kill -9: nothing is kept at the end.
    async fn dies(mut self) {
        self.task.shutdown().await;
        self.closes().await;
    }

    pub(crate) async fn stops(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
        self.closes().await;
    }

    async fn closes(self) {
        drop(self.journal);
        self.writer.stop();
        self.writer.wait(Duration::from_secs(5)).await.expect("closed");
    }
}

fn end_of(record: &SessionRecord) -> Option<EndKind> {
    record.ended.as_ref().map(|ended| ended.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_seen_within_seconds_and_has_what_was_known() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let keeping = Keeping::start(&fleet, &agent).await;
    let Connected { name, client, .. } = fleet.connect(&agent, "alice").await;
    let is_known = |records: &[SessionRecord]| {
        records
            .iter()
            .all(|record| record.session.virtual_address.is_some() && record.session.client_version.is_some())
    };
    let begun = keeping.holds(1, is_known).await.remove(0);
    assert_eq!((&begun.session.common_name, &begun.ended), (&name, &None));

    client.stop().await;

    let has_ended = |records: &[SessionRecord]| records.iter().all(|record| record.ended.is_some());
    let over = keeping.holds(1, has_ended).await.remove(0);
    assert_eq!(end_of(&over), Some(EndKind::Seen));
    assert!(over.seen_at > begun.seen_at && over.session.since == begun.session.since);
    assert_eq!(over.session.virtual_address, begun.session.virtual_address);
    assert_eq!(over.session.client_version, begun.session.client_version);
    keeping.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_no_session() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let keeping = Keeping::start(&fleet, &agent).await;
    let (refused, profile) = fleet.credential("mallory");
    let machine = fleet.machine().await;
    let client = fleet.client(&machine, &profile, "mallory");
    client.refused(wait::SOON).await.expect("refused");
    let listed = agent.backend.sessions().await.expect("sessions");
    let listed: Vec<(&str, bool)> = listed
        .iter()
        .map(|session| (session.common_name.as_str(), session.is_established))
        .collect();
    assert_eq!(listed, [(refused.as_str(), false)], "OpenVPN lists it for 5 s more");

    let alice = fleet.connect(&agent, "alice").await;

    let is_known = |records: &[SessionRecord]| records.iter().all(|record| record.session.virtual_address.is_some());
    let begun = keeping.holds(1, is_known).await.remove(0);
    assert_eq!((&begun.session.common_name, &begun.ended), (&alice.name, &None));
    agent.has_sessions(&[&alice.name]).await;
    alice.client.stop().await;
    let has_ended = |records: &[SessionRecord]| records.iter().all(|record| record.ended.is_some());
    keeping.holds(1, has_ended).await;
    keeping.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_server_without_an_address_pool_has_a_session() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let conf = fleet.conf().render();
    let without_pool = conf.replace("ifconfig-pool 10.8.0.2 10.8.127.255 255.255.0.0\n", "");
    assert_ne!(without_pool, conf);
    let (agent, _) = beside_an_operators(&fleet, &without_pool).await;
    let keeping = Keeping::start(&fleet, &agent).await;

    let alice = fleet.connect(&agent, "alice").await;

    let begun = keeping.holds(1, |_| true).await.remove(0);
    assert_eq!(
        (&begun.session.common_name, &begun.session.virtual_address, &begun.ended),
        (&alice.name, &None, &None)
    );
    alice.client.stop().await;
    let has_ended = |records: &[SessionRecord]| records.iter().all(|record| record.ended.is_some());
    let over = keeping.holds(1, has_ended).await.remove(0);
    assert_eq!(end_of(&over), Some(EndKind::Seen));
    keeping.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_without_an_agent_is_closed_with_the_bytes_of_before() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let keeping = Keeping::start(&fleet, &agent).await;
    let Connected { machine, client, .. } = fleet.connect(&agent, "alice").await;
    let pings = PingStream::start(&machine, INSIDE, (fleet.dir(), "ping")).expect("ping");
    pings.flows(10, wait::SOON).await.expect("traffic");
    let transferred = agent.backend.sessions().await.expect("sessions").remove(0);
    // The next looks come meanwhile.
    pings.flows(30, wait::SOON).await.expect("traffic");
    pings.stop().await;

    keeping.stops().await;
    agent.dies().await;
    client.stop().await;
    let agent = fleet.agent();
    agent.is(BackendState::Up).await;
    agent.has_sessions(&[]).await;
    let keeping = Keeping::start(&fleet, &agent).await;

    let has_ended = |records: &[SessionRecord]| records.iter().all(|record| record.ended.is_some());
    let over = keeping.holds(1, has_ended).await.remove(0);
    assert_eq!(end_of(&over), Some(EndKind::Assumed));
    let ended_at = over.ended.as_ref().expect("an end").at;
    assert!(over.seen_at > ended_at, "it ended between the two: {over:?}");
    assert!(transferred.bytes_in > 0 && transferred.bytes_out > 0);
    assert!(over.session.bytes_in >= transferred.bytes_in, "{over:?}");
    assert!(over.session.bytes_out >= transferred.bytes_out, "{over:?}");
    keeping.stops().await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_a_killed_agent_as_one_and_ends_with_a_killed_openvpn() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");
    let keeping = Keeping::start(&fleet, &agent).await;
    let Connected { client, .. } = fleet.connect(&agent, "alice").await;
    let is_known = |records: &[SessionRecord]| records.iter().all(|record| record.session.client_version.is_some());
    let begun = keeping.holds(1, is_known).await.remove(0);
    keeping.dies().await;
    agent.dies().await;
    let agent = fleet.agent();
    agent.is(BackendState::Up).await;
    let keeping = Keeping::start(&fleet, &agent).await;
    agent.backend.set_serving(Serving::Yes).await;

    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");
    client
        .connected_times(2, 2 * wait::SOON)
        .await
        .expect("connected again");

    let is_over =
        |records: &[SessionRecord]| matches!(records, [old, new] if old.ended.is_some() && new.ended.is_none());
    let records = keeping.holds(2, is_over).await;
    let [old, new] = records.as_slice() else {
        panic!("two sessions");
    };
    assert_eq!(old.session.since, begun.session.since);
    assert_eq!(
        old.session.client_version, begun.session.client_version,
        "it is not forgotten"
    );
    assert!(end_of(old).is_some() && new.session.since > old.session.since);
    keeping.stops().await;
    fleet.end(agent).await;
}
