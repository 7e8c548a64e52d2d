//! `old-certificates`.

use clap::{Args, Subcommand};

use super::users::named::Named;
use super::users::shape::USER;
use crate::arguments::{Wait, Watch};
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use crate::values::{Moment, moment, wait_text};

const OLD_CERTIFICATE: Shape = Shape {
    name: "/common_name",
    columns: &[
        column("NODE", "/server_id"),
        column("COMMON NAME", "/common_name"),
        column("SERIAL", "/serial"),
        column("VALID UNTIL", "/not_after").shown(Look::Time),
        column("ACCEPTED UNTIL", "/expires_at").shown(Look::Time),
        column("LAST ACCESS", "/last_access").shown(Look::Time),
    ],
};

/// What to do with certificates of old servers, which their nodes go on to accept.
#[derive(Debug, Subcommand)]
pub(crate) enum OldCertificates {
    /// List the old certificates of a user
    #[command(visible_alias = "ls")]
    List(List),
    /// Say until when an old certificate is accepted
    Update(Update),
    /// Revoke an old certificate for ever
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// One certificate.
#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    named: Named,
    /// The node that accepts it
    #[arg(value_name = "NODE")]
    node: String,
    /// Its common name
    #[arg(value_name = "COMMON_NAME")]
    common_name: String,
}

/// Whose certificates.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

/// Until when.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    one: One,
    /// Until when it is accepted: 30d, 2027-03-01, a time of RFC 3339; never for as long as it is valid
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Moment,
}

/// Which certificate.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    wait: Wait,
}

impl OldCertificates {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Update(update) => update.run(desk).await,
            Self::Delete(delete) => delete.run(desk).await,
        }
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let ask = async || {
            let request = desk.api.list_old_certificates().username(self.named.user.as_str());
            desk.api.answer(request.send()).await
        };
        desk.list_whole(&OLD_CERTIFICATE, &self.watch, ask).await
    }
}

impl Update {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let body = types::OldCertificateChanges::builder().expires_at(Some(self.expires.value()));
        let request = desk
            .api
            .change_old_certificate()
            .username(self.one.named.user.as_str())
            .node(self.one.node.as_str())
            .common_name(self.one.common_name.as_str())
            .body(body);
        let changed = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.brief(&OLD_CERTIFICATE, &changed)?)
    }
}

impl Delete {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let user = self.one.named.user.as_str();
        let (node, name) = (self.one.node.as_str(), self.one.common_name.as_str());
        let deed = async {
            Ok::<_, Failure>(format!(
                "revoke the old certificate {name} of {user} at {node} for ever"
            ))
        };
        if !self.sure.agrees(deed).await? {
            return Ok(());
        }
        let request = desk
            .api
            .delete_old_certificate()
            .username(user)
            .node(node)
            .common_name(name);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}
