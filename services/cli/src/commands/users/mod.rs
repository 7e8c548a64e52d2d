//! `users`.

mod create;
mod delete;
mod list;
pub(super) mod named;
mod profile;
mod reissue;
pub(super) mod shape;
mod traffic;
mod update;

use clap::Subcommand;

use crate::desk::Desk;
use crate::failure::Failure;

pub(crate) use profile::Export;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// List users
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show all that is known of a user
    Show(list::Show),
    /// Create users
    Create(create::Create),
    /// Change a user: group, end of access, own limits
    Update(update::Update),
    /// Suspend users: nothing is lost, and they have no access until they are resumed
    Suspend(update::Suspend),
    /// End the suspension of users
    Resume(update::Suspend),
    /// Remove users, and revoke their profiles for ever
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    /// Give a user new profiles, for all devices
    Reissue(reissue::Reissue),
    /// Fetch the profile of a user's device, a secret
    Profile(profile::Profile),
    /// Make a link with which a user fetches her profile, a secret
    Link(profile::Link),
    /// Create, change and remove users by a CSV file
    Import(profile::Import),
    /// Write users as CSV
    Export(Export),
    /// Show the traffic of a user, day by day
    Traffic(traffic::Traffic),
    /// Let a user who is over her quota in again until the period ends
    Forgive(traffic::Forgive),
}

impl Users {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Show(show) => show.run(desk).await,
            Self::Create(create) => create.run(desk).await,
            Self::Update(update) => update.run(desk).await,
            Self::Suspend(suspend) => suspend.run(desk, false).await,
            Self::Resume(resume) => resume.run(desk, true).await,
            Self::Delete(delete) => delete.run(desk).await,
            Self::Reissue(reissue) => reissue.run(desk).await,
            Self::Profile(profile) => profile.run(desk).await,
            Self::Link(link) => link.run(desk).await,
            Self::Import(import) => import.run(desk).await,
            Self::Export(export) => export.run(desk).await,
            Self::Traffic(traffic) => traffic.run(desk).await,
            Self::Forgive(forgive) => forgive.run(desk).await,
        }
    }
}
