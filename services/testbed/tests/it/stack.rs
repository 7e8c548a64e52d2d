//! A whole stack, with the real services: needs their binaries (`cargo build --workspace --bins`).

use serde_json::json;
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Part, Stack, StackError, StackOptions},
    wait,
};

#[tokio::test]
async fn every_part_stops_and_starts_and_is_told_truly() {
    let options = StackOptions {
        nodes: 1,
        tunnels: Some(false),
        ..StackOptions::default()
    };
    let mut stack = Stack::start(options).await.unwrap();
    let told = |stack: &Stack, name: &str| {
        let env = std::fs::read_to_string(stack.state().home.join("env")).unwrap();
        let line = env.lines().find_map(|line| line.strip_prefix(&format!("{name}='")));
        line.unwrap_or_else(|| panic!("{name} is not in {env}"))
            .trim_end_matches('\'')
            .to_owned()
    };

    let parts = [
        (Part::Management, "MANAGEMENT_PID"),
        (Part::Nats, "NATS_PID"),
        (Part::Postgres, "POSTGRES_PID"),
        (Part::Node(1), "NODE_1_PID"),
    ];
    for (part, variable) in parts {
        let before = stack.process(part).unwrap();
        assert_eq!(told(&stack, variable), before.pid.to_string());
        assert!(matches!(stack.start_part(part).await, Err(StackError::Running { .. })));
        stack.kill_part(part).await.unwrap();
        assert_eq!(told(&stack, variable), "");
        stack.start_part(part).await.unwrap();
        assert_ne!(stack.process(part).unwrap(), before);
    }

    assert!(stack.node(1).unwrap().creds().is_file());
    assert!(stack.nats_creds().is_file());
    assert!(matches!(
        stack.stop_part(Part::Node(2)).await,
        Err(StackError::NoSuchPart(_))
    ));
    assert!(matches!(
        stack.stop_part(Part::Openvpn(1)).await,
        Err(StackError::NoTunnels)
    ));
    let dir = stack.state().dir.clone();
    stack.down().await;
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_created_user_connects_and_a_suspended_one_does_not() {
    if require_tunnels("a stack with tunnels").is_none() {
        return;
    }
    let stack = Stack::start(StackOptions {
        nodes: 1,
        ..StackOptions::default()
    })
    .await
    .unwrap();
    let api = stack.api();
    let created = api
        .create_user("alice", Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    assert_eq!(created.body["synced"], true, "{}", created.text);

    let mut alice = stack.connect("alice").await.unwrap();
    assert!(alice.answers().await);
    let pings = alice.pings().unwrap();
    pings.flows(10, wait::SOON).await.unwrap();

    api.change_user("alice", &json!({ "active": false }), Some(wait::SOON))
        .await
        .unwrap()
        .success()
        .unwrap();
    alice.client.exited(wait::SOON).await.unwrap();
    alice.client.restart().await.unwrap();
    alice.client.refused(wait::SOON).await.unwrap();
}

#[tokio::test]
async fn a_stack_with_https_enrols_its_nodes_and_says_which_ca_to_believe() {
    let options = StackOptions {
        nodes: 1,
        tunnels: Some(false),
        tls: true,
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let state = stack.state();
    assert!(state.management_url().starts_with("https://"));
    let env = std::fs::read_to_string(state.home.join("env")).unwrap();
    assert!(
        env.contains(&format!("MANAGEMENT_CA='{}'", state.ca_file().display())),
        "{env}"
    );
    assert!(env.contains("MANAGEMENT_URL='https://127.0.0.1:"), "{env}");
    let created = stack
        .api()
        .post("/api/users?wait=20s", &json!({ "username": "alice" }))
        .await
        .unwrap();
    created.expect(201).unwrap();
    let stranger = vpnmanager_testbed::api::Api::new(state.management_url(), None);
    assert!(
        stranger.get("/health").await.is_err(),
        "nobody else's client believes that CA"
    );
}
