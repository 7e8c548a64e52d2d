//! `pools`.

mod network;
mod rollout;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::{Value, json};

use crate::arguments::{Listing, Watch};
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use network::NetworkArgs;

const POOL: Shape = Shape {
    name: "/name",
    columns: &[
        column("POOL", "/name"),
        column("NODES", "/nodes"),
        column("USERS", "/users"),
        column("REPLICAS", "/replicas"),
        column("ROUTES", "/network/routes"),
        column("ALL TRAFFIC", "/network/redirect_gateway"),
        column("DNS", "/network/dns_servers"),
        column("CHANGED", "/changed_at").shown(Look::Time),
    ],
};

/// What to do with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum Pools {
    /// List pools
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Show all that is known of a pool
    Show(Show),
    /// Make a pool
    Create(Create),
    /// Change a pool
    Update(Update),
    /// Delete a pool that has neither nodes nor users
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Restart the VPN servers of a pool, one after the other
    #[command(subcommand)]
    Rollout(rollout::Rollout),
}

/// Which pool.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    #[command(flatten)]
    watch: Watch,
}

/// What a pool is like.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    #[arg(value_name = "POOL")]
    pool: String,
    #[command(flatten)]
    own: Own,
}

/// What a pool says.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// Nodes for each user, the home included
    #[arg(long, value_name = "NUMBER")]
    replicas: Option<u64>,
    /// An extra line of the profiles of its users; repeat it for each
    #[arg(long = "client-directive", value_name = "LINE")]
    client_directives: Vec<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

/// What to change. The network is changed as a whole: what is left out of it is as usual.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    #[command(flatten)]
    own: Own,
    /// As many nodes for each user as management's setting says
    #[arg(long, conflicts_with = "replicas")]
    no_replicas: bool,
    /// No extra lines of profiles
    #[arg(long, conflicts_with = "client_directives")]
    no_client_directives: bool,
    /// No network: nodes push nothing and let nothing through
    #[arg(long)]
    no_network: bool,
}

/// Which pool to delete.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The pool
    #[arg(value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: String,
    #[command(flatten)]
    sure: Sure,
}

impl Pools {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let page = |size: i64, cursor: Option<String>| {
                    given!(desk.api.list_pools().limit(size), cursor = cursor).send()
                };
                desk.list(&POOL, listing, page).await
            }
            Self::Show(show) => {
                desk.show(&POOL, &show.watch, async || find(desk, &show.pool).await)
                    .await
            }
            Self::Create(create) => create.run(desk).await,
            Self::Update(update) => update.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
            Self::Rollout(rollout) => rollout.run(desk).await,
        }
    }
}

impl Own {
    fn directives(&self) -> Option<Value> {
        (!self.client_directives.is_empty()).then(|| json!(self.client_directives))
    }
}

impl Create {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let body = types::NewPool::builder()
            .name(self.pool.clone())
            .replicas(self.own.replicas.map(Value::from))
            .client_directives(self.own.directives())
            .network(self.own.network.value());
        let pool = desk.api.answer(desk.api.create_pool().body(body).send()).await?;
        desk.print(&desk.output.brief(&POOL, &pool)?)
    }
}

impl Update {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let network = match (self.own.network.value(), self.no_network) {
            (Some(_), true) => {
                return Err(Failure::usage(
                    "--no-network contradicts what else is said of the network",
                ));
            }
            (Some(network), false) => Some(network),
            (None, no_network) => no_network.then_some(Value::Null),
        };
        let replicas = self
            .own
            .replicas
            .map(Value::from)
            .or(self.no_replicas.then_some(Value::Null));
        let directives = self.own.directives().or(self.no_client_directives.then(|| json!([])));
        if network.is_none() && replicas.is_none() && directives.is_none() {
            return Err(Failure::usage("say what to change: --help lists what there is"));
        }
        let body = types::PoolChanges::builder()
            .replicas(replicas)
            .client_directives(directives)
            .network(network);
        let request = desk.api.change_pool().name(self.pool.as_str()).body(body);
        let pool = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&POOL, &pool)?)
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let pool = self.pool.as_str();
        let deed = async {
            find(desk, pool).await?;
            Ok::<_, Failure>(format!("delete the pool {pool}"))
        };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        desk.api.answer(desk.api.delete_pool().name(pool).send()).await?;
        desk.note(&format!("Deleted {pool}"));
        Ok(())
    }
}

async fn find(desk: &Desk, pool: &str) -> Result<Value, Failure> {
    desk.api.answer(desk.api.get_pool().name(pool).send()).await
}
