//! Where an attack takes place: a fleet with an honest node, a stolen one, and users on both.

use std::time::Duration;

use anyhow::Context;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use serde_json::json;
use vpnmanager_testbed::{
    api::Api,
    postgres::Durability,
    stack::{Part, Stack, StackOptions},
    wait,
};

use super::{credential::Credential, size::Size, wire::Wire};

/// The node whose owner does nothing wrong.
pub(super) const HONEST: &str = "node-1";
/// The node whose state folder was copied. Its own agent runs on.
pub(super) const STOLEN: &str = "node-2";
/// The number of the node that an operator deregisters during an attack, where the scene has one.
pub(super) const SPARE: u8 = 3;

/// More than any attack sends.
const MANY: &str = "100000";

const START: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(30);

/// How a scene differs from the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Setting {
    /// The most file descriptors of management; `None`: as many as this program may have.
    pub(super) descriptors: Option<u32>,
    /// Whether there is a third node, which an operator deregisters.
    pub(super) spare: bool,
    /// Whether nodes are called stale and lost, and their users get other homes, after seconds and not minutes.
    pub(super) hasty: bool,
    /// Whether one address may send any number of requests without a key, so that what is in each is judged.
    pub(super) keyless: bool,
    /// Whether the budget of a node is so large that each of its messages is read.
    pub(super) generous: bool,
}

/// A fleet with an honest node, a stolen one, and users on both.
pub(super) struct Scene {
    pub(super) stack: Stack,
    pub(super) db: DatabaseConnection,
    pub(super) thief: Credential,
    /// The run of the stolen node's own agent, which the thief can speak for.
    pub(super) instance: String,
    pub(super) people: Vec<Person>,
}

/// A user who was there before the attack.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(super) struct Person {
    pub(super) key: String,
    pub(super) username: String,
    /// The home.
    pub(super) server_id: String,
    pub(super) revision: i64,
    /// Whether the stolen node holds it too.
    pub(super) on_stolen: bool,
}

impl Scene {
    /// Builds it. `residents` users live on each of the two nodes; the other node is the standby of each of them. As many again live on
    /// the honest node alone, as does everyone who is created later.
    pub(super) async fn build(setting: Setting, size: Size, residents: u32) -> anyhow::Result<Self> {
        let mut stack = Stack::start(options(setting, size)).await?;
        let api = stack.api();
        for node in [HONEST, STOLEN] {
            settle(&api, node, "resident", residents).await?;
        }
        if setting.spare {
            stack.add_node(SPARE).await?;
        }
        stack.stop_part(Part::Management).await?;
        stack.launch_part_with(Part::Management, &[("PLACEMENT_REPLICAS", "1")])?;
        let answers = async || api.get("/health").await.and_then(|answer| answer.expect(200)).map(drop);
        wait::until_ok(START, "management to answer again", answers).await?;
        settle(&api, HONEST, "neighbour", residents).await?;
        let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
        let sql = "SELECT instance::text AS text FROM agent_runs WHERE server_id = $1 ORDER BY last_heard DESC LIMIT 1";
        let found = async || text(&db, sql, STOLEN).await.map_err(|error| format!("{error:#}"));
        let instance = wait::until_ok(START, "the first heartbeat of the stolen node", found).await?;
        let people = people(&db).await?;
        Ok(Self {
            thief: Credential::of_node(&stack.node(2)?.dir())?,
            stack,
            db,
            instance,
            people,
        })
    }

    /// Where the bus listens.
    pub(super) fn bus(&self) -> std::net::SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.stack.state().nats_port).into()
    }

    /// Whether the thief is as free as at the beginning: not cut off, and not known for what was done.
    pub(super) async fn is_fresh(&self) -> bool {
        let known = self.stack.api().endnode(STOLEN).await;
        known.is_ok_and(|answer| answer.body["state"] == "healthy")
            && Wire::connect(self.bus(), &self.thief).await.is_ok()
    }

    /// Users who live on the stolen node.
    pub(super) fn own(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| person.server_id == STOLEN)
    }

    /// Users who live on the honest node.
    pub(super) fn others(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| person.server_id == HONEST)
    }
}

fn options(setting: Setting, size: Size) -> StackOptions {
    let mut settings = vec![("PLACEMENT_REPLICAS", "2")];
    if size == Size::Short {
        // Nobody should wait for the usual ones in a test.
        settings.extend([
            ("HTTP_HEAD_TIMEOUT", "5s"),
            ("HTTP_BODY_TIMEOUT", "5s"),
            ("HTTP_IDLE_TIMEOUT", "10s"),
        ]);
    }
    if setting.hasty {
        // A test machine that is busy must not look like an attack.
        let (stale, lost) = size.pick(("6s", "8s"), ("10s", "12s"));
        settings.extend([
            ("HEALTH_STALE_AFTER", stale),
            ("HEALTH_LOST_AFTER", lost),
            ("HEALTH_REHOME_AFTER", "2s"),
        ]);
    }
    if setting.keyless {
        settings.push(("CALLERS_KEYLESS_REQUESTS", MANY));
    }
    if setting.generous {
        settings.extend([
            ("BUDGET_HEARTBEATS", MANY),
            ("BUDGET_SYNCS", MANY),
            ("BUDGET_SIGNS", MANY),
            ("BUDGET_INTENTS", MANY),
            ("BUDGET_BYTES", "100000000"),
            ("BUDGET_CUT_OFF_AFTER", MANY),
        ]);
    }
    let management_env = settings.into_iter();
    let management_env = management_env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    StackOptions {
        nodes: 2,
        tunnels: Some(false),
        // What is measured waits for the disk, as it does elsewhere.
        durability: size.pick(Durability::Durable, Durability::Fast),
        management_open_files: setting.descriptors,
        management_env: management_env.collect(),
        node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "1s".to_owned())],
        ..StackOptions::default()
    }
}

/// Creates users on a node, and waits until each is where it belongs.
async fn settle(api: &Api, node: &str, name: &str, count: u32) -> anyhow::Result<()> {
    for number in 1..=count {
        let body = json!({ "username": format!("{name}-{number}-{node}"), "server_id": node });
        let created = api.create_user_as(&body, Some(WAIT)).await?.expect(201)?;
        anyhow::ensure!(
            created.body["synced"] == true,
            "{} was not applied: {}",
            body,
            created.text
        );
    }
    Ok(())
}

/// Everyone who lives.
pub(super) async fn people(db: &DatabaseConnection) -> anyhow::Result<Vec<Person>> {
    let sql = "SELECT u.key::text AS key, u.username, u.server_id, u.revision,
            EXISTS (SELECT FROM placements p WHERE p.user_id = u.id AND p.server_id = $1 AND p.wanted_present) AS on_stolen
        FROM users u WHERE u.removed_at IS NULL ORDER BY u.id";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [STOLEN.into()]);
    Ok(Person::find_by_statement(statement).all(db).await?)
}

/// Another key of a role, so that what is counted by key is not counted for the operator.
pub(super) async fn another_key(scene: &Scene, role: &'static str) -> anyhow::Result<String> {
    let key = format!("another-{}", uuid::Uuid::now_v7());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let statement = Statement::from_sql_and_values(
        scene.db.get_database_backend(),
        format!("INSERT INTO api_keys (name, hash, role) VALUES ($1, $2, '{role}')"),
        [key.clone().into(), hash.as_ref().to_vec().into()],
    );
    scene.db.execute_raw(statement).await?;
    Ok(key)
}

/// The only column of the only row, which must be named `text`.
pub(super) async fn text(db: &DatabaseConnection, sql: &str, argument: &str) -> anyhow::Result<String> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [argument.into()]);
    let row = db.query_one_raw(statement).await?.context("PostgreSQL knows of none")?;
    Ok(row.try_get("", "text")?)
}
