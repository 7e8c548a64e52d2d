//! Which entries.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::pages::Listed;

/// Which entries; an entry must match all of it.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only entries about this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(names::users))]
    pub(super) user: Option<String>,
    /// Only entries about this node, or recorded by this replica of management
    #[arg(long, value_name = "SERVER", add = ArgValueCompleter::new(names::nodes))]
    pub(super) server: Option<String>,
    /// Only entries with this action, such as user_created
    #[arg(long, value_name = "ACTION")]
    pub(super) action: Option<String>,
}

/// A request for these entries of this time: lists and exports take the same parameters.
macro_rules! narrowed {
    ($request:expr, $filter:expr, $since:expr, $until:expr) => {
        $crate::given::given!(
            $request,
            username = $filter.user.clone(),
            server_id = $filter.server.clone(),
            action = $filter.action.clone(),
            since = $since,
            until = $until,
        )
    };
}

pub(super) use narrowed;

impl Filter {
    pub(super) async fn entries(
        &self,
        desk: &Desk,
        limit: Option<u64>,
        since: Option<String>,
        until: Option<String>,
    ) -> Result<Listed, Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(desk.api.list_audit().limit(size), cursor = cursor);
            narrowed!(request, self, since.clone(), until.clone()).send()
        };
        desk.api.pages(limit, &page).await
    }
}
