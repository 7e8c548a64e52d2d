//! Changes the networks of the pools of a run, one change after the other, and notes what was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context;
use fastrand::Rng;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::stack::Stack;

use super::{
    answered::Answered,
    group::{Group, HELD},
    inventory::{self, Pool},
    model::Answer,
    request::Requests,
    work::Worked,
};

/// What a pool leads to. The firewall of a node shows two routes that touch as one, so none does that touches another one of its pool. Nobody is
/// there: clients of a run go nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) routes: Vec<String>,
    pub(super) dns_servers: Vec<String>,
    pub(super) client_to_client: bool,
}

impl Network {
    /// That of the beginning.
    fn new(pool: &str) -> Self {
        Self {
            routes: vec![first_route(pool).to_owned()],
            dns_servers: Vec::new(),
            client_to_client: false,
        }
    }

    /// Each time with another route, so that it is known which network a node has.
    fn draw(pool: &str, number: u8, rng: &mut Rng) -> Self {
        let mut network = Self::new(pool);
        network.routes.push(format!("10.97.{}.0/24", even(number)));
        if rng.bool() {
            network.routes.push(format!("10.95.{}.0/24", even(rng.u8(..))));
        }
        if rng.bool() {
            network.dns_servers.push(format!("10.97.{}.53", even(number)));
        }
        network.client_to_client = rng.bool();
        network
    }

    /// The network of a request, as a whole.
    fn body(&self) -> Value {
        json!({
            "routes": self.routes, "dns_servers": self.dns_servers, "client_to_client": self.client_to_client,
        })
    }

    /// Reads a network as it is stored.
    pub(super) fn stored(network: &Value) -> Option<Self> {
        let texts = |name: &str| -> Option<Vec<String>> {
            let texts = network[name].as_array()?.iter();
            texts.map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Some(Self {
            routes: texts("routes")?,
            dns_servers: texts("dns_servers")?,
            client_to_client: network["client_to_client"].as_bool()?,
        })
    }
}

/// A route that a pool always has.
fn first_route(pool: &str) -> &'static str {
    if pool == HELD { "10.99.0.0/16" } else { "10.93.0.0/16" }
}

/// Every second network, so that no two touch.
fn even(number: u8) -> u8 {
    number & !1
}

/// What was answered of the networks.
#[derive(Debug)]
pub(super) struct Networks(BTreeMap<&'static str, Answered<Network>>);

impl Networks {
    pub(super) fn of(pools: impl IntoIterator<Item = &'static str>) -> Self {
        let first = |pool| (pool, Answered::new(Network::new(pool)));
        Self(pools.into_iter().map(first).collect())
    }

    pub(super) fn note(&mut self, pool: &str, network: Network, answer: &Answer) {
        if let Some(answered) = self.0.get_mut(pool) {
            answered.note(network, answer);
        }
    }

    /// What is stored otherwise than it was answered: one sentence for each.
    pub(super) async fn broken(&self, db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
        Ok(self.otherwise(&inventory::pools(db).await?))
    }

    pub(super) fn otherwise(&self, stored: &[Pool]) -> Vec<String> {
        let told = self.0.iter().filter_map(|(name, answered)| {
            let found = stored.iter().find(|pool| pool.name == *name);
            let found = found.and_then(|pool| Network::stored(pool.network.as_ref()?));
            answered.otherwise(&format!("the network of the pool {name}"), found)
        });
        told.collect()
    }
}

/// Who changes the networks.
#[derive(Debug)]
pub(super) struct Engineer {
    requests: Requests,
    pools: Vec<&'static str>,
    rng: Rng,
    networks: Networks,
    /// It decides the next route.
    number: u8,
}

impl Engineer {
    /// Gives each pool of a run its first network.
    pub(super) async fn install(stack: &Stack) -> anyhow::Result<()> {
        let api = stack.api();
        for pool in pools(stack) {
            let set = api.set_network(pool, &Network::new(pool).body()).await?.expect(200);
            set.with_context(|| format!("the pool {pool} cannot have its network"))?;
        }
        Ok(())
    }

    pub(super) fn new(stack: &Stack, requests: Requests, rng: Rng) -> Self {
        let pools = pools(stack);
        Self {
            requests,
            networks: Networks::of(pools.iter().copied()),
            pools: pools.into_iter().collect(),
            rng,
            number: 0,
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> (Worked, Networks) {
        let mut worked = Worked::default();
        while !stop.is_cancelled() {
            self.change(&mut worked).await;
            let pause = Duration::from_millis(self.rng.u64(500..3000));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        (worked, self.networks)
    }

    async fn change(&mut self, worked: &mut Worked) {
        let Some(pool) = self.rng.choice(&self.pools).copied() else {
            return;
        };
        self.number = self.number.wrapping_add(2);
        let network = Network::draw(pool, self.number, &mut self.rng);
        let api = self.requests.choose_api(&mut self.rng);
        let (body, what) = (network.body(), format!("change of the network of the pool {pool}"));
        let asked = api.set_network(pool, &body);
        let (answer, _) = self.requests.ask(worked, ("change of a network", &what), asked).await;
        if let Some(answer) = answer {
            self.networks.note(pool, network, &answer);
        }
    }
}

/// The pools of this stack.
fn pools(stack: &Stack) -> BTreeSet<&'static str> {
    Group::of(stack).into_iter().map(Group::pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, network: &Network) -> Pool {
        Pool {
            name: name.to_owned(),
            revision: 1,
            network: Some(network.body()),
        }
    }

    fn with(dns_server: &str) -> Network {
        Network {
            dns_servers: vec![dns_server.to_owned()],
            ..Network::new(HELD)
        }
    }

    #[test]
    fn a_network_that_is_not_as_it_was_answered_is_told() {
        let mut networks = Networks::of([HELD]);
        let first = Network::new(HELD);
        assert_eq!(networks.otherwise(&[stored(HELD, &first)]), Vec::<String>::new());
        assert_eq!(networks.otherwise(&[]).len(), 1, "it is gone");
        networks.note(HELD, with("10.97.0.4"), &Answer::Done);
        networks.note(HELD, with("10.97.0.5"), &Answer::Open);
        networks.note(HELD, with("10.97.0.6"), &Answer::ReadOnly);
        let is = [
            (first, 1),
            (with("10.97.0.4"), 0),
            (with("10.97.0.5"), 0),
            (with("10.97.0.6"), 1),
        ];
        for (network, told) in is {
            let found = networks.otherwise(&[stored(HELD, &network)]);
            assert_eq!(found.len(), told, "{found:?}");
        }
    }

    #[test]
    fn each_network_has_another_route_than_the_one_before() {
        let mut rng = Rng::with_seed(1);
        let mut before = Network::new("default");
        for number in (0..=254).step_by(2) {
            let network = Network::draw("default", number, &mut rng);
            assert_ne!(network.routes, before.routes);
            assert_eq!(Network::stored(&network.body()), Some(network.clone()));
            before = network;
        }
    }
}
