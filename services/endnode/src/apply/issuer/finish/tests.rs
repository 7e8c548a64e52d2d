use chrono::Utc;
use vpnmanager_nats::{
    acks::{FurtherIssued, Issued},
    commands::{Command, Issue, Protocol, PutUser, Remote, Role},
    ids::UserKey,
};
use vpnmanager_runtime::tasks::Tasks;

use super::*;
use crate::{
    apply::commit::{Applied, History, IssueOrder, Store},
    groups::{Definitions, Holding, Unheld},
    journal::{Journal, NewProfile},
    plan::ProfileStage,
};

const PROFILES: &str = "/profiles";

/// A journal, and a user of it with two devices.
struct Node {
    journal: Journal,
    user: UserKey,
    laptop: CommonName,
    phone: CommonName,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            journal: Journal::open(&folder.path().join("journal.db"), &Tasks::new()).unwrap(),
            user: UserKey::new(),
            laptop: "alice.laptop".parse().unwrap(),
            phone: "alice.phone".parse().unwrap(),
            _folder: folder,
        }
    }

    fn command(&self, revision: i64) -> Command {
        let (node, username) = ("n1".parse().unwrap(), "alice".parse().unwrap());
        Command::PutUser(PutUser {
            role: Role::Home,
            credentials: vec![self.laptop.clone(), self.phone.clone()],
            issue: Some(Issue {
                common_name: self.laptop.clone(),
                further: vec![self.phone.clone()],
                remotes: remotes(),
            }),
            ..PutUser::new(node, self.user, username, Revision(revision))
        })
    }

    /// What the command has made, or why nothing.
    async fn take(&self, revision: i64) -> Applied {
        let command = self.command(revision);
        let stored = self.journal.write(move |records| {
            let mut store = Store {
                records,
                profiles: Path::new(PROFILES),
                holding: &mut Holding::NotAtAll(Unheld::new(Definitions::default())).draft(),
                history: History::Open,
                now: Utc::now(),
            };
            store.store(&command)
        });
        stored.await.unwrap().handled.applied
    }

    async fn order(&self, revision: i64) -> IssueOrder {
        match self.take(revision).await {
            Applied::Issuing(order) => order,
            other @ (Applied::Answered(_) | Applied::Unheld(_)) => panic!("{other:?}"),
        }
    }

    /// Ends an order whose profiles are so far, and says how many files are to be written.
    async fn finish(&self, order: IssueOrder, states: Vec<State>) -> (IssueResult, usize) {
        let names = order.missing.common_names.clone().into_iter();
        let items = names
            .zip(states)
            .map(|(common_name, state)| Item { common_name, state });
        let work = Work {
            items: items.collect(),
            order,
        };
        let finished = self.journal.write(move |records| {
            let mut files = Vec::new();
            let result = finish(records, Path::new(PROFILES), work, &mut files)?;
            Ok((result, files.len()))
        });
        finished.await.unwrap()
    }

    async fn stages(&self) -> Vec<ProfileStage> {
        let user = self.user;
        let held = self.journal.read(move |records| records.credentials_of(user)).await;
        held.unwrap().into_iter().map(|credential| credential.stage).collect()
    }
}

fn remotes() -> Vec<Remote> {
    vec![Remote {
        host: "198.18.0.11".parse().unwrap(),
        port: 1194,
        protocol: Protocol::Udp,
    }]
}

fn checksum(byte: &str) -> String {
    byte.repeat(32)
}

/// The profile is rendered; its checksum consists of this byte.
fn rendered(name: &CommonName, byte: &str) -> State {
    State::Rendered(NewProfile {
        common_name: name.clone(),
        certificate: None,
        tls_crypt_v2: "key".into(),
        remotes: remotes(),
        text: "client\n".into(),
        checksum: checksum(byte),
    })
}

fn complete(byte: &str) -> ProfileStage {
    ProfileStage::Complete {
        remotes: remotes(),
        checksum: checksum(byte),
    }
}

fn answered(result: IssueResult) -> Outcome {
    match result {
        IssueResult::Answered(outcome) => outcome,
        IssueResult::Later(error) => panic!("{error}"),
    }
}

/// Both profiles, with these bytes as checksums.
fn both(node: &Node, laptop: &str, phone: &str) -> Outcome {
    Outcome::Applied {
        issued: Some(Issued {
            common_name: node.laptop.clone(),
            profile_path: "/profiles/alice.laptop.ovpn".to_owned(),
            profile_checksum: checksum(laptop),
        }),
        further: vec![FurtherIssued {
            common_name: node.phone.clone(),
            profile_checksum: checksum(phone),
        }],
        note: None,
    }
}

#[tokio::test]
async fn what_was_made_while_another_profile_has_to_wait_stays_and_is_told_at_the_end() {
    let node = Node::new();
    let order = node.order(1).await;
    let states = vec![rendered(&node.laptop, "1a"), State::Later(IssueError::Unavailable)];

    let (result, files) = node.finish(order, states).await;
    assert!(
        matches!(result, IssueResult::Later(IssueError::Unavailable)),
        "{result:?}"
    );
    assert_eq!(files, 1);

    let rest = node.order(1).await;
    assert_eq!(rest.missing.common_names, std::slice::from_ref(&node.phone));
    let (result, files) = node.finish(rest, vec![rendered(&node.phone, "2b")]).await;
    assert_eq!((answered(result), files), (both(&node, "1a", "2b"), 1));
    assert_eq!(node.take(1).await, Applied::Answered(both(&node, "1a", "2b")));
}

#[tokio::test]
async fn of_two_orders_for_one_command_the_first_profiles_stay() {
    let node = Node::new();
    let (one, two) = (node.order(1).await, node.order(1).await);
    let first = vec![rendered(&node.laptop, "1a"), rendered(&node.phone, "1b")];
    let second = vec![rendered(&node.laptop, "2a"), rendered(&node.phone, "2b")];

    let (told, _) = node.finish(one, first).await;
    let (repeated, files) = node.finish(two, second).await;

    assert_eq!(answered(told), both(&node, "1a", "1b"));
    assert_eq!((answered(repeated), files), (both(&node, "1a", "1b"), 0));
}

#[tokio::test]
async fn an_order_whose_command_was_overtaken_changes_nothing() {
    let node = Node::new();
    let (older, newer) = (node.order(1).await, node.order(2).await);
    let states = |byte| vec![rendered(&node.laptop, byte), rendered(&node.phone, byte)];

    let (made, _) = node.finish(newer, states("2b")).await;
    let (late, files) = node.finish(older, states("1a")).await;

    assert_eq!(answered(made), both(&node, "2b", "2b"));
    assert_eq!((answered(late), files), (Outcome::Superseded { holds: Revision(2) }, 0));
    assert_eq!(node.stages().await, [complete("2b"), complete("2b")]);
}

#[tokio::test]
async fn an_order_overtaken_before_it_is_made_leaves_the_profiles_to_the_newer_one() {
    let node = Node::new();
    let (older, newer) = (node.order(1).await, node.order(2).await);
    let states = |byte| vec![rendered(&node.laptop, byte), rendered(&node.phone, byte)];

    let (late, _) = node.finish(older, states("1a")).await;
    let (made, _) = node.finish(newer, states("2b")).await;

    assert_eq!(answered(late), Outcome::Superseded { holds: Revision(2) });
    assert_eq!(answered(made), both(&node, "2b", "2b"));
}

#[tokio::test]
async fn one_that_can_never_be_made_holds_up_no_other() {
    let node = Node::new();
    let order = node.order(1).await;
    let states = vec![rendered(&node.laptop, "1a"), State::Lost(SignRefusal::AlreadyIssued)];

    let (result, _) = node.finish(order, states).await;

    let Outcome::Applied {
        issued: Some(issued),
        further,
        note: Some(note),
    } = answered(result)
    else {
        panic!("it is not told")
    };
    assert_eq!((issued.common_name, further), (node.laptop.clone(), Vec::new()));
    assert!(note.starts_with("alice.phone: "), "{note}");
    assert_eq!(node.stages().await, [complete("1a"), ProfileStage::Lost]);
}

#[tokio::test]
async fn a_refused_request_is_told_and_the_other_profile_stays() {
    let node = Node::new();
    let order = node.order(1).await;
    let states = vec![State::Lost(SignRefusal::InvalidCsr), rendered(&node.phone, "2b")];

    let (result, _) = node.finish(order, states).await;

    let error = SignRefusal::InvalidCsr.to_string();
    assert_eq!(answered(result), Outcome::Refused { error });
    assert_eq!(node.stages().await, [ProfileStage::Listed, complete("2b")]);
    // Its next command makes another key, for that device alone.
    assert_eq!(
        node.order(2).await.missing.common_names,
        std::slice::from_ref(&node.laptop)
    );
}
