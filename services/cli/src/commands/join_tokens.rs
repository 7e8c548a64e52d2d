//! `join-tokens`.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::arguments::Listing;
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use crate::values::in_one_unit;

const TOKEN: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("STATE", "/state"),
        column("NODE", "/server_id"),
        column("CREATED BY", "/created_by"),
        column("CREATED", "/created_at").shown(Look::Time),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("USED BY", "/used_by"),
    ],
};

const MADE: Shape = Shape {
    name: "/token",
    columns: &[
        column("ID", "/id"),
        column("NODE", "/server_id"),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("TOKEN", "/token"),
    ],
};

/// What to do with join tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum JoinTokens {
    /// List join tokens, also those that are of no use any more
    #[command(visible_alias = "ls")]
    List(List),
    /// Make a join token, a secret that enrols one node; it is shown only now
    Create(Create),
    /// Revoke a join token
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Which tokens.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only tokens in this state
    #[arg(long, value_parser = ["open", "used", "expired"])]
    state: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

/// For which node.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The only node that may use it [default: any new one]
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// How long it is valid, up to 7 days [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = in_one_unit)]
    ttl: Option<String>,
}

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Its number
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    sure: Sure,
}

impl JoinTokens {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Create(create) => create.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
        }
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = desk.api.list_join_tokens().limit(size);
            given!(request, cursor = cursor, state = self.state.clone()).send()
        };
        desk.list(&TOKEN, &self.listing, page).await
    }
}

impl Create {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let body = types::NewJoinToken::builder()
            .server_id(self.node.clone().map(Value::from))
            .ttl(self.ttl.clone().map(Value::from));
        let made = desk.api.answer(desk.api.create_join_token().body(body).send()).await?;
        desk.print(&desk.output.one(&MADE, &made)?)
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let deed = async { Ok::<_, Failure>(format!("revoke the join token {}", self.id)) };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        desk.api.answer(desk.api.revoke_join_token().id(self.id).send()).await?;
        desk.note(&format!("Revoked {}", self.id));
        Ok(())
    }
}
