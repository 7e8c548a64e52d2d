//! The agent from its start to its end.

use vpnmanager_runtime::{log_limit, tasks::Tasks};

use crate::{api::LocalNode, config::Config, serve_api::serve_api, start::start, state_dir::StateDir};

/// Runs until SIGTERM or SIGINT, or until a task dies. OpenVPN and its sessions stay as they are when the agent ends.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    log_limit::start(&tasks);
    let dir = StateDir::new(std::path::absolute(&config.state_dir)?);
    dir.prepare()?;
    let _lock = dir.lock()?;
    let local = LocalNode::new(config.server_id.clone(), dir.identity().exists());
    serve_api(config, &dir, local.clone(), &tasks).await?;
    let (starting, config, stop) = (tasks.clone(), config.clone(), tasks.token());
    let timeout = config.shutdown_timeout;
    tasks.spawn_job("start", async move {
        tokio::select! {
            outcome = start(&config, dir, local, &starting) => outcome,
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(tasks.wait(timeout).await?)
}
