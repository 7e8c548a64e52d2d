//! Each node has one consumer, which sees its own commands only, and can see them all again.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use vpnmanager_nats::{
    ids::UserKey,
    subjects,
    topology::{Topology, TopologyError, TopologyOptions},
};

use crate::{
    bare::{Bare, next, node, put, waiting},
    fixture::until,
};

#[tokio::test]
async fn the_server_echoes_the_filter_and_repeating_changes_nothing() {
    let bare = Bare::start().await;
    let n1 = node("n1");

    let before = bare.node(&n1).await.cached_info().clone();
    let after = bare.node(&n1).await.cached_info().clone();

    assert_eq!(before.config.filter_subject, "vpn.cmd.n1.>");
    assert_eq!(before.config.durable_name.as_deref(), Some("n1"));
    assert_eq!((after.config, after.created), (before.config, before.created));
}

#[tokio::test]
async fn a_consumer_of_another_shape_is_refused_and_left_untouched() {
    let bare = Bare::start().await;
    let foreign = pull::Config {
        durable_name: Some("n1".to_owned()),
        filter_subject: "vpn.cmd.n2.>".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..Default::default()
    };
    bare.topology.commands().create_consumer(foreign).await.unwrap();
    let before = bare.consumer(&node("n1")).await.cached_info().clone();

    let error = bare.topology.ensure_node(&node("n1")).await.unwrap_err();

    assert!(
        matches!(
            &error,
            TopologyError::Differs {
                field: "filter_subject",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains(r#"filter_subject is "vpn.cmd.n2.>", not "vpn.cmd.n1.>""#),
        "{error}"
    );
    let after = bare.consumer(&node("n1")).await.cached_info().clone();
    assert_eq!((after.config, after.created), (before.config, before.created));
}

/// nats-server sends heartbeats for each pull that waits, as often as the pull says and also when whoever pulled has gone.
#[tokio::test]
async fn few_pulls_of_a_node_wait_and_none_for_long() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let of_before = pull::Config {
        durable_name: Some("n1".to_owned()),
        filter_subject: "vpn.cmd.n1.>".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(60),
        max_ack_pending: 1024,
        ..Default::default()
    };
    let before = bare.topology.commands().create_consumer(of_before).await.unwrap();
    assert_eq!(before.cached_info().config.max_waiting, 512);
    let stored = bare.store(put(&n1, UserKey::new(), 1)).await;

    let consumer = bare.node(&n1).await;

    let config = &consumer.cached_info().config;
    assert_eq!((config.max_waiting, config.max_expires), (8, Duration::from_secs(60)));
    assert_eq!(next(&consumer).await.sequence(), stored, "it delivers everything");
    bare.topology.forget_consumer(&n1).await.unwrap();
    bare.topology.forget_consumer(&n1).await.unwrap();
    let again = bare.node(&n1).await;
    assert_eq!(next(&again).await.sequence(), stored);
}

#[tokio::test]
async fn a_node_gets_its_own_commands_only() {
    let bare = Bare::start().await;
    let consumer = bare.node(&node("n1")).await;
    bare.store(put(&node("n10"), UserKey::new(), 1)).await;
    let own = bare.store(put(&node("n1"), UserKey::new(), 1)).await;
    bare.store(put(&node("n2"), UserKey::new(), 1)).await;

    // What was stored a moment ago may come a moment later.
    assert_eq!(next(&consumer).await.sequence(), own);
    assert!(waiting(&consumer).await.is_empty());
}

#[tokio::test]
async fn the_newest_command_is_the_nodes_own() {
    let bare = Bare::start().await;
    let (n1, n10, n2) = (node("n1"), node("n10"), node("n2"));
    assert_eq!(bare.topology.newest_command(&n1).await.unwrap(), 0, "an empty stream");
    let alice = UserKey::new();
    bare.store(put(&n1, alice, 1)).await;
    bare.store(put(&n1, UserKey::new(), 1)).await;
    let of_n2 = bare.store(put(&n2, UserKey::new(), 1)).await;
    let of_n1 = bare.store(put(&n1, alice, 2)).await;
    let of_n10 = bare.store(put(&n10, UserKey::new(), 1)).await;

    for (node, newest) in [(n1, of_n1), (n2, of_n2), (n10, of_n10), (node("n"), 0), (node("n3"), 0)] {
        assert_eq!(bare.topology.newest_command(&node).await.unwrap(), newest, "{node}");
    }
}

#[tokio::test]
async fn a_rewound_consumer_delivers_everything_again_after_all_was_settled() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    let created = consumer.cached_info().created;
    let stored = store_many(&bare, 50).await;
    let first = waiting(&consumer).await;
    assert_eq!(first.len(), 50);
    for delivery in first {
        delivery.done().await.unwrap();
    }
    let settled = async || bare.consumer(&n1).await.cached_info().num_ack_pending == 0;
    until("everything is settled", settled).await;
    assert_eq!(waiting(&consumer).await.len(), 0);

    bare.topology.rewind_node_consumer(&n1).await.unwrap();

    let again: BTreeSet<u64> = waiting(&consumer)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(again, stored);
    assert_eq!(
        bare.consumer(&n1).await.cached_info().created,
        created,
        "the consumer is the same one"
    );
}

#[tokio::test]
async fn a_rewound_consumer_delivers_what_was_under_way_too() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    let stored = store_many(&bare, 20).await;
    let mut under_way = waiting(&consumer).await;
    under_way.remove(7).done().await.unwrap();
    under_way.remove(0).done().await.unwrap();
    let settled = async || bare.consumer(&n1).await.cached_info().num_ack_pending == 18;
    until("two are settled", settled).await;

    bare.topology.rewind_node_consumer(&n1).await.unwrap();

    let again: BTreeSet<u64> = waiting(&consumer)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(again, stored);
}

/// So a node knows which deliveries belong to a snapshot, and that none is missing.
#[tokio::test]
async fn the_places_of_deliveries_follow_on_each_other_and_begin_again_with_the_consumer() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    store_many(&bare, 20).await;
    let places = async || -> Vec<u64> {
        waiting(&consumer)
            .await
            .iter()
            .map(|delivery| delivery.place())
            .collect()
    };
    let first = waiting(&consumer).await;
    assert!(first.iter().map(|delivery| delivery.place()).eq(1..=20));
    for delivery in first.into_iter().take(5) {
        delivery.retry(Duration::ZERO).await.unwrap();
    }
    for place in 21..=25 {
        assert_eq!(next(&consumer).await.place(), place);
    }

    bare.topology.rewind_node_consumer(&n1).await.unwrap();
    assert!(places().await.into_iter().eq(1..=20));

    bare.topology.commands().delete_consumer("n1").await.unwrap();
    bare.node(&n1).await;
    assert!(places().await.into_iter().eq(1..=20));
}

/// A node sweeps away whom it did not see again, so an ack that was on its way must not swallow anybody.
#[tokio::test]
async fn late_acks_take_nothing_away_from_a_rewound_consumer() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let consumer = bare.node(&n1).await;
    let stored = store_many(&bare, 20).await;
    let mut before = waiting(&consumer).await;
    before.pop().unwrap().terminate().await.unwrap();
    before.pop().unwrap().retry(Duration::ZERO).await.unwrap();

    bare.topology.rewind_node_consumer(&n1).await.unwrap();
    for delivery in before {
        delivery.done().await.unwrap();
    }

    let again: BTreeSet<u64> = waiting(&consumer)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(again, stored);
}

#[tokio::test]
async fn rewinding_reaches_a_node_that_waits_and_new_commands_follow() {
    let bare = Bare::start().await;
    let (n1, alice) = (node("n1"), UserKey::new());
    let consumer = bare.node(&n1).await;
    let first = bare.store(put(&n1, alice, 1)).await;
    let delivery = next(&consumer).await;
    assert_eq!(delivery.sequence(), first);
    delivery.done().await.unwrap();
    let settled = async || bare.consumer(&n1).await.cached_info().num_ack_pending == 0;
    until("it is settled", settled).await;

    let (again, rewound) = tokio::join!(next(&consumer), bare.topology.rewind_node_consumer(&n1));

    rewound.unwrap();
    assert_eq!(again.sequence(), first);
    again.done().await.unwrap();
    let second = bare.store(put(&n1, alice, 2)).await;
    assert_eq!(next(&consumer).await.sequence(), second);
}

#[tokio::test]
async fn removing_a_node_takes_its_consumer_and_commands_and_nobody_elses() {
    let bare = Bare::start().await;
    let (n1, n10) = (node("n1"), node("n10"));
    bare.node(&n1).await;
    let other = bare.node(&n10).await;
    let alice = UserKey::new();
    bare.store(put(&n1, alice, 1)).await;
    let kept = bare.store(put(&n10, alice, 1)).await;

    for _ in 0..3 {
        bare.topology.remove_node(&n1).await.unwrap();
    }

    assert!(bare.newest(&n1, alice).await.is_none());
    assert!(bare.topology.commands().consumer_info("n1").await.is_err());
    let sequences: Vec<u64> = waiting(&other)
        .await
        .iter()
        .map(|delivery| delivery.sequence())
        .collect();
    assert_eq!(sequences, [kept]);
    bare.topology.remove_node(&node("never-there")).await.unwrap();
}

#[tokio::test]
async fn the_reports_of_a_node_that_left_stay_until_they_are_recorded() {
    let bare = Bare::start().await;
    let n1 = node("n1");
    let reports = bare.topology.ensure_reports(&n1).await.unwrap();
    let sent = bare
        .topology
        .context()
        .publish(subjects::event(&n1, "openvpn_down"), "gone".into());
    sent.await.unwrap().await.unwrap();

    bare.topology.remove_node(&n1).await.unwrap();
    bare.topology.forget_recorded_reports(&n1).await.unwrap();
    assert_eq!(
        bare.topology.nodes_with_reports().await.unwrap(),
        std::slice::from_ref(&n1)
    );

    next(&reports).await.done().await.unwrap();
    let forgotten = async || {
        bare.topology.forget_recorded_reports(&n1).await.unwrap();
        bare.topology.nodes_with_reports().await.unwrap().is_empty()
    };
    until("the stream to be gone", forgotten).await;
    bare.topology.forget_recorded_reports(&n1).await.unwrap();
}

#[tokio::test]
async fn more_than_a_thousand_nodes_get_their_consumers() {
    const NODES: usize = 1001;
    let bare = Bare::start().await;
    let options = TopologyOptions {
        memory_consumers: true,
        ..TopologyOptions::default()
    };
    let topology = Topology::ensure(&bare.client, options).await.unwrap();

    let made: Result<Vec<()>, TopologyError> = stream::iter(0..NODES)
        .map(|number| {
            let topology = &topology;
            async move { topology.ensure_node(&node(&format!("n{number}"))).await }
        })
        .buffer_unordered(32)
        .try_collect()
        .await;

    assert_eq!(made.unwrap().len(), NODES);
    assert_eq!(
        topology.commands().get_info().await.unwrap().state.consumer_count,
        NODES
    );
}

async fn store_many(bare: &Bare, count: usize) -> BTreeSet<u64> {
    let mut stored = BTreeSet::new();
    for _ in 0..count {
        stored.insert(bare.store(put(&node("n1"), UserKey::new(), 1)).await);
    }
    stored
}
