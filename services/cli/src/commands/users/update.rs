//! `users update`, `users suspend` and `users resume`.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::named::{Named, SeveralNamed};
use super::shape::USER;
use crate::arguments::Wait;
use crate::client::types;
use crate::commands::rules::{Rule, RuleArgs};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::values::{Moment, moment, wait_text};

/// What to change; the rest stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,
    /// Another group
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: Option<String>,
    /// When access ends: 30d, 2027-03-01, a time of RFC 3339, or never
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Option<Moment>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Take an own rule away, so that the group's holds; repeat it for each
    #[arg(long, value_enum, value_name = "RULE", conflicts_with = "no_rules")]
    clear: Vec<Rule>,
    /// Take all own rules away
    #[arg(long)]
    no_rules: bool,
    #[command(flatten)]
    wait: Wait,
}

/// Whom.
#[derive(Debug, Args)]
pub(crate) struct Suspend {
    #[command(flatten)]
    named: SeveralNamed,
    #[command(flatten)]
    wait: Wait,
}

impl Update {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let limits = self.rules.rules(&self.clear)?;
        let limits = match (self.no_rules, limits.is_empty()) {
            (true, true) => Some(Value::Null),
            (true, false) => {
                return Err(Failure::usage(
                    "--no-rules takes all away: say the new ones in another command",
                ));
            }
            (false, true) => None,
            (false, false) => Some(Value::Object(limits)),
        };
        if self.group.is_none() && self.expires.is_none() && limits.is_none() {
            return Err(Failure::usage("say what to change: --help lists what there is"));
        }
        let body = types::UserChanges::builder()
            .group(self.group.clone().map(Value::from))
            .expires_at(self.expires.as_ref().map(Moment::value))
            .limits(limits);
        let user = self.named.user.as_str();
        let request = desk.api.change_user().username(user).body(body);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}

impl Suspend {
    pub(super) async fn run(&self, desk: &Desk, active: bool) -> Result<(), Failure> {
        let mut changed = Vec::new();
        let outcome = self.change(desk, active, &mut changed).await;
        desk.print_together(&USER, self.named.users.len(), &changed)?;
        outcome
    }

    /// One after the other, until the first that fails.
    async fn change(&self, desk: &Desk, active: bool, changed: &mut Vec<Value>) -> Result<(), Failure> {
        for user in &self.named.users {
            let body = types::UserChanges::builder().active(Value::Bool(active));
            let request = desk.api.change_user().username(user.as_str()).body(body);
            let request = given!(request, wait = self.wait.wait.map(wait_text));
            let answer = desk.api.answer(request.send()).await;
            let answer = answer.map_err(|failure| failure.of(user))?;
            desk.settle_one_of(changed, &self.wait, user, answer).await?;
        }
        Ok(())
    }
}
