//! New credentials for all users of a node: its disk was lost, or somebody else has it.

mod profiles;
mod progress;
mod requests;

use vpnmanager_entities::{credential, node_reissue};
use vpnmanager_management::{
    domain::placement::Home,
    ops::{
        reissues::{
            go_on::{Left, reissue_some},
            read::read_reissue,
            start::{Lost, StartReissueError, start_reissue},
        },
        users::{create::NewUser, read::UserView, reissue::OldProfiles},
    },
};
use vpnmanager_testbed::wait;

use super::{actor, audited, enrol, fleet, node, view};
use crate::stack::Stack;

async fn create_on(stack: &Stack, id: &str, username: &str) -> UserView {
    let new = NewUser {
        home: Home::Named(node(id)),
        ..NewUser::named(username.parse().expect("a valid username"), actor())
    };
    stack.app.creates.submit(new).await.expect("created")
}

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

async fn end_tasks(stack: &Stack) {
    stack.tasks.stop();
    stack.tasks.wait(wait::SOON).await.expect("stopped");
}

async fn go_on(stack: &Stack) -> Left {
    reissue_some(&stack.app).await.expect("done")
}

/// What the tasks would do.
async fn go_on_to_the_end(stack: &Stack) {
    let is_done = async || go_on(stack).await == Left::Nothing;
    wait::until(wait::SOON, "the end", is_done).await.expect("in time");
}

/// The valid credentials of a user, oldest first.
async fn credentials(stack: &Stack, user: &UserView) -> Vec<credential::Model> {
    credential::Entity::find_valid_of([user.user.id])
        .all(&stack.app.db)
        .await
        .expect("read")
}

/// The nodes that made the valid credentials of a user, oldest first.
async fn valid(stack: &Stack, user: &UserView) -> Vec<String> {
    let rows = credentials(stack, user).await.into_iter();
    rows.map(|row| row.server_id.to_string()).collect()
}

async fn now(stack: &Stack, user: &UserView) -> UserView {
    view(stack, user.user.username.as_str()).await.expect("there")
}
