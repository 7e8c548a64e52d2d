//! `/health`: whether this replica can do its work; below it, what an orchestrator and a load balancer ask.

use std::time::{Duration, Instant};

use async_nats::connection::State;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use vpnmanager_entities::replica;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::remembered::Remembered;
use vpnmanager_runtime::error_chain::chain;

use super::failure;
use super::tags::Tag;
use super::users::Stopping;
use crate::{app::App, storage::bus_stores_nothing};

/// A load balancer needs an answer soon: a database that takes longer counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// The health of management.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Health {
    /// `ok`: database and bus are reachable and the bus stores commands. `degraded`: this replica works, but not as it should.
    status: String,
    /// What does not work as it should, and what to do.
    problems: Vec<String>,
    /// Version of management.
    version: String,
    /// Id of this replica.
    server_id: String,
}

/// That the process lives.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Life {
    /// `alive`.
    status: String,
}

/// That requests may be sent here.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Readiness {
    /// `ready`.
    status: String,
}

/// What is wrong with the database; `None` while it takes changes. Found out by a change that finds no row: PostgreSQL refuses it before it
/// looks for one. Anybody may ask, so nothing is written. After a change failed for want of room, room must be proven.
async fn fault_of_database(app: &App) -> Option<String> {
    let probe = async {
        replica::Entity::update_many()
            .col_expr(replica::Column::DeafAt, Expr::col(replica::Column::DeafAt))
            .filter(replica::Column::ServerId.eq(""))
            .exec(&app.db)
            .await?;
        app.reach.prove_room(&app.db).await
    };
    let answer = tokio::time::timeout(PATIENCE, probe).await;
    if let Ok(Ok(())) = answer {
        return None;
    }
    // Its result is explained below, where the error does not say more.
    let _finding = app.reach.look().await;
    Some(match answer {
        Ok(Err(error)) => {
            failure::unusable(app, &error).unwrap_or_else(|| format!("the database failed: {}", chain(&error)))
        }
        Ok(Ok(())) | Err(_) => app.reach.explain_silence(PATIENCE),
    })
}

/// Without a key anybody may ask: the database is asked at most four times a second.
#[derive(Default)]
pub(super) struct HealthApi {
    database: Remembered<Option<String>>,
}

#[OpenApi(tag = "Tag::Service")]
impl HealthApi {
    /// Check management's health
    ///
    /// Needs no key. A 503 says what is wrong: the database does not answer (with its place and the cause), takes no changes or has no room on
    /// its disk, or the bus is not connected (with each address, the cause and what to do). `degraded` is a 200: the replica goes on to take changes, and what ends access reaches the nodes. VPN sessions need
    /// neither.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self, app: Data<&App>) -> Result<Json<Health>, ApiError> {
        let database = self.database.get(fault_of_database(&app)).await;
        let bus_is_up = app.bus.client.connection_state() == State::Connected;
        if database.is_none() && bus_is_up {
            return Ok(Json(Health::of(&app)));
        }
        let bus = (!bus_is_up).then(|| app.bus_reach.explain());
        let wrong: Vec<String> = database.into_iter().chain(bus).collect();
        Err(ApiError::unavailable(wrong.join(", and ")))
    }

    /// Check that management lives
    ///
    /// Needs no key. A 200 as long as the process answers at all, whatever it needs is away: to start it anew would bring nothing back.
    #[oai(path = "/health/live", method = "get", operation_id = "get_life")]
    async fn live(&self) -> Result<Json<Life>, ApiError> {
        Ok(Json(Life::example()))
    }

    /// Check that management takes requests
    ///
    /// Needs no key. A 503 means that requests are better sent to another replica: the database is away, takes no changes or has no room, this
    /// replica is stopping, or it waits for a decision after a restore. It is a 200 while the bus is away: changes are recorded, and reach the servers
    /// when it is back. The state of servers counts neither.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn ready(&self, app: Data<&App>, stopping: Data<&Stopping>) -> Result<Json<Readiness>, ApiError> {
        if stopping.0.0.is_cancelled() {
            return Err(failure::stopping());
        }
        match self.database.get(fault_of_database(&app)).await {
            None => Ok(Json(Readiness::example())),
            Some(fault) => Err(ApiError::unavailable(fault)),
        }
    }
}

impl Example for Life {
    fn example() -> Self {
        Self {
            status: "alive".to_owned(),
        }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self {
            status: "ready".to_owned(),
        }
    }
}

impl Health {
    /// Of a replica that reaches database and bus.
    fn of(app: &App) -> Self {
        let fault = app.storage.fault();
        let stores_nothing = fault.map(|fault| bus_stores_nothing(&fault));
        let counts_nothing = app.traffic_watch.problem(Instant::now());
        let revokes_hardly = app.bus_access.problem();
        let problems = [stores_nothing, counts_nothing, revokes_hardly];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        Self {
            status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
            problems,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: app.config.server_id.clone(),
        }
    }
}

impl Example for Health {
    fn example() -> Self {
        Self {
            status: "ok".to_owned(),
            problems: Vec::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: "management-server".to_owned(),
        }
    }
}
