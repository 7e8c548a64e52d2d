//! `/metrics` of the agent: looks at what nobody tells when somebody asks, and serves all figures on a listener of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_nats::connection::State;
use chrono::Utc;
use tokio::{sync::Mutex, time::Instant};
use tracing::info;
use vpnmanager_openapi::{
    MetricsPage,
    server::{
        Bound,
        tls::{ServedCertificate, is_on_loopback},
    },
};
use vpnmanager_runtime::tasks::Tasks;

use crate::{
    api::LocalNode,
    backend::VpnBackend as _,
    config::Config,
    metrics::{bus::BusSample, holdings::Held},
    shared::Shared,
    state_dir::StateDir,
};

/// What was found is shown for so long, whoever asks how often.
const FRESH: Duration = Duration::from_secs(5);

/// Binds the addresses and serves figures there; does nothing without METRICS_LISTEN. Where other machines reach one, all have the certificate.
pub(crate) async fn serve_metrics(
    config: &Config,
    dir: &StateDir,
    local: &LocalNode,
    served: Option<&ServedCertificate>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let addresses = config.metrics.addresses();
    if addresses.is_empty() {
        return Ok(());
    }
    let mut bound = Bound::new(addresses).await?.with(config.http);
    if let Some(served) = served.filter(|_| !addresses.iter().all(|address| is_on_loopback(address))) {
        bound = bound.secured(served);
    }
    info!(addresses = ?bound.addresses(), "Figures for monitoring are at /metrics");
    let observer = Arc::new(Observer {
        local: local.clone(),
        journal: dir.journal(),
        looked: Mutex::default(),
    });
    let page = MetricsPage::new(config.metrics.key.clone(), move || {
        let observer = Arc::clone(&observer);
        async move { observer.text().await }
    });
    let (stop, grace) = (tasks.token(), config.shutdown_timeout / 2);
    tasks.spawn("metrics", async move {
        Ok(bound.serve(page, stop.cancelled_owned(), grace).await?)
    });
    Ok(())
}

/// Shows the figures of this node.
#[derive(Debug)]
struct Observer {
    local: LocalNode,
    journal: PathBuf,
    /// One looks at a time.
    looked: Mutex<Looked>,
}

/// What was found last.
#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// What the journal held, and after which commit: while nobody writes it holds the same.
    held: Option<(u64, Held)>,
}

impl Observer {
    async fn text(&self) -> String {
        let mut looked = self.looked.lock().await;
        let figures = &self.local.figures;
        if looked.at.is_none_or(|at| at.elapsed() >= FRESH) {
            // Until the node has enrolled only the process is there to look at.
            if let Some(shared) = self.local.shared_if_enrolled() {
                self.look(shared, &mut looked).await;
            }
            looked.at = Some(Instant::now());
        }
        figures.process.look();
        figures.work.look();
        figures.exposed.text()
    }

    async fn look(&self, shared: &Shared, looked: &mut Looked) {
        let figures = &self.local.figures;
        let server = shared.server_health().await;
        figures.server.show(&server);
        figures.server.counted(*shared.vpn.logins().borrow(), shared.vpn.cuts());
        figures.bus.show(BusSample {
            connected: shared.bus.connection_state() == State::Connected,
            in_sync: shared.readiness.is_caught_up(),
            reporting: shared.reporting.fault().is_none(),
            unanswered: shared.contact.unanswered_for(),
            unsettled: shared.progress.unsettled(),
        });
        let held = self.held(shared, looked).await;
        let is_written = shared.journal.fault().is_none();
        figures.holdings.journal(held, size_of(&self.journal), is_written);
        figures.holdings.disk(shared.disk.free());
        // Of the one that OpenVPN uses: a renewed one counts once it has started again.
        if let Some(end) = shared.certificate.in_use_until(server.oldest_since) {
            figures.holdings.certificate(end, Utc::now());
        }
    }

    /// What the journal holds, counted anew only after a commit.
    async fn held(&self, shared: &Shared, looked: &mut Looked) -> Option<Held> {
        let commit = *shared.journal.commits().borrow();
        if let Some((counted, held)) = looked.held
            && counted == commit
        {
            return Some(held);
        }
        let read = shared.journal.read(|records| {
            Ok(Held {
                users: records.tally()?.users,
                let_in: records.wanted(Utc::now())?.len(),
                queued_intents: records.count_queued_intents()?,
            })
        });
        let held = read.await.ok()?;
        looked.held = Some((commit, held));
        Some(held)
    }
}

/// Of the file, with what SQLite keeps beside it.
fn size_of(journal: &Path) -> u64 {
    let sizes = ["", "-wal"].map(|ending| {
        let mut path = journal.as_os_str().to_owned();
        path.push(ending);
        fs::metadata(path).map_or(0, |file| file.len())
    });
    sizes.iter().sum()
}
