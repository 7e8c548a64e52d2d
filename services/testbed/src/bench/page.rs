//! The page of users that commands and requests ask for.

use vpnmanager_testbed::stack::Stack;

use super::{load::Creator, options::WAIT};

/// Users on the page.
pub(super) const USERS: usize = 50;

/// The path of the page.
pub(super) fn path() -> String {
    format!("/api/users?limit={USERS}")
}

/// Creates twice as many users as are on the page, so that there is another one.
pub(super) async fn fill(stack: &Stack) -> anyhow::Result<()> {
    let creator = Creator::new(stack);
    for _ in 0..2 * USERS {
        creator.create(Some(WAIT)).await;
    }
    creator.sound()
}
