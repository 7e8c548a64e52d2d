//! `users create`.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::shape::USER;
use crate::arguments::Wait;
use crate::client::types;
use crate::commands::rules::RuleArgs;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::values::{Moment, moment, wait_text};

/// Whom to create, and how.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Names of the users
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
    /// Their group [default: default]
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: Option<String>,
    /// When access ends: 30d, 2027-03-01, a time of RFC 3339, or never [default: as the group says]
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Option<Moment>,
    /// Their home node [default: management chooses]
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    node: Option<String>,
    /// Suspended from the start
    #[arg(long)]
    suspended: bool,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    wait: Wait,
}

impl Create {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let mut created = Vec::new();
        let outcome = self.create(desk, &mut created).await;
        desk.print_together(&USER, self.users.len(), &created)?;
        outcome
    }

    /// One after the other, until the first that fails.
    async fn create(&self, desk: &Desk, created: &mut Vec<Value>) -> Result<(), Failure> {
        let limits = self.rules.rules(&[])?;
        let limits = (!limits.is_empty()).then_some(Value::Object(limits));
        for user in &self.users {
            let body = types::NewUser::builder()
                .username(user.clone())
                .group(self.group.clone().map(Value::from))
                .expires_at(self.expires.as_ref().map(Moment::value))
                .server_id(self.node.clone().map(Value::from))
                .active(self.suspended.then_some(Value::Bool(false)))
                .limits(limits.clone());
            let request = given!(desk.api.create_user(), wait = self.wait.wait.map(wait_text)).body(body);
            let answer = desk.api.answer(request.send()).await;
            let answer = answer.map_err(|failure| failure.of(user))?;
            desk.settle_one_of(created, &self.wait, user, answer).await?;
        }
        Ok(())
    }
}
