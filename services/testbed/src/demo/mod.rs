//! Shows the main job to a person, with a separate stack.

mod job;
mod tunnel;

use anyhow::Context;
use vpnmanager_testbed::{
    net::has_tunnels,
    postgres::Durability,
    stack::{Listener, Stack, StackOptions},
};

use crate::{
    interrupt::{Interrupted, unless_interrupted},
    screen::{self, say},
};

/// Runs the demo; its last line is `demo: passed`.
pub(crate) async fn run() -> anyhow::Result<()> {
    match unless_interrupted(show()).await {
        // Dropping the work has removed the unfinished stack.
        Err(interrupted) if interrupted.is::<Interrupted>() => Err(interrupted.context("demo")),
        Err(error) => Err(error),
        Ok(shown) => shown.context("demo failed"),
    }?;
    say("demo: passed");
    Ok(())
}

async fn show() -> anyhow::Result<()> {
    let tunnels = has_tunnels();
    if let Err(reason) = tunnels {
        say(format_args!("No tunnels on this machine: {reason}."));
        say("The demo shows everything else: API, database, bus, nodes, certificates and profiles.");
    }
    let options = StackOptions {
        nodes: 2,
        listeners: vec![Listener::BOTH.to_vec(); 2],
        durability: Durability::Durable,
        service: true,
        progress: screen::step,
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await?;
    if let Err(error) = main_job(&stack, tunnels.is_ok()).await {
        say("Last warnings and errors of the services:");
        stack.troubles().iter().for_each(|line| say(format_args!("  {line}")));
        stack.note_failure();
        return Err(error);
    }
    let started = std::time::Instant::now();
    stack.down().await;
    screen::done(
        "Stop everything",
        "processes, namespaces and files are gone",
        started.elapsed(),
    );
    Ok(())
}

async fn main_job(stack: &Stack, tunnels: bool) -> anyhow::Result<()> {
    let job = job::Job::new(stack);
    job.create_group().await?;
    if let Ok(service) = stack.service() {
        job.set_network(service).await?;
    }
    let profile = job.create().await?;
    if tunnels {
        tunnel::connect_and_cut(stack, &job, &profile).await?;
    } else {
        job.delete().await?;
    }
    job.audit_trail().await
}
