//! `users`: what the node holds of each user, in pages.

use vpnmanager_nats::{
    holdings::{HeldUser, USERS_PAGE, page_of},
    ids::UserKey,
    node_requests::NodeAnswer,
};

use crate::{journal::JournalError, shared::Shared};

/// Those after `after`, in the order of their keys.
pub(super) async fn answer(shared: &Shared, after: Option<UserKey>) -> Result<NodeAnswer, JournalError> {
    let read = shared.journal.read(move |records| {
        // One more than fits says whether there are more.
        let commands = records.commands_after(after, USERS_PAGE + 1)?;
        Ok((commands, records.snapshot()?.complete))
    });
    let (commands, complete) = read.await?;
    let (users, more) = page_of(commands.iter().map(HeldUser::from));
    Ok(NodeAnswer::Users { users, more, complete })
}
