//! Typed columns against a real PostgreSQL: what is written is found and read again, and a row that does not parse is an error.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, FromQueryResult,
    QueryFilter, QueryOrder, Statement, prelude::DateTimeUtc,
};
use vpnmanager_entities::{
    agent_run, api_key,
    group::{self, TrafficPeriod},
    health_status, join_token, placement, pool,
    server::{self, NodeState},
    user,
};
use vpnmanager_nats::{
    commands::Protocol,
    heartbeats::OpenvpnState,
    ids::{AgentInstance, NodeId, UserKey},
    network::Network,
    security::keys::NodePublicKey,
    sync::StateDigest,
};
use vpnmanager_testbed::postgres;

async fn empty_database() -> DatabaseConnection {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let name = format!("typed_{}", UserKey::new());
    let url = cluster.create_database(&name).await.expect("a database");
    let db = Database::connect(url).await.expect("a connection");
    vpnmanager_migration::run(&db).await.expect("a migrated database");
    db
}

async fn insert_node(db: &DatabaseConnection, id: &NodeId) {
    let key = NodePublicKey::of(&nkeys::KeyPair::new_user()).expect("a user key");
    let row = server::ActiveModel {
        name: Set(id.clone()),
        host: Set("192.0.2.1".to_owned()),
        public_host: Set("vpn.example.com".parse().expect("a host")),
        public_protocol: Set(Protocol::Tcp),
        bus_public_key: Set(key),
        ..Default::default()
    };
    server::Entity::insert(row).exec(db).await.expect("a stored node");
}

#[tokio::test]
async fn what_is_written_is_found_by_its_id_and_read_again() {
    let db = empty_database().await;
    let node: NodeId = "node-1".parse().expect("a valid id");
    insert_node(&db, &node).await;
    let found = server::Entity::find()
        .filter(server::Column::Name.eq(node.clone()))
        .one(&db)
        .await
        .expect("an answer")
        .expect("a node");
    assert_eq!((found.name, found.public_protocol), (node.clone(), Protocol::Tcp));
    assert_eq!(found.listeners.to_string(), "tcp:1194", "as its transport and port say");

    let instance = AgentInstance::new();
    let now = DateTimeUtc::from_timestamp(1_900_000_000, 0).expect("a time");
    let status = health_status::ActiveModel {
        server_id: Set(node.clone()),
        instance: Set(instance),
        received_at: Set(now),
        reported_at: Set(now),
        clock_skew_ms: Set(0),
        openvpn_state: Set(OpenvpnState::Waiting),
        openvpn_pid: Set(None),
        sessions: Set(0),
        capacity: Set(0),
        bytes_in: Set(0),
        bytes_out: Set(0),
        users: Set(0),
        digest: Set(StateDigest(7)),
        last_sequence: Set(0),
        complete: Set(false),
        queued_intents: Set(0),
        draining: Set(false),
        detail: Set(None),
        fault: Set(None),
        drift_since: Set(None),
        late_since: Set(None),
        network_pool: Set(Some(node.clone())),
        network_revision: Set(Some(7)),
        groups_revision: Set(Some(4)),
    };
    health_status::Entity::insert(status)
        .exec(&db)
        .await
        .expect("a stored heartbeat");
    let status = health_status::Entity::find_by_id(node.clone())
        .one(&db)
        .await
        .expect("an answer")
        .expect("a row");
    assert_eq!(
        (status.instance, status.openvpn_state, status.digest),
        (instance, OpenvpnState::Waiting, StateDigest(7))
    );
    let no_run = agent_run::Entity::find_by_id((node, instance))
        .one(&db)
        .await
        .expect("an answer");
    assert_eq!(no_run, None);
}

#[tokio::test]
async fn a_column_that_may_be_empty_holds_an_id_or_none() {
    let db = empty_database().await;
    let node: NodeId = "node-1".parse().expect("a valid id");
    for (hash, server_id) in [(vec![1], Some(node.clone())), (vec![2], None)] {
        let token = join_token::ActiveModel {
            hash: Set(hash),
            server_id: Set(server_id),
            created_by: Set("test".to_owned()),
            expires_at: Set(DateTimeUtc::from_timestamp(1_900_000_000, 0).expect("a time")),
            ..Default::default()
        };
        join_token::Entity::insert(token)
            .exec(&db)
            .await
            .expect("a stored token");
    }
    let mut tokens = join_token::Entity::find().all(&db).await.expect("an answer");
    tokens.sort_by_key(|token| token.id);
    let nodes: Vec<Option<NodeId>> = tokens.into_iter().map(|token| token.server_id).collect();
    assert_eq!(nodes, [Some(node), None]);
}

#[tokio::test]
async fn a_network_is_a_document_or_none_and_one_that_does_not_parse_is_an_error() {
    let db = empty_database().await;
    let network = Network {
        routes: vec!["10.20.0.0/16".parse().expect("a prefix")],
        ..Network::default()
    };
    for (name, network) in [("sales", Some(network.clone())), ("stores", None)] {
        let row = pool::ActiveModel {
            name: Set(name.parse().expect("a valid id")),
            network: Set(network),
            ..Default::default()
        };
        pool::Entity::insert(row).exec(&db).await.expect("a stored pool");
    }
    let pools = pool::Entity::find().order_by_asc(pool::Column::Name);
    let stored = pools.clone().all(&db).await.expect("an answer");
    let stored: Vec<(String, Option<Network>)> = stored
        .into_iter()
        .map(|pool| (pool.name.to_string(), pool.network))
        .collect();
    let expected = [("default", None), ("sales", Some(network)), ("stores", None)];
    assert_eq!(stored, expected.map(|(name, network)| (name.to_owned(), network)));

    let bad = r#"UPDATE pools SET network = '{"routes": ["10.20.0.1/16"]}' WHERE name = 'sales'"#;
    db.execute_unprepared(bad).await.expect("a changed row");
    pools.all(&db).await.expect_err("a bad network");
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Joined {
    node: NodeId,
    user_key: Option<UserKey>,
    role: Option<placement::Role>,
}

#[tokio::test]
async fn a_result_of_raw_sql_holds_ids_and_takes_lists_of_them() {
    let db = empty_database().await;
    let ids: Vec<NodeId> = ["node-1", "node-2"].map(|id| id.parse().expect("a valid id")).to_vec();
    for id in &ids {
        insert_node(&db, id).await;
    }
    let key = UserKey::new();
    let sql = "SELECT name AS node, CASE name WHEN 'node-1' THEN $1::uuid END AS user_key, CASE name WHEN 'node-2' THEN 'home' END AS role
               FROM servers WHERE name = ANY($2) ORDER BY name";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [key.into(), ids.clone().into()]);
    let rows = Joined::find_by_statement(statement).all(&db).await.expect("two rows");
    let (first, second) = (ids[0].clone(), ids[1].clone());
    assert_eq!(
        rows,
        [
            Joined {
                node: first,
                user_key: Some(key),
                role: None
            },
            Joined {
                node: second,
                user_key: None,
                role: Some(placement::Role::Home)
            },
        ]
    );
    let both = server::Entity::find()
        .filter(server::COLUMN.name.eq_any(ids))
        .all(&db)
        .await
        .expect("an answer");
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|node| node.state == NodeState::Enrolled));
}

/// A replica of a release before listeners changes the transport and the port alone.
#[tokio::test]
async fn the_first_listener_of_a_node_is_always_its_transport_and_port() {
    let db = empty_database().await;
    insert_node(&db, &"node-1".parse().expect("a valid id")).await;
    for (change, listeners) in [
        (
            "public_protocol = 'udp', listeners = 'udp:1194,tcp:443'",
            "udp:1194,tcp:443",
        ),
        ("capacity = 5", "udp:1194,tcp:443"),
        ("public_port = 1194", "udp:1194,tcp:443"),
        ("public_port = 1195", "udp:1195"),
        ("listeners = 'tcp:443'", "udp:1195"),
        ("public_protocol = 'tcp', public_port = 443", "tcp:443"),
    ] {
        let update = format!("UPDATE servers SET {change}");
        db.execute_unprepared(&update).await.expect(change);
        let node = server::Entity::find().one(&db).await.expect("an answer");
        let node = node.expect("a node");
        assert_eq!(node.listeners.to_string(), listeners, "{change}");
    }
    db.execute_unprepared("UPDATE servers SET listeners = 'tcp:443,tcp'")
        .await
        .expect_err("no listeners");
}

#[tokio::test]
async fn a_row_that_does_not_parse_is_an_error() {
    let db = empty_database().await;
    insert_node(&db, &"node-1".parse().expect("a valid id")).await;
    db.execute_unprepared("UPDATE servers SET name = 'two words'")
        .await
        .expect("a changed row");
    let error = server::Entity::find().all(&db).await.expect_err("a bad row");
    assert!(error.to_string().contains("NodeId"), "{error}");
    let statement = "SELECT name AS node, NULL::uuid AS user_key, NULL::text AS role FROM servers";
    let statement = Statement::from_string(db.get_database_backend(), statement);
    Joined::find_by_statement(statement)
        .all(&db)
        .await
        .expect_err("a bad row");

    let optional = "SELECT 'node-1' AS node, NULL::uuid AS user_key, 'guest' AS role";
    let statement = Statement::from_string(db.get_database_backend(), optional);
    Joined::find_by_statement(statement)
        .all(&db)
        .await
        .expect_err("a bad role is no missing role");
}

#[tokio::test]
async fn keys_and_users_hold_their_enums_and_names() {
    let db = empty_database().await;
    let key = api_key::ActiveModel {
        name: Set("admin".to_owned()),
        hash: Set(vec![1]),
        role: Set(api_key::Role::Admin),
        ..Default::default()
    };
    api_key::Entity::insert(key).exec(&db).await.expect("a stored key");
    let stored = api_key::Entity::find()
        .one(&db)
        .await
        .expect("an answer")
        .expect("a key");
    assert_eq!(stored.role, api_key::Role::Admin);

    let alice = "alice".parse().expect("a valid name");
    let row = user::ActiveModel {
        key: Set(UserKey::new()),
        username: Set("alice".parse().expect("a valid name")),
        server_id: Set("node-1".parse().expect("a valid id")),
        created_by: Set("test".to_owned()),
        ..Default::default()
    };
    user::Entity::insert(row).exec(&db).await.expect("a stored user");
    let stored = user::Entity::find_living_by_username(&alice)
        .one(&db)
        .await
        .expect("an answer")
        .expect("a user");
    assert_eq!((stored.username, stored.protocol), (alice, Protocol::Udp));
}

#[tokio::test]
async fn a_quota_has_a_period_by_its_word() {
    let db = empty_database().await;
    let periods = [
        ("day", TrafficPeriod::Day),
        ("week", TrafficPeriod::Week),
        ("month", TrafficPeriod::Month),
        ("none", TrafficPeriod::Endless),
    ];
    for (word, period) in periods {
        let row = group::ActiveModel {
            name: Set(word.parse().expect("a name")),
            traffic_bytes: Set(Some(1_000)),
            traffic_period: Set(period),
            ..Default::default()
        };
        group::Entity::insert(row).exec(&db).await.expect("a stored group");
        let same = group::Entity::find()
            .filter(group::Column::Name.eq(word))
            .filter(group::Column::TrafficPeriod.eq(period))
            .one(&db)
            .await;
        let stored = same.expect("an answer").expect("a group");
        assert_eq!((stored.traffic_period, stored.traffic_reset_day), (period, 1));
    }
    let words = "SELECT count(*) FROM groups WHERE traffic_bytes = 1000 AND traffic_period = name HAVING count(*) = 4";
    let statement = Statement::from_string(db.get_database_backend(), words);
    assert!(db.query_one_raw(statement).await.expect("an answer").is_some());
}
