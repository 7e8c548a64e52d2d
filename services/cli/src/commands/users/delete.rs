//! `users delete`.

use clap::Args;
use serde_json::Value;

use super::named::SeveralNamed;
use super::shape::USER;
use crate::arguments::Wait;
use crate::desk::{Desk, is_synced};
use crate::failure::Failure;
use crate::given::given;
use crate::output::tidy;
use crate::question::Sure;
use crate::values::wait_text;

/// Whom to remove.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    named: SeveralNamed,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    wait: Wait,
}

impl Delete {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let mut removed = Vec::new();
        let outcome = self.remove(desk, &mut removed).await;
        desk.print_together(&USER, self.named.users.len(), &removed)?;
        outcome
    }

    /// One after the other, until the first that fails. People are told of each at once.
    async fn remove(&self, desk: &Desk, removed: &mut Vec<Value>) -> Result<(), Failure> {
        for user in &self.named.users {
            if self.sure.agrees(deed(desk, user)).await? {
                self.remove_one(desk, user, removed).await?;
            }
        }
        Ok(())
    }

    async fn remove_one(&self, desk: &Desk, user: &str, removed: &mut Vec<Value>) -> Result<(), Failure> {
        let request = given!(
            desk.api.delete_user().username(user),
            wait = self.wait.wait.map(wait_text)
        );
        let working = self.wait.wait.map(|_| desk.working("Waiting for the nodes"));
        let answer = desk.api.answer(request.send()).await;
        drop(working);
        let answer = answer.map_err(|failure| failure.of(user))?;
        let is_late = self.wait.wait.is_some() && !is_synced(&answer);
        match desk.output.is_for_people() {
            true => desk.note(&format!("Removed {user}")),
            false => removed.push(answer),
        }
        if is_late {
            return Err(Failure::failed(format!("{user} is removed, and not on all nodes yet")));
        }
        Ok(())
    }
}

/// `remove alice and revoke her profiles for ever`, with where she is.
async fn deed(desk: &Desk, user: &str) -> Result<String, Failure> {
    let found = desk.api.answer(desk.api.get_user().username(user).send()).await;
    let found = found.map_err(|failure| failure.of(user))?;
    let nodes = found.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let nodes: Vec<String> = nodes
        .filter_map(|node| Some(tidy(node.get("server_id")?.as_str()?)))
        .collect();
    Ok(format!(
        "remove {user}, who is on {}, and revoke the profiles of all devices for ever",
        nodes.join(", ")
    ))
}
