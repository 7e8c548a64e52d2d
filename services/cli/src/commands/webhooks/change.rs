//! `webhooks create`, `webhooks update` and `webhooks rotate-secret`.

use clap::Args;
use serde_json::{Value, json};

use super::named::{Named, WEBHOOK};
use crate::client::types;
use crate::commands::secret::To;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Look, Shape, column};
use crate::question::Sure;

/// With the secret, which is its name here: `-o name` prints nothing else.
const MADE: Shape = Shape {
    name: "/secret",
    columns: &[
        column("ID", "/webhook/id"),
        column("URL", "/webhook/url"),
        column("SECRET", "/secret"),
    ],
};

const ROTATED: Shape = Shape {
    name: "/secret",
    columns: &[
        column("SECRET", "/secret"),
        column("FORMER UNTIL", "/former_secret_until").shown(Look::Time),
    ],
};

/// Which events are sent; an event must match both.
#[derive(Debug, Args)]
pub(crate) struct Fitting {
    /// Events of this type, such as user_created; repeat it for several, or write a comma list [default: all]
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Events about users, placements, nodes, pools, groups, sessions, keys, alarms or service; repeat it for several [default: all]
    #[arg(long = "subject", value_name = "SUBJECT", value_delimiter = ',')]
    subjects: Vec<String>,
}

/// What is sent, and where to.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Where messages are sent: https, and a public address, unless the configuration of management allows more
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    fitting: Fitting,
    /// What people should know of it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    to: To,
}

/// What to change; the rest stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,
    /// Where messages are sent
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    fitting: Fitting,
    /// Events of all types are sent
    #[arg(long, conflicts_with = "types")]
    all_types: bool,
    /// Events about anything are sent
    #[arg(long, conflicts_with = "subjects")]
    all_subjects: bool,
    /// What people should know of it; empty for nothing
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Send again what is recorded from now on, and what was waiting
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Send nothing
    #[arg(long)]
    disable: bool,
}

/// Which webhook gets another secret.
#[derive(Debug, Args)]
pub(crate) struct RotateSecret {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    sure: Sure,
}

impl Create {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        self.to.check()?;
        let body = types::NewWebhook::builder()
            .url(self.url.clone())
            .types(list(&self.fitting.types, false))
            .subjects(list(&self.fitting.subjects, false))
            .description(self.description.clone().map(Value::from));
        let made = desk.api.answer(desk.api.create_webhook().body(body).send()).await?;
        self.to.hand_over_of(desk, "the secret of the webhook", &MADE, &made)
    }
}

impl Update {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let url = self.url.clone().map(Value::from);
        let types = list(&self.fitting.types, self.all_types);
        let subjects = list(&self.fitting.subjects, self.all_subjects);
        let description = self.description.as_deref().map(text_or_nothing);
        let enabled = (self.enable || self.disable).then_some(Value::Bool(self.enable));
        let changes = [&url, &types, &subjects, &description, &enabled];
        if changes.iter().all(|change| change.is_none()) {
            return Err(Failure::usage("say what to change: --help lists what there is"));
        }
        let body = types::WebhookChanges::builder()
            .url(url)
            .types(types)
            .subjects(subjects)
            .description(description)
            .enabled(enabled);
        let request = desk.api.change_webhook().webhook(self.named.id).body(body);
        let changed = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&WEBHOOK, &changed)?)
    }
}

/// An empty list stands for all; `None` leaves it.
fn list(named: &[String], all: bool) -> Option<Value> {
    (all || !named.is_empty()).then(|| json!(named))
}

fn text_or_nothing(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => Value::from(text),
    }
}

impl RotateSecret {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let deed = self.named.deed(desk, "sign the messages of", ", with another secret");
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        self.to.check()?;
        let request = desk.api.rotate_webhook_secret().webhook(self.named.id);
        let rotated = desk.api.answer(request.send()).await?;
        self.to
            .hand_over_of(desk, "the secret of the webhook", &ROTATED, &rotated)
    }
}
