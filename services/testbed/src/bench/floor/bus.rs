//! A stream, a publisher and a simple pull consumer. Each has its own TLS connection, as in the product.

use anyhow::Context;
use async_nats::{
    Client, ConnectOptions,
    jetstream::{
        self,
        consumer::{AckPolicy, PullConsumer, pull},
        stream,
    },
};
use bytes::Bytes;
use vpnmanager_testbed::stack::Stack;

const STREAM: &str = "BENCH_FLOOR";
const SUBJECT: &str = "bench.floor";
const COMMANDS: &str = "VPN_COMMANDS";

/// Both ends of the bus.
#[derive(Debug)]
pub(super) struct BusFloor {
    publisher: jetstream::Context,
    payload: Bytes,
}

impl BusFloor {
    /// Connects both ends; the consumer's messages are the second value.
    pub(super) async fn prepare(stack: &Stack) -> anyhow::Result<(Self, pull::Stream)> {
        let publisher = jetstream::new(connect(stack).await?);
        let stream = publisher
            .create_stream(stream::Config {
                name: STREAM.to_owned(),
                subjects: vec![format!("{SUBJECT}.>")],
                max_messages_per_subject: 1,
                storage: stream::StorageType::File,
                ..stream::Config::default()
            })
            .await?;
        stream
            .create_consumer(pull::Config {
                durable_name: Some("floor".to_owned()),
                ack_policy: AckPolicy::Explicit,
                max_ack_pending: 1000,
                ..pull::Config::default()
            })
            .await?;
        let subscriber = jetstream::new(connect(stack).await?);
        let consumer: PullConsumer = subscriber
            .get_consumer_from_stream("floor", STREAM)
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        let messages = consumer.stream().max_messages_per_batch(100).messages().await?;
        let payload = newest_command(&publisher).await?;
        Ok((Self { publisher, payload }, messages))
    }

    /// Publishes a message as large as a command and waits until the stream holds it.
    pub(super) async fn publish(&self, number: i64) -> anyhow::Result<()> {
        let sent = self
            .publisher
            .publish(format!("{SUBJECT}.{number}"), self.payload.clone())
            .await?;
        sent.await?;
        Ok(())
    }
}

/// The number of a message.
pub(super) fn number(message: &jetstream::Message) -> Option<i64> {
    message.subject.rsplit_once('.')?.1.parse().ok()
}

/// Connects as management does.
pub(in crate::bench) async fn connect(stack: &Stack) -> anyhow::Result<Client> {
    let options = ConnectOptions::new()
        .credentials_file(stack.nats_creds())
        .await
        .context("cannot read management's credentials")?
        .add_root_certificates(stack.nats_ca())
        .require_tls(true);
    let url = stack.state().nats_url().replacen("nats://", "tls://", 1);
    options.connect(url).await.context("cannot connect to nats-server")
}

/// The newest command that management has published: the floor carries the same number of bytes.
async fn newest_command(context: &jetstream::Context) -> anyhow::Result<Bytes> {
    let stream = context.get_stream(COMMANDS).await?;
    let newest = stream.cached_info().state.last_sequence;
    let message = stream
        .get_raw_message(newest)
        .await
        .context("no command in the stream yet")?;
    Ok(message.payload)
}
