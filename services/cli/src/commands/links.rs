//! `links`.

use clap::{Args, Subcommand};

use super::users::named::Named;
use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};
use crate::question::Sure;

const LINK: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("DEVICE", "/device"),
        column("CREATED BY", "/created_by"),
        column("CREATED", "/created_at").shown(Look::Time),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("USES LEFT", "/uses_left"),
        column("LAST USED", "/last_used_at").shown(Look::Time),
    ],
};

/// What to do with links to profiles. `users link` and `devices link` make them.
#[derive(Debug, Subcommand)]
pub(crate) enum Links {
    /// List the links of a user
    #[command(visible_alias = "ls")]
    List(List),
    /// Revoke a link
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Whose links.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    listing: Listing,
}

/// Which link.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    named: Named,
    /// The number of the link
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    sure: Sure,
}

impl Links {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
        }
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = desk
                .api
                .list_profile_links()
                .username(self.named.user.as_str())
                .limit(size);
            given!(request, cursor = cursor).send()
        };
        desk.list(&LINK, &self.listing, page).await
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let user = self.named.user.as_str();
        let deed = async { Ok::<_, Failure>(format!("revoke the link {} of {user}", self.id)) };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        desk.api
            .answer(desk.api.revoke_profile_link().username(user).id(self.id).send())
            .await?;
        desk.note(&format!("Revoked {}", self.id));
        Ok(())
    }
}
