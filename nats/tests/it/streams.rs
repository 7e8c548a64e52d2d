//! Streams are created when absent, compared when present, and never deleted. Only what is done when they are full, the size of a report and
//! how long ids are remembered are changed.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::pull,
    stream::{Config, DiscardPolicy},
};
use futures_util::{StreamExt as _, future::join_all};
use vpnmanager_nats::{
    ids::UserKey,
    subjects,
    topology::{
        COMMANDS, EVENTS, EVENTS_CONSUMER, LARGEST_REPORT, Topology, TopologyError, TopologyOptions, reports_stream,
    },
};

use vpnmanager_testbed::nats::Nats;

use crate::bare::{Bare, node, put};

#[tokio::test]
async fn what_is_missing_is_created_and_repeating_changes_nothing() {
    let bare = Bare::start().await;
    bare.store(put(&node("n1"), UserKey::new(), 1)).await;
    let reports = reports_stream(&node("n1"));
    bare.topology.ensure_node(&node("n1")).await.unwrap();
    let before = [
        info(&bare.topology, COMMANDS).await,
        info(&bare.topology, &reports).await,
    ];

    let again = Topology::ensure(&bare.client, TopologyOptions::default())
        .await
        .unwrap();

    again.ensure_node(&node("n1")).await.unwrap();
    let after = [info(&again, COMMANDS).await, info(&again, &reports).await];
    let shape = |info: &jetstream::stream::Info| (info.config.clone(), info.created, info.state.messages);
    assert_eq!(after.each_ref().map(shape), before.each_ref().map(shape));
    assert_eq!(before[0].config.max_messages_per_subject, 1);
    assert_eq!(before[0].state.messages, 1);
}

#[tokio::test]
async fn what_waits_for_each_node_and_for_management_is_counted() {
    let bare = Bare::start().await;
    for name in ["n1", "n2"] {
        bare.topology.ensure_node(&node(name)).await.unwrap();
    }
    bare.store(put(&node("n1"), UserKey::new(), 1)).await;
    bare.store(put(&node("n1"), UserKey::new(), 1)).await;

    let mut waiting = bare.topology.commands_waiting().await.unwrap();

    waiting.sort_by(|one, other| one.node.cmp(&other.node));
    let counts: Vec<_> = waiting
        .iter()
        .map(|waiting| (waiting.node.as_str(), waiting.undelivered, waiting.unsettled))
        .collect();
    assert_eq!(counts, [("n1", 2, 0), ("n2", 0, 0)]);
    assert_eq!(bare.topology.reports_waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn many_replicas_may_start_at_once() {
    let server = Bare::server().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(async_nats::connect(server.url()).await.unwrap());
    }

    let started = join_all(clients.iter().map(async |client| {
        let topology = Topology::ensure(client, TopologyOptions::default()).await?;
        topology.ensure_node(&node("n1")).await
    }))
    .await;

    for result in started {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_stream_of_another_shape_is_refused_and_left_untouched() {
    let server = Bare::server().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = jetstream::new(client.clone());
    let foreign = Config {
        name: COMMANDS.to_owned(),
        subjects: vec![subjects::ALL_COMMANDS.to_owned()],
        max_messages_per_subject: 5,
        ..Default::default()
    };
    let mut stream = context.create_stream(foreign).await.unwrap();
    context
        .publish("vpn.cmd.n1.x", "precious".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let before = stream.info().await.unwrap().clone();

    let error = Topology::ensure(&client, TopologyOptions::default()).await.unwrap_err();

    assert!(
        matches!(&error, TopologyError::Differs { name, field: "max_msgs_per_subject", wanted, found }
            if name == COMMANDS && wanted == "1" && found == "5"),
        "{error:?}"
    );
    for part in [COMMANDS, "max_msgs_per_subject is 5, not 1", "nothing was changed"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let after = stream.info().await.unwrap();
    assert_eq!((&after.config, after.created), (&before.config, before.created));
    assert_eq!(after.state.messages, 1);
}

#[tokio::test]
async fn what_an_earlier_release_kept_for_all_nodes_is_divided_among_them() {
    let server = Bare::server().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = jetstream::new(client.clone());
    let shared = Config {
        name: EVENTS.to_owned(),
        subjects: vec![subjects::ALL_ACKS.to_owned(), subjects::ALL_EVENTS.to_owned()],
        ..Default::default()
    };
    let stream = context.create_stream(shared).await.unwrap();
    let durable = pull::Config {
        durable_name: Some(EVENTS_CONSUMER.to_owned()),
        max_ack_pending: 8192,
        ..Default::default()
    };
    let consumer = stream.create_consumer(durable).await.unwrap();
    let (n1, n2) = (node("n1"), node("n2"));
    let subjects = [
        subjects::ack(&n1, UserKey::new()),
        subjects::event(&n1, "openvpn_up"),
        subjects::ack(&n2, UserKey::new()),
        "vpn.ack.n1.no-user".to_owned(),
    ];
    for subject in &subjects {
        let sent = context.publish(subject.clone(), subject.clone().into()).await.unwrap();
        sent.await.unwrap();
    }
    let recorded = consumer.fetch().max_messages(1).messages().await.unwrap().next().await;
    recorded.unwrap().unwrap().double_ack().await.unwrap();

    let replicas = join_all((0..3).map(async |_| Topology::ensure(&client, TopologyOptions::default()).await)).await;

    let names: Vec<_> = replicas.into_iter().map(Result::unwrap).collect();
    let mut left: Vec<String> = Vec::new();
    for name in [reports_stream(&n1), reports_stream(&n2)] {
        let state = info(&names[0], &name).await.state;
        let stream = context.get_stream(&name).await.unwrap();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            assert_eq!(message.payload, message.subject.as_bytes());
            left.push(message.subject.to_string());
        }
    }
    left.dedup();
    assert_eq!(left, subjects[1..3], "all but what was recorded and what names no user");
    assert!(context.get_stream(EVENTS).await.is_err(), "the shared stream is gone");
}

#[tokio::test]
async fn streams_of_before_take_the_bounds_of_reports_and_keep_what_they_hold() {
    let server = Nats::start(|site| site.plain_config()).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let topology = Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
    let n1 = node("n1");
    topology.ensure_reports(&n1).await.unwrap();
    let wanted = info(&topology, &reports_stream(&n1)).await.config;
    let most = i32::try_from(LARGEST_REPORT).unwrap();
    assert_eq!((wanted.discard, wanted.max_message_size), (DiscardPolicy::New, most));
    assert!(wanted.duplicate_window <= Duration::from_secs(1), "{wanted:?}");
    let of_before = Config {
        discard: DiscardPolicy::Old,
        max_message_size: -1,
        duplicate_window: Duration::from_secs(120),
        ..wanted.clone()
    };
    topology.context().update_stream(&of_before).await.unwrap();
    let large = vec![b'x'; LARGEST_REPORT + 1].into();
    let sent = topology
        .context()
        .publish(subjects::event(&n1, "openvpn_up"), large)
        .await;
    sent.unwrap().await.unwrap();

    topology.ensure_reports(&n1).await.unwrap();

    let now = info(&topology, &reports_stream(&n1)).await;
    assert_eq!((now.config, now.state.messages), (wanted, 1));
}

async fn info(topology: &Topology, stream: &str) -> jetstream::stream::Info {
    topology
        .context()
        .get_stream(stream)
        .await
        .unwrap()
        .cached_info()
        .clone()
}

#[tokio::test]
async fn a_node_for_which_the_server_has_no_room_is_told_what_to_raise() {
    let server = Nats::start(|site| {
        let config = site.plain_config();
        config.replace("max_file: 100GB", "max_file: 20971520")
    });
    let server = server.await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let topology = Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
    topology.ensure_node(&node("n1")).await.unwrap();

    let refused = topology.ensure_node(&node("n2")).await.unwrap_err();

    assert!(matches!(refused, TopologyError::NoRoom { .. }), "{refused:?}");
    assert!(refused.to_string().contains("--max-store"), "{refused}");
    vpnmanager_nats::storage::prove(&topology, "m1").await.unwrap();

    // What is stored counts too.
    let mut last = None;
    for number in 0..40 {
        let subject = format!("vpn.cmd.n1.filler{number}");
        client.publish(subject, vec![b'x'; 900 << 10].into()).await.unwrap();
        client.flush().await.unwrap();
        if let Err(error) = vpnmanager_nats::storage::prove(&topology, "m1").await {
            last = Some(error);
            break;
        }
    }
    let full = last.expect("the room ends");
    assert!(vpnmanager_nats::store_limit::refused(&full), "{full:?}");
}
