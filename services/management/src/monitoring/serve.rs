//! The listener of figures.

use std::io;
use std::sync::Arc;

use tracing::info;
use vpnmanager_openapi::MetricsPage;
use vpnmanager_openapi::server::Bound;
use vpnmanager_openapi::server::tls::is_on_loopback;
use vpnmanager_runtime::tasks::Tasks;

use super::{count, look::Observer};
use crate::{app::App, config::Config, https::Https};

/// Binds the addresses, so that a wrong one is reported before anything starts; `None` where no figures are wanted. Where other machines reach
/// one, all have the certificate of the API.
///
/// # Errors
/// When one cannot be bound; the text names it.
pub(crate) async fn listen(config: &Config, https: &Https) -> io::Result<Option<Bound>> {
    let addresses = config.metrics.addresses();
    if addresses.is_empty() {
        return Ok(None);
    }
    let bound = Bound::new(addresses).await?.with(config.http);
    let is_near = addresses.iter().all(|address| is_on_loopback(address));
    Ok(Some(if is_near { bound } else { https.secure(bound) }))
}

/// Serves figures until the process stops.
pub(crate) fn serve(app: App, bound: Bound, tasks: &Tasks) {
    info!(metrics.listen = ?bound.addresses(), "Figures for monitoring are at /metrics");
    let (key, grace) = (app.config.metrics.key.clone(), app.config.shutdown_timeout / 2);
    tasks.spawn("count-users", count::run(app.clone(), tasks.token()));
    let observer = Arc::new(Observer::new(app));
    let page = MetricsPage::new(key, move || {
        let observer = Arc::clone(&observer);
        async move { observer.text().await }
    });
    let stop = tasks.token();
    tasks.spawn("metrics", async move {
        Ok(bound.serve(page, stop.cancelled_owned(), grace).await?)
    });
}
