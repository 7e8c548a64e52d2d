//! New credentials for all users of a node: its disk was lost, or somebody else has it.

mod profiles;
mod progress;
mod requests;

use vpnmanager_entities::node_reissue;
use vpnmanager_management::ops::{
    reissues::{
        go_on::{Left, reissue_some},
        read::read_reissue,
        start::{Lost, StartReissueError, start_reissue},
    },
    users::{read::UserView, reissue::OldProfiles},
};
use vpnmanager_testbed::wait;

use super::{actor, audited, create_on, enrol, fleet, issuers, node, valid_credentials, view};
use crate::stack::Stack;

/// So many users whose home is that node.
async fn create_many_on(stack: &Stack, id: &str, users: usize) -> Vec<UserView> {
    let names: Vec<String> = (0..users).map(|number| format!("user{number}")).collect();
    futures_util::future::join_all(names.iter().map(|name| create_on(stack, id, name))).await
}

async fn start(stack: &Stack, id: &str, old: OldProfiles) -> Result<node_reissue::Model, StartReissueError> {
    let lost = Lost { old, made_before: None };
    start_reissue(&stack.app, &actor(), &node(id), &lost).await
}

async fn progress(stack: &Stack, id: &str) -> node_reissue::Model {
    read_reissue(&stack.app.db, &node(id)).await.expect("there")
}

/// Waits for the background tasks.
async fn ended(stack: &Stack, id: &str) -> node_reissue::Model {
    let has_ended = async || {
        let job = progress(stack, id).await;
        job.ended_at.is_some().then_some(job)
    };
    wait::until_some(wait::SOON, "the end", has_ended)
        .await
        .expect("in time")
}

async fn go_on(stack: &Stack) -> Left {
    reissue_some(&stack.app).await.expect("done")
}

/// What the tasks would do.
async fn go_on_to_the_end(stack: &Stack) {
    let is_done = async || go_on(stack).await == Left::Nothing;
    wait::until(wait::SOON, "the end", is_done).await.expect("in time");
}

async fn now(stack: &Stack, user: &UserView) -> UserView {
    view(stack, user.user.username.as_str()).await.expect("there")
}
