//! Does the entries of a list: those about one username in their order, others at the same time, and not too many of them. A removal is the
//! only entry about its user.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::operation::{Outcome, UserOperation, carry_out};

/// Creates at the same time, of all lists of this process: as many as share a transaction. What others ask is done between them.
const CREATES_AT_ONCE: u32 = 64;
/// Changes, reissues and removals at the same time, if there are no creates. Each has a transaction, and so one of the few connections to the database.
const CHANGES_AT_ONCE: u32 = 4;
/// Why a removal is not done beside other entries about its user, and none after it.
const NOT_ALONE: &str = "the list has other entries for this user: send them in a list of their own";
/// After so many failures of the service, one after the other, the rest of a list is not tried.
const GIVEN_UP_AFTER: usize = 128;

/// What the lists of this process share.
pub(super) struct Turns(Semaphore);

/// An entry, or what is wrong with it, with the name that it is about.
pub(super) struct Listed {
    pub(super) username: String,
    pub(super) operation: Result<UserOperation, ApiError>,
}

/// What became of an entry.
pub(super) type ItemResult = Result<Outcome, ApiError>;

/// Entries about one name, with their places in the list.
type Group = Vec<(usize, Result<UserOperation, ApiError>)>;

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(CREATES_AT_ONCE as usize))
    }
}

/// Does all entries, and says for each what became of it, in their order.
pub(super) async fn run(app: &App, turns: &Turns, actor: &Actor, list: Vec<Listed>) -> Vec<ItemResult> {
    let work = Work {
        app,
        turns,
        actor,
        failures: AtomicUsize::new(0),
    };
    let groups = by_username(list).into_iter().map(|group| in_order(&work, group));
    let done: Vec<Vec<(usize, ItemResult)>> = stream::iter(groups)
        .buffer_unordered(CREATES_AT_ONCE as usize)
        .collect()
        .await;
    let mut results: Vec<(usize, ItemResult)> = done.into_iter().flatten().collect();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// In the order in which the names first occur.
fn by_username(list: Vec<Listed>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (place, Listed { username, operation }) in list.into_iter().enumerate() {
        let group = *known.entry(username).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push((place, operation)),
            None => groups.push(vec![(place, operation)]),
        }
    }
    for group in &mut groups {
        refuse_removal_beside_others(group);
    }
    groups
}

/// Such a list could not be sent again: a removal followed by a create would remove the user whom the first list created.
fn refuse_removal_beside_others(group: &mut [(usize, Result<UserOperation, ApiError>)]) {
    if group.len() < 2 {
        return;
    }
    let removal = group
        .iter()
        .position(|(_, operation)| matches!(operation, Ok(UserOperation::Remove { .. })));
    let Some(removal) = removal else { return };
    for (_, operation) in group.iter_mut().skip(removal) {
        if operation.is_ok() {
            *operation = Err(ApiError::conflict("username", NOT_ALONE));
        }
    }
}

/// A list that is being done.
struct Work<'w> {
    app: &'w App,
    turns: &'w Turns,
    actor: &'w Actor,
    /// Failures of the service without anything else between them.
    failures: AtomicUsize,
}

async fn in_order(work: &Work<'_>, group: Group) -> Vec<(usize, ItemResult)> {
    let mut results = Vec::with_capacity(group.len());
    for (place, operation) in group {
        let result = match operation {
            Ok(operation) => work.carry_out(operation).await,
            Err(error) => Err(error),
        };
        results.push((place, result));
    }
    results
}

impl Work<'_> {
    async fn carry_out(&self, operation: UserOperation) -> ItemResult {
        let share = match &operation {
            UserOperation::Create(_) => 1,
            UserOperation::Change { .. } | UserOperation::Reissue { .. } | UserOperation::Remove { .. } => {
                CREATES_AT_ONCE / CHANGES_AT_ONCE
            }
        };
        // It is never closed.
        let _turn = self.turns.0.acquire_many(share).await.ok();
        if self.failures.load(Ordering::Relaxed) >= GIVEN_UP_AFTER {
            return Err(not_tried());
        }
        let result = carry_out(self.app, self.actor, operation).await;
        let result = result.map_err(|error| failure::users::of_user_operation(self.app, error));
        match &result {
            Err(error) if error.problem().status >= 500 => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => self.failures.store(0, Ordering::Relaxed),
        }
        result
    }
}

fn not_tried() -> ApiError {
    ApiError::unavailable(
        "was not tried, because many entries before it met a failure of the service: send the list again later, what is done is not done twice",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::users::change::UserChange;

    #[test]
    fn entries_about_one_name_are_a_group_in_their_order() {
        let listed = |username: &str| Listed {
            username: username.to_owned(),
            operation: Err(not_tried()),
        };
        let list = ["a", "b", "a", "c", "b", "a"].map(listed).into_iter().collect();
        let places: Vec<Vec<usize>> = by_username(list)
            .into_iter()
            .map(|group| group.into_iter().map(|(place, _)| place).collect())
            .collect();
        assert_eq!(places, [vec![0, 2, 5], vec![1, 4], vec![3]]);
    }

    #[test]
    fn a_removal_is_the_only_entry_about_its_user() {
        let operation = |username: &str, removes: bool| {
            let named = username.parse().expect("a valid username");
            Listed {
                username: username.to_owned(),
                operation: Ok(if removes {
                    UserOperation::Remove { username: named }
                } else {
                    UserOperation::Change {
                        username: named,
                        change: UserChange::default(),
                    }
                }),
            }
        };
        let list = vec![
            operation("a", false),
            operation("b", true),
            operation("a", true),
            operation("c", true),
            operation("a", false),
            operation("c", true),
        ];
        let mut done: Vec<usize> = by_username(list)
            .into_iter()
            .flatten()
            .filter_map(|(place, operation)| operation.is_ok().then_some(place))
            .collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1]);
    }
}
