//! `serve`: runs the service until it is told to stop.

use std::time::Duration;

use anyhow::Context as _;
use tracing::{info, warn};
use vpnmanager_openapi::server::Bound;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_runtime::{descriptors, log_limit, service_manager, telemetry, tls, traces};

use crate::api;
use crate::config::Config;
use crate::https::Https;
use crate::ops::restoration::mark::Undecided;
use crate::{monitoring, start, waiting};

/// The share of the shutdown timeout that requests in progress get. In the rest the background tasks write what is still queued.
const SHARE_OF_REQUESTS: f64 = 0.7;

/// Runs the service.
pub(super) fn serve(cli: &Cli<impl Sized>) -> Result<(), Stop> {
    let config = Config::load(cli)?;
    config.check_https(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "management")?;
    let exposed = cli.exposed_secrets();
    if !exposed.is_empty() {
        warn!(
            flags = exposed.join(", "),
            "Secrets given as flags show in the list of processes"
        );
    }
    let known = config.database.known_passwords();
    if !known.is_empty() {
        warn!(
            settings = known.join(", "),
            "The password of the database is an example that everybody knows: whoever may run programs on this machine can use it"
        );
    }
    cli.warn_of_unknown_variables();
    descriptors::raise_limit().context("raising the limit of open files failed")?;
    process::block_on(run(&config))??;
    Ok(())
}

async fn run(config: &Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    log_limit::start(&tasks);
    tasks.spawn_worker("watchdog", service_manager::show_life(tasks.draining()));
    let stopping = tasks.token();
    let started = tokio::select! {
        started = bring_up(config, &tasks) => started,
        () = stopping.cancelled() => Ok(()),
    };
    if let Err(error) = started {
        tasks.stop();
        // Only the failure to start is reported, not a second one while stopping.
        let _also = tasks.wait(config.shutdown_timeout).await;
        return Err(error);
    }
    tasks.wait(config.shutdown_timeout).await?;
    info!("Stopped");
    Ok(())
}

/// Binds the listener first, so that a wrong address is reported at once, and a wrong certificate.
async fn bring_up(config: &Config, tasks: &Tasks) -> anyhow::Result<()> {
    let https = Https::prepare(config)?;
    let mut bound = listen(config, &https).await?;
    let figures_at = monitoring::listen(config, &https).await?;
    traces::start(tasks, "vpnmanager-management", &config.server_id)?;
    service_manager::status("Connecting to PostgreSQL and to the bus");
    let app = loop {
        match start::start(config.clone(), tasks).await {
            Ok(app) => break app,
            Err(error) => match error.downcast::<Undecided>() {
                Ok(undecided) => {
                    waiting::until_decided(config, bound, undecided).await?;
                    bound = listen(config, &https).await?;
                }
                Err(error) => return Err(error.context("management cannot start")),
            },
        }
    };
    info!(
        server.id = config.server_id,
        http.listen = ?bound.addresses(),
        version = env!("CARGO_PKG_VERSION"),
        "Management is ready"
    );
    if let Some(figures_at) = figures_at {
        monitoring::serve(app.clone(), figures_at, tasks);
    }
    if let Some(served) = https.served() {
        app.https.serves(served.clone());
    }
    https.start(tasks);
    let (service, stop) = (api::application(app, tasks.token()), tasks.token());
    let grace = share(config.shutdown_timeout);
    tasks.spawn("http", async move {
        Ok(bound.serve(service, stop.cancelled_owned(), grace).await?)
    });
    service_manager::ready("Ready");
    Ok(())
}

async fn listen(config: &Config, https: &Https) -> anyhow::Result<Bound> {
    let bound = Bound::new(&config.listen).await?;
    let bound = bound.with(config.http).behind(config.trusted_proxies.clone());
    Ok(https.secure(bound))
}

fn share(timeout: Duration) -> Duration {
    timeout.mul_f64(SHARE_OF_REQUESTS)
}
