//! What management does while nobody has decided what holds after a restore: nothing, and it says so to whoever asks. Nodes get no answer and serve on
//! as they are.

use std::time::Duration;

use anyhow::Context as _;
use poem::{Endpoint, Request, Response};
use tracing::{info, warn};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::Bound;
use vpnmanager_runtime::{error_chain::chain, service_manager};

use crate::{
    config::Config,
    ops::restoration::mark::{Undecided, undecided},
    start::connect_briefly,
};

/// How often the mark is looked for.
const PERIOD: Duration = Duration::from_secs(1);
/// What is in progress at the end is an answer of a few bytes.
const GRACE: Duration = Duration::from_secs(1);

/// Answers every request, `/health` too, with 503 and what to do, until somebody has decided; only that it lives is still so.
pub(crate) async fn until_decided(config: &Config, bound: Bound, waiting: Undecided) -> anyhow::Result<()> {
    warn!(
        restored.from = waiting.source_file,
        restored.made_at = %waiting.made_at,
        "The database was restored from a backup: waiting for a decision, see vpnmanager-management restore-review"
    );
    // It answers: a service manager that waits for longer would begin anew.
    service_manager::ready("Waiting for a decision after a restore");
    let mut decided = Ok(());
    let decision = async { decided = wait(config).await };
    bound.serve(refusing(waiting.to_string()), decision, GRACE).await?;
    decided
}

fn refusing(why: String) -> impl Endpoint<Output = Response> + 'static {
    poem::endpoint::make_sync(move |request: Request| match request.uri().path() {
        "/health/live" => alive(),
        _ => poem::Error::from(ApiError::unavailable(why.clone())).into_response(),
    })
}

/// As `GET /health/live` says it.
fn alive() -> Response {
    Response::builder()
        .content_type("application/json")
        .body("{\"status\":\"alive\"}")
}

async fn wait(config: &Config) -> anyhow::Result<()> {
    let db = connect_briefly(config)
        .await
        .context("connecting to the database failed")?;
    loop {
        tokio::time::sleep(PERIOD).await;
        match undecided(&db).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => warn!(error = %chain(&error), "Looking for the decision failed, trying again"),
        }
    }
    info!("Somebody has decided what holds after the restore");
    Ok(db.close().await?)
}
