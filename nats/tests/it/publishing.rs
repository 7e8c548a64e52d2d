//! Publishing commands: each is stored once, and an older revision never ends on top of a newer one.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use vpnmanager_nats::{
    commands::Command,
    envelope::Envelope,
    headers::REVISION_HEADER,
    ids::{Revision, UserKey},
    publish::{Publication, PublishError, Published, publish_all},
    subjects,
};
use vpnmanager_testbed::wait;

use crate::bare::{Bare, node, publish, put};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_thousand_publications_are_stored_in_order() {
    let bare = Bare::start().await;
    let publications: Vec<Publication> = (0..1000).map(|_| fresh(put(&node("n1"), UserKey::new(), 1))).collect();

    let results = timeout(LONG, publish_all(&bare.topology, &publications)).await.unwrap();

    assert_eq!(results.len(), 1000);
    for (publication, result) in publications.iter().zip(results) {
        let Published::Stored { sequence } = result.unwrap() else {
            panic!("overtaken")
        };
        let stored = bare.topology.commands().get_raw_message(sequence).await.unwrap();
        let command = &publication.command.body;
        assert_eq!(
            stored.subject.as_str(),
            subjects::command(command.node(), command.user_key())
        );
        assert_eq!(
            Envelope::<Command>::decode(&stored.payload).unwrap(),
            publication.command
        );
        assert_eq!(stored.headers.get(REVISION_HEADER).unwrap().as_str(), "1");
    }
    assert_eq!(bare.state().await, (1000, 1000));
}

#[tokio::test]
async fn many_batches_may_share_one_connection() {
    let bare = Bare::start().await;
    let batch = || {
        (0..500)
            .map(|_| fresh(put(&node("n1"), UserKey::new(), 1)))
            .collect::<Vec<_>>()
    };
    let batches = [batch(), batch(), batch(), batch()];

    let all = join_all(batches.iter().map(|batch| publish_all(&bare.topology, batch)));
    let results = timeout(LONG, all).await.unwrap();

    assert!(
        results
            .iter()
            .flatten()
            .all(|result| matches!(result, Ok(Published::Stored { .. })))
    );
    assert_eq!(bare.state().await, (2000, 2000));
}

#[tokio::test]
async fn the_same_publication_twice_is_one_message() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let first = publish(&bare.topology, put(&n1, alice, 1), 0).await.unwrap();

    let again = [
        publish(&bare.topology, put(&n1, alice, 1), 0).await.unwrap(),
        publish(&bare.topology, put(&n1, alice, 1), 1).await.unwrap(),
    ];

    assert_eq!(first, Published::Stored { sequence: 1 });
    assert_eq!(
        again,
        [Published::Overtaken {
            sequence: 1,
            revision: Revision(1)
        }; 2]
    );
    assert_eq!(bare.state().await, (1, 1));
}

#[tokio::test]
async fn the_same_revision_within_one_batch_is_one_message() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());

    let results = publish_all(&bare.topology, &vec![fresh(put(&n1, alice, 1)); 5]).await;

    let results: Vec<Published> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results[0], Published::Stored { sequence: 1 });
    assert_eq!(
        results[1..],
        [Published::Overtaken {
            sequence: 1,
            revision: Revision(1)
        }; 4]
    );
    assert_eq!(bare.state().await, (1, 1));
}

#[tokio::test]
async fn a_stale_expectation_does_not_keep_a_newer_revision_out() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    bare.store(put(&n1, alice, 1)).await;
    bare.store(put(&n1, UserKey::new(), 1)).await;

    for (revision, wrong) in [(2, 0), (3, 1), (4, 999)] {
        let published = publish(&bare.topology, put(&n1, alice, revision), wrong).await.unwrap();
        let newest = bare.newest(&n1, alice).await.unwrap();
        assert_eq!(
            published,
            Published::Stored {
                sequence: newest.sequence
            }
        );
        assert_eq!(
            newest.headers.get(REVISION_HEADER).unwrap().as_str(),
            revision.to_string()
        );
    }
}

#[tokio::test]
async fn an_older_revision_is_overtaken() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let sequence = bare.store(put(&n1, alice, 5)).await;

    for revision in [1, 4] {
        let published = publish(&bare.topology, put(&n1, alice, revision), 0).await.unwrap();
        assert_eq!(
            published,
            Published::Overtaken {
                sequence,
                revision: Revision(5)
            }
        );
    }
    assert_eq!(bare.state().await, (1, 1));
}

#[tokio::test]
async fn a_repeated_publication_that_was_overtaken_says_so() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    bare.store(put(&n1, alice, 1)).await;
    let sequence = bare.store(put(&n1, alice, 2)).await;

    for expected in [0, 1, sequence] {
        let late = publish(&bare.topology, put(&n1, alice, 1), expected).await.unwrap();
        assert_eq!(
            late,
            Published::Overtaken {
                sequence,
                revision: Revision(2)
            }
        );
    }
    assert_eq!(bare.state().await, (1, 2));
}

#[tokio::test]
async fn after_a_purge_the_next_revision_is_stored() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let sequence = bare.store(put(&n1, alice, 1)).await;
    bare.topology
        .commands()
        .purge()
        .filter(subjects::command(&n1, alice))
        .await
        .unwrap();

    let published = publish(&bare.topology, put(&n1, alice, 2), sequence).await.unwrap();

    assert_eq!(published, Published::Stored { sequence: 2 });
    assert_eq!(bare.state().await, (1, 2));
}

/// The server still remembers the message id then, and would answer that it holds what it no longer holds.
#[tokio::test]
async fn after_a_purge_the_same_revision_is_stored_again() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let sequence = bare.store(put(&n1, alice, 1)).await;
    bare.topology.remove_node(&n1).await.unwrap();

    for (expected, stored) in [(sequence, 2), (0, 3)] {
        let published = publish(&bare.topology, put(&n1, alice, 1), expected).await.unwrap();
        assert_eq!(published, Published::Stored { sequence: stored });
        assert_eq!(bare.newest(&n1, alice).await.expect("it is there").sequence, stored);
        bare.topology.remove_node(&n1).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_command_of_ours_gives_way() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    bare.store_raw(&n1, alice, "no command at all").await;

    let published = publish(&bare.topology, put(&n1, alice, 1), 0).await.unwrap();

    assert_eq!(published, Published::Stored { sequence: 2 });
}

/// What is published while the server is away may fail and be stored all the same; trying again is harmless.
#[tokio::test]
async fn an_outage_loses_nothing_and_doubles_nothing() {
    let mut bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    bare.store(put(&n1, alice, 1)).await;
    bare.server.kill().await;
    let publication = [fresh(put(&n1, alice, 2))];

    let result = timeout(LONG, publish_all(&bare.topology, &publication))
        .await
        .unwrap()
        .remove(0);
    assert!(matches!(result, Err(PublishError::Publish(_))), "{result:?}");
    bare.server.restart().await.unwrap();

    let in_stream = wait::until_ok(LONG, "the command", async || {
        publish_all(&bare.topology, &publication).await.remove(0)
    });
    let (Published::Stored { sequence } | Published::Overtaken { sequence, .. }) = in_stream.await.unwrap();
    let newest = bare.newest(&n1, alice).await.unwrap();
    assert_eq!(
        (newest.sequence, newest.headers.get(REVISION_HEADER).unwrap().as_str()),
        (sequence, "2")
    );
    assert_eq!(bare.state().await.0, 1);
}

/// A task that publishes can move between threads.
#[test]
fn publishing_is_send() {
    fn send<T: Send>(_: fn(&'static vpnmanager_nats::topology::Topology, &'static [Publication]) -> T) {}
    send(publish_all);
}

fn fresh(command: Envelope<Command>) -> Publication {
    Publication {
        command,
        expected_sequence: 0,
    }
}
