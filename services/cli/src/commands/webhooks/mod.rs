//! `webhooks`.

mod change;
mod deliveries;
mod named;

use clap::{Args, Subcommand};

use crate::arguments::{Listing, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::question::Sure;
use named::{Named, WEBHOOK};

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// List webhooks
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Show all that is known of a webhook
    Show(Show),
    /// Have events sent to a URL; the secret that they are signed with is shown only now
    Create(change::Create),
    /// Change a webhook, disable it or enable it
    Update(change::Update),
    /// Delete a webhook: nothing is sent any more
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Send a message, once, to try a webhook
    Test(deliveries::Test),
    /// List the messages of a webhook, the newest first, and what became of them
    Deliveries(deliveries::Deliveries),
    /// Sign with another secret; for 24 hours with the former one, too
    RotateSecret(change::RotateSecret),
}

/// Which webhook.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// Which webhook to delete.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    sure: Sure,
}

impl Webhooks {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let page = |size: i64, cursor: Option<String>| {
                    given!(desk.api.list_webhooks().limit(size), cursor = cursor).send()
                };
                desk.list(&WEBHOOK, listing, page).await
            }
            Self::Show(show) => {
                desk.show(&WEBHOOK, &show.watch, async || show.named.find(desk).await)
                    .await
            }
            Self::Create(create) => create.run(desk).await,
            Self::Update(update) => update.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
            Self::Test(test) => test.run(desk).await,
            Self::Deliveries(deliveries) => deliveries.run(desk).await,
            Self::RotateSecret(rotate) => rotate.run(desk).await,
        }
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        if !self.sure.agrees(self.named.deed(desk, "delete", "")).await? {
            return Ok(());
        }
        let id = self.named.id;
        desk.api.answer(desk.api.delete_webhook().webhook(id).send()).await?;
        desk.note(&format!("Deleted {id}"));
        Ok(())
    }
}
