//! `api-keys`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::{Value, json};

use super::secret::To;
use crate::arguments::{Listing, Watch};
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column, tidy};
use crate::question::Sure;
use crate::values::{Moment, in_one_unit, moment};

const KEY: Shape = Shape {
    name: "/name",
    columns: &[
        column("ID", "/id"),
        column("NAME", "/name"),
        column("ROLE", "/role"),
        column("STATE", "/state"),
        column("OWNER", "/owner"),
        column("POOLS", "/pools"),
        column("GROUPS", "/groups"),
        column("BEGINS WITH", "/prefix"),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("LAST USED", "/last_used_at").shown(Look::Time),
        column("FROM", "/last_used_address"),
    ],
};

/// With the key itself, which is its name here: `-o name` prints nothing else.
const SHOWN: Shape = Shape {
    name: "/key",
    columns: &[
        column("ID", "/about/id"),
        column("NAME", "/about/name"),
        column("ROLE", "/about/role"),
        column("EXPIRES", "/about/expires_at").shown(Look::Time),
        column("KEY", "/key"),
    ],
};

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeys {
    /// List API keys, also those that are not valid any more
    #[command(visible_alias = "ls")]
    List(List),
    /// Show all that is known of an API key; the key itself is stored nowhere
    Show(Show),
    /// Make an API key, a secret; it is shown only now
    Create(Create),
    /// Give an API key another secret; the one of before is accepted a while longer
    Rotate(Rotate),
    /// Revoke an API key for ever
    #[command(visible_aliases = ["delete", "rm"])]
    Revoke(Revoke),
}

/// One API key.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, as the list has it
    #[arg(value_name = "ID")]
    id: i64,
}

/// Which keys; a key must match all of it.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only keys of this role
    #[arg(long, value_parser = ["viewer", "operator", "admin", "node"])]
    role: Option<String>,
    /// Only keys of exactly this owner
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Only keys in this state
    #[arg(long, value_parser = ["active", "expired", "revoked"])]
    state: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

/// Which key.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// What the key is for.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name, by which the audit trail says who did what; no key may have had it
    #[arg(value_name = "NAME")]
    name: String,
    /// What it allows: to read, to change users too, everything, or to register nodes and nothing else
    #[arg(long, value_parser = ["viewer", "operator", "admin", "node"])]
    role: String,
    /// Whose it is, for people
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// When it ends: 30d, 2027-03-01, a time of RFC 3339, or never [default: never]
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Option<Moment>,
    /// The only pool that it is for; repeat it for several [default: all]
    #[arg(long = "pool", value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
    pools: Vec<String>,
    /// The only group that it is for; repeat it for several [default: all]
    #[arg(long = "group", value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    groups: Vec<String>,
    #[command(flatten)]
    to: To,
}

/// Which key, and how long the one of before is good.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    named: Named,
    /// How long the key of before is still accepted, up to 30 days; 0s for not at all
    #[arg(long, value_name = "DURATION", value_parser = grace, default_value = "24h")]
    grace: String,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    sure: Sure,
}

/// Which key to revoke.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    sure: Sure,
}

impl ApiKeys {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Show(show) => desk.show(&KEY, &show.watch, async || show.named.find(desk).await).await,
            Self::Create(create) => create.run(desk).await,
            Self::Rotate(rotate) => rotate.run(desk).await,
            Self::Revoke(revoke) => revoke.run(desk).await,
        }
    }
}

impl Named {
    async fn find(&self, desk: &Desk) -> Result<Value, Failure> {
        desk.api.answer(desk.api.get_api_key().key_id(self.id).send()).await
    }

    /// What it is called, for questions.
    async fn name(&self, desk: &Desk) -> Result<String, Failure> {
        let key = self.find(desk).await?;
        let word = |member| key.get(member).and_then(Value::as_str).map(tidy).unwrap_or_default();
        Ok(format!("{}, a key of the role {}", word("name"), word("role")))
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(
                desk.api.list_api_keys().limit(size),
                cursor = cursor,
                role = self.role.clone(),
                owner = self.owner.clone(),
                state = self.state.clone(),
            );
            request.send()
        };
        desk.list(&KEY, &self.listing, page).await
    }
}

impl Create {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        self.to.check()?;
        let expires = self.expires.as_ref().map(Moment::value);
        let body = types::NewApiKey::builder()
            .name(self.name.clone())
            .role(self.role.clone())
            .owner(self.owner.clone().map(Value::from))
            // What does not end has no end in the body.
            .expires_at(expires.filter(|end| !end.is_null()))
            .pools(scope(&self.pools))
            .groups(scope(&self.groups));
        let made = desk.api.answer(desk.api.create_api_key().body(body).send()).await?;
        self.to.hand_over_of(desk, "the API key, a secret,", &SHOWN, &made)
    }
}

/// Nothing is named: it is for all.
fn scope(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| json!(names))
}

impl Rotate {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let deed = async {
            let name = self.named.name(desk).await?;
            let grace = humantime::format_duration(humantime::parse_duration(&self.grace).unwrap_or_default());
            Ok::<_, Failure>(format!(
                "give {name} another secret, and accept the one of before for {grace}"
            ))
        };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        self.to.check()?;
        let body = types::ApiKeyRotation::builder().grace(Some(Value::from(self.grace.clone())));
        let request = desk.api.rotate_api_key().key_id(self.named.id).body(body);
        let made = desk.api.answer(request.send()).await?;
        self.to.hand_over_of(desk, "the API key, a secret,", &SHOWN, &made)
    }
}

impl Revoke {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let deed = async {
            let name = self.named.name(desk).await?;
            Ok::<_, Failure>(format!("revoke {name} for ever"))
        };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        let id = self.named.id;
        desk.api.answer(desk.api.revoke_api_key().key_id(id).send()).await?;
        desk.note(&format!("Revoked {id}"));
        Ok(())
    }
}

/// A duration, which may be none.
fn grace(text: &str) -> Result<String, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Ok("0s".to_owned()),
        Ok(_) | Err(_) => in_one_unit(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_before_may_end_at_once() {
        for (text, expected) in [
            ("0s", Some("0s")),
            ("0h", Some("0s")),
            ("24h", Some("1days")),
            ("90m", Some("90m")),
            ("soon", None),
        ] {
            assert_eq!(grace(text).ok().as_deref(), expected, "{text}");
        }
    }
}
