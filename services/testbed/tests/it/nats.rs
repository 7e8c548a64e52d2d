use vpnmanager_testbed::nats::{Nats, NatsSite};

#[tokio::test]
async fn what_a_stream_holds_survives_a_kill() {
    let mut nats = Nats::start(NatsSite::plain_config).await.unwrap();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "KEPT".into(),
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    jetstream.publish("KEPT", "one".into()).await.unwrap().await.unwrap();
    nats.kill().await;

    nats.restart().await.unwrap();

    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut stream = async_nats::jetstream::new(client).get_stream("KEPT").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn a_server_that_does_not_come_up_is_told_with_its_log() {
    let error = Nats::start(|_| "listen: nonsense:nonsense".to_owned())
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(cause.contains("ended while starting"), "{cause}");
    assert!(cause.contains("nonsense"), "{cause}");
}
