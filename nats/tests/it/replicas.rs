//! Several replicas of management publish at once.

use tokio::sync::Barrier;
use vpnmanager_nats::{
    headers::REVISION_HEADER,
    ids::{Revision, UserKey},
    publish::{PublishError, Published},
    topology::Topology,
};

use crate::bare::{Bare, node, publish, put};

const ROUNDS: i64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_revision_never_ends_on_top_of_a_newer_one() {
    let bare = Bare::start().await;
    let (one, other) = (bare.topology.clone(), bare.replica().await);
    let (n1, alice, barrier) = (node("n1"), UserKey::new(), Barrier::new(2));
    let mut known = 0;

    for round in 0..ROUNDS {
        let (older, newer) = (2 * round + 1, 2 * round + 2);
        let race = async |topology: &Topology, revision| {
            barrier.wait().await;
            publish(topology, put(&n1, alice, revision), known).await
        };
        let (first, second) = if round % 2 == 0 { (older, newer) } else { (newer, older) };
        let (first_result, second_result) = tokio::join!(race(&one, first), race(&other, second));

        let newest = bare.newest(&n1, alice).await.unwrap();
        assert_eq!(
            newest.headers.get(REVISION_HEADER).unwrap().as_str(),
            newer.to_string(),
            "round {round}"
        );
        for (revision, result) in [(first, first_result), (second, second_result)] {
            match result.unwrap() {
                Published::Stored { sequence } if revision == newer => assert_eq!(sequence, newest.sequence),
                Published::Stored { sequence } => assert!(sequence < newest.sequence, "round {round}"),
                Published::Overtaken { sequence, revision: by } => {
                    assert_eq!(
                        (revision, by, sequence),
                        (older, Revision(newer), newest.sequence),
                        "round {round}"
                    );
                }
            }
        }
        known = newest.sequence;
    }
    assert_eq!(bare.state().await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_revision_from_many_replicas_is_one_message() {
    let bare = Bare::start().await;
    let replicas = [
        bare.replica().await,
        bare.replica().await,
        bare.replica().await,
        bare.replica().await,
    ];
    let (n1, alice) = (node("n1"), UserKey::new());

    let results =
        futures_util::future::join_all(replicas.iter().map(|topology| publish(topology, put(&n1, alice, 1), 0)));

    for result in results.await {
        let sequence = match result.unwrap() {
            Published::Stored { sequence }
            | Published::Overtaken {
                sequence,
                revision: Revision(1),
            } => sequence,
            Published::Overtaken { revision, .. } => panic!("overtaken by {revision}"),
        };
        assert_eq!(sequence, 1);
    }
    assert_eq!(bare.state().await, (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_racing_revisions_leave_the_newest_or_an_error() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let mut replicas = Vec::new();
    for _ in 0..10 {
        replicas.push(bare.replica().await);
    }

    let racing = replicas
        .iter()
        .zip(1..)
        .map(|(topology, revision)| publish(topology, put(&n1, alice, revision), 0));
    let results = futures_util::future::join_all(racing).await;

    let mut highest = 0;
    for (result, revision) in results.into_iter().zip(1_i64..) {
        match result {
            Ok(Published::Stored { .. }) => highest = highest.max(revision),
            Ok(Published::Overtaken { revision: by, .. }) => assert!(by >= Revision(revision)),
            Err(PublishError::Contended) => {}
            Err(error @ (PublishError::Publish(_) | PublishError::Read(_))) => panic!("{error:?}"),
        }
    }
    let newest = bare.newest(&n1, alice).await.unwrap();
    assert_eq!(
        newest.headers.get(REVISION_HEADER).unwrap().as_str(),
        highest.to_string()
    );
}
