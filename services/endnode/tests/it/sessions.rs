//! Who was connected: from the VPN server to the journal.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    backend::{Parting, VpnBackend as _},
    coordination::contact::Contact,
    journal::UnreportedSession,
    tasks::session_history::{Moment, SessionHistory},
    vpn::Vpn,
};
use vpnmanager_nats::{
    commands::{Command, PutUser},
    groups::{Group, GroupRules, Groups},
    ids::Revision,
    sessions::{EndKind, Ended, SessionRecord},
};
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::wait;

use crate::parts::{Parts, User};

/// A node whose history is kept by hand, with alice on it.
struct Watched {
    parts: Parts,
    alice: User,
    contact: Contact,
    began: Moment,
}

impl Watched {
    async fn new() -> Self {
        let (parts, alice) = (Parts::new(), User::new("alice"));
        parts.apply(alice.standby(1)).await;
        Self {
            parts,
            alice,
            contact: Contact::default(),
            began: Moment {
                time: Utc::now() + TimeDelta::minutes(1),
                instant: Instant::now() + Duration::from_mins(1),
            },
        }
    }

    /// The agent starts.
    async fn history(&self) -> SessionHistory {
        let (journal, vpn) = (self.parts.journal.clone(), Vpn::from(self.parts.vpn.clone()));
        SessionHistory::load(journal, vpn, self.contact.clone(), Wake::new())
            .await
            .unwrap()
    }

    fn at(&self, second: u32) -> DateTime<Utc> {
        self.began.time + TimeDelta::seconds(second.into())
    }

    fn moment(&self, second: u32) -> Moment {
        Moment {
            time: self.at(second),
            instant: self.began.instant + Duration::from_secs(second.into()),
        }
    }

    fn connects(&self) {
        assert!(self.parts.vpn.connect(&self.alice.credential));
    }

    async fn leaves(&self) {
        let names = [self.alice.credential.clone()];
        self.parts.vpn.disconnect(&names, Parting::Halt).await.unwrap();
    }

    async fn unreported(&self) -> Vec<UnreportedSession> {
        self.parts
            .journal
            .read(|records| records.unreported_sessions(100))
            .await
            .unwrap()
    }

    /// The bytes from the client and the end of each session that is to be reported, the oldest first.
    async fn to_report(&self) -> Vec<(u64, Option<Ended>)> {
        let unreported = self.unreported().await.into_iter();
        unreported
            .map(|UnreportedSession { record, .. }| (record.session.bytes_in, record.ended))
            .collect()
    }

    /// The sessions whose end is not known.
    async fn open(&self) -> Vec<SessionRecord> {
        let open = self.parts.journal.read(|records| records.open_sessions());
        open.await.unwrap()
    }

    /// Alice transfers much before this second; gives the bytes of what is told of it then.
    async fn much_at(&self, history: &mut SessionHistory, second: u32) -> Vec<u64> {
        self.parts.vpn.transfer(&self.alice.credential, MUCH);
        history.look(self.moment(second)).await;
        let told = self.to_report().await;
        self.all_reported().await;
        told.into_iter().map(|(bytes, _)| bytes).collect()
    }

    async fn all_reported(&self) {
        let unreported = self.unreported().await;
        let reported = self
            .parts
            .journal
            .write(move |records| records.sessions_reported(&unreported));
        reported.await.unwrap();
    }
}

pub(crate) fn ended(at: DateTime<Utc>, kind: EndKind) -> Option<Ended> {
    Some(Ended { at, kind })
}

#[tokio::test]
async fn a_session_is_reported_when_it_begins_and_when_it_ends() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();

    history.look(node.moment(0)).await;
    assert_eq!(node.to_report().await, [(0, None)]);
    node.all_reported().await;
    node.parts.vpn.transfer(&node.alice.credential, 1000);
    history.look(node.moment(1)).await;
    assert!(node.to_report().await.is_empty(), "bytes alone wait");
    node.leaves().await;
    history.look(node.moment(2)).await;

    assert_eq!(node.to_report().await, [(1000, ended(node.at(2), EndKind::Seen))]);
    node.all_reported().await;
    assert!(node.to_report().await.is_empty());
    assert_eq!(node.open().await, []);
}

#[tokio::test]
async fn a_refused_login_is_no_session() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.parts.vpn.refuse(&node.alice.credential);

    for second in 0..5 {
        history.look(node.moment(second)).await;
        history.keep(node.moment(second)).await;
    }
    node.leaves().await;
    history.look(node.moment(5)).await;

    assert!(node.to_report().await.is_empty());
    assert_eq!(node.open().await, []);
}

#[tokio::test]
async fn a_session_of_a_bus_that_is_away_is_one_record_with_its_end() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();

    history.look(node.moment(0)).await;
    node.leaves().await;
    history.look(node.moment(1)).await;

    assert_eq!(node.to_report().await, [(0, ended(node.at(1), EndKind::Seen))]);
}

#[tokio::test]
async fn what_ended_while_no_agent_lived_has_ended_unseen_with_what_was_kept_of_it() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();
    history.look(node.moment(0)).await;
    node.parts.vpn.transfer(&node.alice.credential, 1000);
    history.look(node.moment(1)).await;
    history.keep(node.moment(1)).await;
    drop(history);

    node.leaves().await;
    node.connects();
    let mut history = node.history().await;
    history.look(node.moment(90)).await;

    assert_eq!(
        node.to_report().await,
        [(1000, ended(node.at(1), EndKind::Assumed)), (0, None)]
    );
    let seen_at = node.unreported().await.remove(0).record.seen_at;
    assert_eq!(seen_at, node.at(90), "it ended between the two");
}

#[tokio::test]
async fn a_session_that_outlives_the_agent_goes_on_as_the_same() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();
    history.look(node.moment(0)).await;
    node.all_reported().await;
    drop(history);

    node.parts.vpn.transfer(&node.alice.credential, 1000);
    let mut history = node.history().await;
    history.look(node.moment(90)).await;
    assert!(node.to_report().await.is_empty(), "nothing is new");
    node.leaves().await;
    history.look(node.moment(91)).await;

    assert_eq!(node.to_report().await, [(1000, ended(node.at(91), EndKind::Seen))]);
}

#[tokio::test]
async fn nobody_has_left_while_the_server_cannot_be_asked() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();
    history.look(node.moment(0)).await;
    node.parts.vpn.set_reachable(false);
    for second in 1..60 {
        history.look(node.moment(second)).await;
    }
    assert_eq!(node.to_report().await, [(0, None)]);

    node.parts.vpn.begin_anew();
    node.connects();
    node.parts.vpn.set_reachable(true);
    history.look(node.moment(60)).await;

    assert_eq!(
        node.to_report().await,
        [(0, ended(node.at(0), EndKind::Assumed)), (0, None)]
    );
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_loses_no_session_that_was_seen() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    let other = rusqlite::Connection::open(node.parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    node.connects();
    history.look(node.moment(0)).await;
    assert!(node.to_report().await.is_empty());
    node.leaves().await;

    other.execute_batch("ROLLBACK").unwrap();
    history.look(node.moment(1)).await;

    assert_eq!(node.to_report().await, [(0, ended(node.at(1), EndKind::Seen))]);
}

/// The room of the stream is for what begins and ends, and for acks and events.
#[tokio::test]
async fn how_far_a_session_is_waits_until_management_answers() {
    let node = Watched::new().await;
    let mut history = node.history().await;
    node.connects();
    history.look(node.moment(0)).await;
    node.all_reported().await;
    node.parts.vpn.transfer(&node.alice.credential, 1000);
    node.contact.unanswered();

    history.look(node.moment(400)).await;
    history.keep(node.moment(400)).await;
    assert!(node.to_report().await.is_empty());
    node.contact.answered(None);
    history.keep(node.moment(401)).await;

    assert_eq!(node.to_report().await, [(1000, None)]);
    node.all_reported().await;
    history.keep(node.moment(402)).await;
    assert!(node.to_report().await.is_empty(), "it is told for now");
}

/// Groups of these names, of which one has a quota.
fn groups(metered: &str) -> Option<Arc<Groups>> {
    let group = |name: &str| Group {
        name: name.parse().unwrap(),
        rules: GroupRules::default(),
        metered: name == metered,
    };
    Some(Arc::new(Groups {
        revision: Revision(1),
        groups: ["default", "sales"].map(group).to_vec(),
    }))
}

/// Enough to be told within seconds.
const MUCH: u64 = 200_000;

#[tokio::test]
async fn what_members_of_a_group_with_a_quota_transfer_is_told_every_five_seconds() {
    const NOTHING: [u64; 0] = [];
    let node = Watched::new().await;
    let (told, of_fleet) = watch::channel(None);
    let mut history = node.history().await.metered_by(of_fleet);
    node.connects();
    history.look(node.moment(0)).await;
    node.all_reported().await;
    let mut much_at = async |second| node.much_at(&mut history, second).await;
    assert_eq!(much_at(10).await, NOTHING, "nothing is known of groups");
    told.send_replace(groups("sales"));
    assert_eq!(much_at(20).await, NOTHING, "she is in another group");
    told.send_replace(groups("default"));
    assert_eq!(much_at(30).await, [3 * MUCH]);
    assert_eq!(much_at(34).await, NOTHING, "too early");
    assert_eq!(much_at(35).await, [5 * MUCH]);
    node.contact.unanswered();
    assert_eq!(much_at(45).await, NOTHING, "management counts nothing");
    node.contact.answered(None);
    assert_eq!(much_at(46).await, [7 * MUCH]);
}

#[tokio::test]
async fn a_user_with_a_quota_of_her_own_is_told_of_so_whatever_her_group_has() {
    const NOTHING: [u64; 0] = [];
    let node = Watched::new().await;
    let (_told, of_fleet) = watch::channel(groups("sales"));
    let mut history = node.history().await.metered_by(of_fleet);
    node.connects();
    history.look(node.moment(0)).await;
    node.all_reported().await;
    let mut much_at = async |second| node.much_at(&mut history, second).await;
    let own_quota = |revision: i64, metered: bool| {
        Command::PutUser(PutUser {
            metered,
            ..node.alice.put(revision)
        })
    };
    assert_eq!(much_at(10).await, NOTHING, "her group has none");
    node.parts.apply(own_quota(2, true)).await;
    assert_eq!(much_at(20).await, [2 * MUCH]);
    assert_eq!(much_at(24).await, NOTHING, "too early");
    assert_eq!(much_at(25).await, [4 * MUCH]);
    node.parts.apply(own_quota(3, false)).await;
    assert_eq!(much_at(35).await, NOTHING, "it was taken away");
}

#[tokio::test]
async fn a_little_traffic_of_members_waits_with_all_other() {
    let node = Watched::new().await;
    let (_told, groups_of_fleet) = watch::channel(groups("default"));
    let mut history = node.history().await.metered_by(groups_of_fleet);
    node.connects();
    history.look(node.moment(0)).await;
    node.all_reported().await;
    node.parts.vpn.transfer(&node.alice.credential, 1000);
    history.look(node.moment(60)).await;
    assert!(node.to_report().await.is_empty());
}

/// A server that lists very many clients serves nobody meanwhile.
#[tokio::test]
async fn looks_take_a_tenth_of_the_time_at_most_however_many_log_in() {
    const TAKES: Duration = Duration::from_millis(50);
    let node = Watched::new().await;
    node.parts.vpn.slow_down(TAKES);
    let history = node.history().await;
    let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
    let began = Instant::now();
    task.spawn(history.run(stop.clone()));

    let fourth = async || {
        node.connects();
        node.parts.vpn.looks() >= 4
    };
    wait::until(Duration::from_secs(30), "the fourth look", fourth)
        .await
        .unwrap();

    assert!(began.elapsed() >= 30 * TAKES, "{:?}", began.elapsed());
    stop.cancel();
    task.join_next().await.unwrap().unwrap().unwrap();
}
