//! Streams are created when absent, compared when present, and never changed or deleted.

use async_nats::jetstream::{self, stream::Config};
use futures_util::future::join_all;
use vpnmanager_nats::{
    ids::UserKey,
    subjects,
    topology::{COMMANDS, EVENTS, Topology, TopologyError, TopologyOptions},
};

use crate::bare::{Bare, node, put};

#[tokio::test]
async fn what_is_missing_is_created_and_repeating_changes_nothing() {
    let bare = Bare::start().await;
    bare.store(put(&node("n1"), UserKey::new(), 1)).await;
    let before = [info(&bare.topology, COMMANDS).await, info(&bare.topology, EVENTS).await];

    let again = Topology::ensure(&bare.client, TopologyOptions::default())
        .await
        .unwrap();

    let after = [info(&again, COMMANDS).await, info(&again, EVENTS).await];
    let shape = |info: &jetstream::stream::Info| (info.config.clone(), info.created, info.state.messages);
    assert_eq!(after.each_ref().map(shape), before.each_ref().map(shape));
    assert_eq!(before[0].config.max_messages_per_subject, 1);
    assert_eq!(before[0].state.messages, 1);
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
        topology.ensure_event_consumer().await?;
        topology.ensure_node_consumer(&node("n1")).await
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

async fn info(topology: &Topology, stream: &str) -> jetstream::stream::Info {
    topology
        .context()
        .get_stream(stream)
        .await
        .unwrap()
        .cached_info()
        .clone()
}
