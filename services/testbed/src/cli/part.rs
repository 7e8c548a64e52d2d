//! `stop` and `start`: stop and start one part of the running stack.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use vpnmanager_testbed::{
    stack::{Part, Stack},
    wait,
};

use super::home::{Home, lock};
use crate::screen::say;

/// How long to wait until an agent has started its OpenVPN again, to write the new pid into the environment file.
const REVIVE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// SIGTERM, then SIGKILL for what has not ended after 20 seconds
    Term,
    /// kill -9
    Kill,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    home: Home,
    /// management, nats, postgres, node-N or openvpn-N
    what: Part,
    /// How to stop it
    #[arg(long, value_enum, default_value = "term")]
    how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    home: Home,
    /// management, nats, postgres, node-N or openvpn-N
    what: Part,
}

impl Stop {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dir = self.home.dir()?;
        let _lock = lock(&dir)?;
        let mut stack = Stack::attach(&dir)?;
        let (part, started) = (self.what, Instant::now());
        let before = stack.process(part);
        match self.how {
            How::Term => stack.stop_part(part).await?,
            How::Kill => stack.kill_part(part).await?,
        }
        let took = started.elapsed().as_secs_f64();
        match before {
            Some(process) => say(format_args!("{part} (pid {}) stopped in {took:.2} s", process.pid)),
            None => say(format_args!("{part} was not running")),
        }
        if let Part::Openvpn(number) = part
            && stack.process(Part::Node(number)).is_some()
        {
            let back = wait::until(REVIVE, part, async || stack.process(part).is_some()).await;
            stack.state().save()?;
            if back.is_ok() {
                say(format_args!("node-{number} has started OpenVPN again"));
            }
        }
        Ok(())
    }
}

impl Start {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dir = self.home.dir()?;
        let _lock = lock(&dir)?;
        let mut stack = Stack::attach(&dir)?;
        let (part, started) = (self.what, Instant::now());
        stack.start_part(part).await?;
        let pid = stack.process(part).map_or(0, |process| process.pid);
        say(format_args!(
            "{part} runs (pid {pid}), ready in {:.2} s",
            started.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}
