//! `users list` and `users show`.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::named::Named;
use super::shape::USER;
use crate::arguments::{Listing, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;

/// Which users; a user must match all of it.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only users whose names begin so
    #[arg(value_name = "BEGINNING", add = ArgValueCompleter::new(names::users))]
    beginning: Option<String>,
    /// Only users in this group
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: Option<String>,
    /// Only users whom nodes know in this group, because of their own rules
    #[arg(long, value_name = "GROUP")]
    node_group: Option<String>,
    /// Only users whose home is this node
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    node: Option<String>,
    /// Only users who are not suspended, or with false only those who are
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
    /// Only users who are over their quota, or with false only the others
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    over_quota: Option<bool>,
    /// Only users whose nodes have all applied the newest state, or with false only the others
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    synced: Option<bool>,
    #[command(flatten)]
    listing: Listing,
}

/// Which user.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    watch: Watch,
}

impl List {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(
                desk.api.list_users().limit(size),
                cursor = cursor,
                username = self.beginning.clone(),
                group = self.group.clone(),
                node_group = self.node_group.clone(),
                server_id = self.node.clone(),
                active = self.active,
                over_quota = self.over_quota,
                synced = self.synced,
            );
            request.send()
        };
        desk.list(&USER, &self.listing, page).await
    }
}

impl Show {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let find = async || {
            let request = desk.api.get_user().username(self.named.user.as_str());
            desk.api.answer(request.send()).await
        };
        desk.show(&USER, &self.watch, find).await
    }
}
