//! `devices`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::link::{LinkArgs, make};
use super::old_profiles::OldProfiles;
use super::users::named::Named;
use super::users::shape::USER;
use crate::arguments::{Wait, Watch};
use crate::client::types;
use crate::desk::{Desk, is_synced};
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use crate::values::wait_text;

const DEVICE: Shape = Shape {
    name: "/name",
    columns: &[
        column("DEVICE", "/name"),
        column("ISSUED", "/issued"),
        column("CREDENTIALS", "/credentials"),
        column("CREATED", "/created_at").shown(Look::Time),
        column("CERTIFICATE ENDS", "/certificate_expires_at").shown(Look::Time),
        column("LAST ACCESS", "/last_access").shown(Look::Time),
    ],
};

/// What to do with the devices of a user.
#[derive(Debug, Subcommand)]
pub(crate) enum Devices {
    /// List the devices of a user
    #[command(visible_alias = "ls")]
    List(List),
    /// Show all that is known of a device
    Show(Show),
    /// Add a device to a user
    Create(Create),
    /// Remove a device, and revoke its profiles for ever
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Give a device a new profile
    Reissue(Reissue),
    /// Make a link with which a user fetches the profile of a device, a secret
    Link(Link),
}

/// One device.
#[derive(Debug, Args)]
pub(crate) struct OneDevice {
    #[command(flatten)]
    named: Named,
    /// The device
    #[arg(value_name = "DEVICE")]
    device: String,
}

/// Whose devices.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// Which device.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    one: OneDevice,
    #[command(flatten)]
    watch: Watch,
}

/// Which device to add.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    one: OneDevice,
    #[command(flatten)]
    wait: Wait,
}

/// Which device to remove.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    one: OneDevice,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    wait: Wait,
}

/// Which device gets a new profile.
#[derive(Debug, Args)]
pub(crate) struct Reissue {
    #[command(flatten)]
    one: OneDevice,
    #[command(flatten)]
    old: OldProfiles,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    wait: Wait,
}

/// For which device.
#[derive(Debug, Args)]
pub(crate) struct Link {
    #[command(flatten)]
    one: OneDevice,
    #[command(flatten)]
    link: LinkArgs,
}

impl Devices {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Show(show) => {
                desk.show(&DEVICE, &show.watch, async || show.one.find(desk).await)
                    .await
            }
            Self::Create(create) => create.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
            Self::Reissue(reissue) => reissue.run(desk).await,
            Self::Link(link) => make(desk, &link.one.named.user, &link.one.device, &link.link).await,
        }
    }
}

impl OneDevice {
    fn names(&self) -> (&str, &str) {
        (&self.named.user, &self.device)
    }

    async fn find(&self, desk: &Desk) -> Result<Value, Failure> {
        let (user, device) = self.names();
        desk.api
            .answer(desk.api.get_device().username(user).device(device).send())
            .await
    }

    /// What is done, in words, where the device is there.
    async fn deed(&self, desk: &Desk, before: &str, after: &str) -> Result<String, Failure> {
        let (user, device) = self.names();
        self.find(desk).await?;
        Ok(format!("{before} the device {device} of {user} {after}"))
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let ask = async || {
            let user = self.named.user.as_str();
            desk.api.answer(desk.api.list_devices().username(user).send()).await
        };
        desk.list_whole(&DEVICE, &self.watch, ask).await
    }
}

impl Create {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let (user, device) = self.one.names();
        let body = types::NewDevice::builder().name(device.to_owned());
        let request = desk.api.create_device().username(user).body(body);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let made = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&DEVICE, &made)?)?;
        if self.wait.wait.is_some() && !is_synced(&made) {
            return Err(Failure::failed(format!(
                "{device} is recorded, and its profile is not made yet"
            )));
        }
        Ok(())
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let (user, device) = self.one.names();
        if !self
            .sure
            .agrees(self.one.deed(desk, "remove", "and revoke its profiles for ever"))
            .await?
        {
            return Ok(());
        }
        let request = desk.api.delete_device().username(user).device(device);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}

impl Reissue {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let (user, device) = self.one.names();
        let asks = self.old.are_revoked() || self.sure.is_trial();
        if asks
            && !self
                .sure
                .agrees(self.one.deed(desk, "make a new profile for", self.old.words()))
                .await?
        {
            return Ok(());
        }
        let body = types::Reissue::builder().old_profiles(self.old.value());
        let request = desk
            .api
            .reissue_device_profile()
            .username(user)
            .device(device)
            .body(body);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}
