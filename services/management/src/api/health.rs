//! `/health`: whether this replica can do its work.

use std::time::Duration;

use async_nats::connection::State;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::remembered::Remembered;

use super::tags::Tag;
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

/// Without a key anybody may ask: the database is asked at most four times a second.
#[derive(Default)]
pub(super) struct HealthApi {
    database: Remembered<bool>,
}

#[OpenApi(tag = "Tag::Service")]
impl HealthApi {
    /// Check management's health
    ///
    /// Needs no key. A 503 says whether the database, the bus or both cannot be reached. `degraded` is a 200: the replica goes on to take
    /// changes, and what ends access reaches the nodes. VPN sessions need neither.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self, app: Data<&App>) -> Result<Json<Health>, ApiError> {
        let ping = async { matches!(tokio::time::timeout(PATIENCE, app.db.ping()).await, Ok(Ok(()))) };
        let database_is_up = self.database.get(ping).await;
        let bus_is_up = app.bus.client.connection_state() == State::Connected;
        match (database_is_up, bus_is_up) {
            (true, true) => Ok(Json(Health::of(&app))),
            (false, true) => Err(ApiError::unavailable("the database does not answer")),
            (true, false) => Err(ApiError::unavailable("the bus is not connected")),
            (false, false) => Err(ApiError::unavailable(
                "the database does not answer and the bus is not connected",
            )),
        }
    }
}

impl Health {
    /// Of a replica that reaches database and bus.
    fn of(app: &App) -> Self {
        let fault = app.storage.fault();
        let problems: Vec<String> = fault.map(|fault| bus_stores_nothing(&fault)).into_iter().collect();
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
