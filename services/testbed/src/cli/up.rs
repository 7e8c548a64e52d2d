//! `up`: starts a stack that stays.

use clap::Args;
use vpnmanager_testbed::{
    net::has_tunnels,
    postgres::Durability,
    stack::{Lifetime, Listener, Stack, StackOptions, State},
};

use super::home::{Home, lock};
use crate::{
    interrupt::unless_interrupted,
    screen::{self, say},
};

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    home: Home,
    /// Number of nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=60))]
    nodes: u8,
    /// Serve management with HTTPS, by a certificate of the fleet's CA
    #[arg(long)]
    tls: bool,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dir = self.home.dir()?;
        let _lock = lock(&dir)?;
        if let Err(reason) = has_tunnels() {
            say(format_args!(
                "No tunnels here ({reason}): the nodes run on 127.0.0.1, without OpenVPN."
            ));
        }
        let options = StackOptions {
            nodes: self.nodes,
            listeners: vec![Listener::BOTH.to_vec(); usize::from(self.nodes)],
            id: Some(self.home.id(&dir)),
            durability: Durability::Durable,
            service: true,
            lifetime: Lifetime::Kept(dir.clone()),
            usual_ports: true,
            tls: self.tls,
            progress: screen::step,
            ..StackOptions::default()
        };
        let started = unless_interrupted(Stack::start(options)).await;
        let stack = match started {
            Ok(stack) => stack?,
            Err(interrupted) => {
                say("Interrupted: removing the parts that were started.");
                if let Ok(half) = Stack::attach(&dir) {
                    half.down().await;
                }
                return Err(interrupted);
            }
        };
        self.describe(stack.state());
        Ok(())
    }

    fn describe(&self, state: &State) {
        let url = state.management_url();
        let env = state.home.join("env").display().to_string();
        say("");
        say(format_args!("Management     {url}   (Swagger UI: {url}/docs)"));
        for node in &state.nodes {
            let tunnels = node.namespace.as_ref().map_or(String::new(), |namespace| {
                format!("   (netns {}, {})", namespace.name, at(state, node.number))
            });
            say(format_args!(
                "node-{:<9} {}{tunnels}",
                node.number,
                state.node_url(node.number)
            ));
        }
        say(format_args!("PostgreSQL     {}", state.database_url()));
        say(format_args!(
            "NATS           {}   (monitor: {})",
            state.nats_url(),
            state.nats_monitor_url()
        ));
        say(format_args!("Logs           {}", state.dir.join("logs").display()));
        say(format_args!("Environment    {env}"));
        say("");
        say(format_args!("Try:  . {env}; target/debug/vpnmanager nodes list"));
        let name = self.home.name().map(|name| format!(" NAME={name}"));
        say(format_args!("End:  make down{}", name.unwrap_or_default()));
    }
}

/// Where the OpenVPN of a node listens.
fn at(state: &State, number: u8) -> String {
    let listeners = state.listeners(number);
    let names: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    names.join(" and ")
}
