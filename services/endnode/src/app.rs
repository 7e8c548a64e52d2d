//! The agent from its start to its end.

use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use vpnmanager_runtime::{log_limit, service_manager, tasks::Tasks, traces};

use crate::{
    api::LocalNode,
    config::Config,
    coordination::new_start::NewStart,
    serve_api::{certificate_of, serve_api},
    serve_metrics::serve_metrics,
    start::start,
    state_dir::StateDir,
};

/// What follows the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process ends.
    Stopped,
    /// Another run begins, with what this one saved.
    Anew,
}

/// Runs until SIGTERM or SIGINT, until a task dies, or until it has to start anew. OpenVPN and its sessions stay as they are when the agent
/// ends.
pub async fn run(config: &Config) -> anyhow::Result<Ended> {
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let new_start = NewStart::of(&tasks);
    log_limit::start(&tasks);
    tasks.spawn_worker("watchdog", service_manager::show_life(tasks.draining()));
    let dir = StateDir::new(std::path::absolute(&config.state_dir)?);
    dir.prepare()?;
    let _lock = dir.lock()?;
    let local = LocalNode::new(config.server_id.clone(), dir.identity().exists());
    let served = certificate_of(config, &tasks)?;
    serve_api(config, &dir, local.clone(), served.as_ref(), &tasks).await?;
    serve_metrics(config, &dir, &local, served.as_ref(), &tasks).await?;
    traces::start(&tasks, "vpnmanager-endnode", config.server_id.as_str())?;
    // What is still to come may take as long as management, the bus or a join token is away.
    service_manager::ready("Starting: the local API says how far it is");
    let (starting, config, stop) = (tasks.clone(), config.clone(), tasks.token());
    let (timeout, wish) = (config.shutdown_timeout, new_start.clone());
    tasks.spawn_job("start", async move {
        tokio::select! {
            outcome = start(&config, dir, local, &starting, wish) => {
                if outcome.is_ok() {
                    service_manager::status("The node has started");
                }
                outcome
            }
            () = stop.cancelled() => Ok(()),
        }
    });
    tasks.wait(timeout).await?;
    // A signal that came while this run ended would be lost.
    let signalled = signals.0.recv().now_or_never().is_some() || signals.1.recv().now_or_never().is_some();
    Ok(if new_start.is_wanted() && !signalled {
        Ended::Anew
    } else {
        Ended::Stopped
    })
}
