//! `groups`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::{Map, Value};

use super::days::{DAY, Days};
use super::rules::{Rule, RuleArgs};
use crate::arguments::{Listing, Watch};
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column};
use crate::pages::items;
use crate::question::Sure;
use crate::values::in_one_unit;

const GROUP: Shape = Shape {
    name: "/name",
    columns: &[
        column("GROUP", "/name"),
        column("POOL", "/pool"),
        column("USERS", "/users"),
        column("LIFETIME", "/lifetime"),
        column("DEVICES", "/devices"),
        column("SESSIONS", "/sessions"),
        column("QUOTA", "/traffic/bytes").shown(Look::Bytes),
        column("ROUTES", "/routes"),
        column("NODES", "/nodes"),
        column("APPLIED", "/nodes_applied"),
    ],
};

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Groups {
    /// List groups
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Show all that is known of a group
    Show(Show),
    /// Make a group
    Create(Create),
    /// Change a group; its members have the new rules at once
    Update(Update),
    /// Delete a group that nobody is in
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Show the traffic of a group, day by day
    Traffic(Traffic),
}

/// One group.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The group
    #[arg(value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: String,
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// What the group is like.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    own: Own,
    #[command(flatten)]
    rules: RuleArgs,
}

/// What else a group says.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// The pool that new members are placed in
    #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pool: Option<String>,
    /// How long new members have access, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = in_one_unit)]
    lifetime: Option<String>,
}

/// What to change; the rest stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    own: Own,
    #[command(flatten)]
    rules: RuleArgs,
    /// New members are placed in the usual pool
    #[arg(long, conflicts_with = "pool")]
    no_pool: bool,
    /// New members have access without end
    #[arg(long, conflicts_with = "lifetime")]
    no_lifetime: bool,
    /// Take a rule away; repeat it for each
    #[arg(long, value_enum, value_name = "RULE")]
    clear: Vec<Rule>,
}

/// Which group to delete.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    sure: Sure,
}

/// Whose traffic.
#[derive(Debug, Args)]
pub(crate) struct Traffic {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    days: Days,
}

impl Groups {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let page = |size: i64, cursor: Option<String>| {
                    given!(desk.api.list_groups().limit(size), cursor = cursor).send()
                };
                desk.list(&GROUP, listing, page).await
            }
            Self::Show(show) => {
                desk.show(&GROUP, &show.watch, async || show.named.find(desk).await)
                    .await
            }
            Self::Create(create) => create.run(desk).await,
            Self::Update(update) => update.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
            Self::Traffic(traffic) => traffic.run(desk).await,
        }
    }
}

impl Named {
    async fn find(&self, desk: &Desk) -> Result<Value, Failure> {
        desk.api
            .answer(desk.api.get_group().group(self.group.as_str()).send())
            .await
    }
}

impl Create {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let mut rules = self.rules.rules(&[])?;
        let body = types::NewGroup::builder()
            .name(self.group.clone())
            .pool(self.own.pool.clone().map(Value::from))
            .lifetime(self.own.lifetime.clone().map(Value::from))
            .devices(rules.remove(Rule::Devices.member()))
            .sessions(rules.remove(Rule::Sessions.member()))
            .session_excess(rules.remove(Rule::SessionExcess.member()))
            .traffic(rules.remove(Rule::Quota.member()))
            .speed(rules.remove(Rule::Speed.member()))
            .routes(rules.remove(Rule::Routes.member()))
            .reach(rules.remove(Rule::Reach.member()));
        let group = desk.api.answer(desk.api.create_group().body(body).send()).await?;
        desk.print(&desk.output.brief(&GROUP, &group)?)
    }
}

impl Update {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let mut rules = self.changed()?;
        let pool = change(self.own.pool.as_ref(), self.no_pool);
        let lifetime = change(self.own.lifetime.as_ref(), self.no_lifetime);
        if rules.is_empty() && pool.is_none() && lifetime.is_none() {
            return Err(Failure::usage("say what to change: --help lists what there is"));
        }
        let body = types::GroupChanges::builder()
            .pool(pool)
            .lifetime(lifetime)
            .devices(rules.remove(Rule::Devices.member()))
            .sessions(rules.remove(Rule::Sessions.member()))
            .session_excess(rules.remove(Rule::SessionExcess.member()))
            .traffic(rules.remove(Rule::Quota.member()))
            .speed(rules.remove(Rule::Speed.member()))
            .routes(rules.remove(Rule::Routes.member()))
            .reach(rules.remove(Rule::Reach.member()));
        let request = desk.api.change_group().group(self.named.group.as_str()).body(body);
        let group = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&GROUP, &group)?)
    }

    /// Of a group, no routes are an empty list, and there always is something that happens beyond its sessions.
    fn changed(&self) -> Result<Map<String, Value>, Failure> {
        let mut rules = self.rules.rules(&self.clear)?;
        if rules.get(Rule::SessionExcess.member()) == Some(&Value::Null) {
            return Err(Failure::usage(
                "a group always says what happens beyond its sessions: --session-excess",
            ));
        }
        if rules.get(Rule::Routes.member()) == Some(&Value::Null) {
            rules.insert(Rule::Routes.member().to_owned(), Value::Array(Vec::new()));
        }
        Ok(rules)
    }
}

/// `null` takes it away; `None` leaves it.
fn change(value: Option<&String>, none: bool) -> Option<Value> {
    match (value, none) {
        (Some(value), _) => Some(Value::from(value.as_str())),
        (None, true) => Some(Value::Null),
        (None, false) => None,
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let group = self.named.group.as_str();
        let deed = async {
            self.named.find(desk).await?;
            Ok::<_, Failure>(format!("delete the group {group}"))
        };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        desk.api.answer(desk.api.delete_group().group(group).send()).await?;
        desk.note(&format!("Deleted {group}"));
        Ok(())
    }
}

impl Traffic {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.get_group_traffic().group(self.named.group.as_str());
        let request = given!(request, from = self.days.from.clone(), until = self.days.until.clone());
        let answer = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.list(&DAY, items(&answer))?)
    }
}
