//! Everything is upgraded, one part after the other, while users are created, changed and deleted.

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    api::Api,
    binaries::require_last_release,
    stack::{Part, StackOptions},
    wait,
};

use super::{THIS_RELEASE, agents_are, management_is, upgrade};
use crate::{
    converge::{records::Records, watch::Watch},
    main_job::site::Site,
};

const WRITERS: usize = 4;
/// So many commands between two restarts show that the writing is under way.
const UNDER_WAY: usize = 40;

/// What was answered.
#[derive(Default)]
struct Answered {
    kept: Vec<String>,
    removed: Vec<String>,
}

/// Creates users one after the other, suspends and resumes each through both managements at once, and deletes every third.
async fn write(mine: Api, other: Api, writer: usize, stop: CancellationToken) -> Answered {
    let mut answered = Answered::default();
    for number in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("user-{writer}-{number}");
        let created = mine.create_user(&name, Some(wait::PROMISED_SECOND)).await;
        // A management that ends or starts answers nothing, and nothing was promised.
        if !created.is_ok_and(|answer| answer.status == 201) {
            continue;
        }
        let (suspend, resume) = (json!({ "active": false }), json!({ "active": true }));
        drop(tokio::join!(
            mine.change_user(&name, &suspend, None),
            other.change_user(&name, &resume, None)
        ));
        if number % 3 > 0 {
            answered.kept.push(name);
            continue;
        }
        let deleted = other.delete_user(&name, None).await;
        if deleted.is_ok_and(|answer| (200..300).contains(&answer.status)) {
            answered.removed.push(name);
        }
    }
    answered
}

#[tokio::test]
#[ignore = "`make test-upgrade` builds the last release, which it needs"]
async fn a_rolling_upgrade_under_load_loses_nothing_that_was_answered() {
    let Some(last) = require_last_release("a rolling upgrade") else {
        return;
    };
    let managements = [Part::Replica(2), Part::Management];
    let nodes = [1, 2].map(Part::Node);
    let of_managements = managements.map(|part| (part, last.management.clone()));
    let of_nodes = nodes.map(|part| (part, last.endnode.clone()));
    let mut site = Site::start(StackOptions {
        managements: 2,
        tunnels: Some(false),
        programs: of_managements.into_iter().chain(of_nodes).collect(),
        ..StackOptions::default()
    })
    .await;
    let apis = [site.stack.api(), site.stack.replica_api(2).unwrap()];
    for api in &apis {
        management_is(api, &last.version).await;
    }
    agents_are(&site, &last.version).await;
    let records = Records::open(&site).await;
    let watch = Watch::start(&site).await;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (mine, other) = (&apis[writer % 2], &apis[(writer + 1) % 2]);
        writers.spawn(write(mine.clone(), other.clone(), writer, stop.clone()));
    }

    // The other management, of the last release, goes on above the schema of this one until its turn comes.
    for part in managements.into_iter().chain(nodes) {
        more_commands(&watch).await;
        upgrade(&mut site, part).await;
    }
    more_commands(&watch).await;
    stop.cancel();
    let answered = writers.join_all().await;

    let took = records.agree(&site).await;
    let kept: Vec<&String> = answered.iter().flat_map(|one| &one.kept).collect();
    let removed: Vec<&String> = answered.iter().flat_map(|one| &one.removed).collect();
    eprintln!(
        "measured: {} creates and {} removals were promised over the upgrade; all was applied {} ms after the last, {} commands seen",
        kept.len() + removed.len(),
        removed.len(),
        took.as_millis(),
        watch.commands().await
    );
    for api in &apis {
        management_is(api, THIS_RELEASE).await;
    }
    agents_are(&site, THIS_RELEASE).await;
    assert!(!kept.is_empty() && !removed.is_empty());
    for name in kept {
        let known = apis[0].user(name).await.unwrap().expect(200).unwrap();
        assert_eq!(known.body["synced"], true, "{}", known.text);
    }
    for name in removed {
        site.forgets(name).await;
    }
    assert_eq!(
        records
            .count(
                "(SELECT username FROM audit_log WHERE action = 'user_created' GROUP BY username HAVING count(*) > 1) AS twice"
            )
            .await,
        0
    );
    watch.nothing_ran_backwards().await;
}

/// Waits until the stream has taken some more.
async fn more_commands(watch: &Watch) {
    let enough = watch.commands().await + UNDER_WAY;
    let under_way = async || watch.commands().await >= enough;
    wait::until(wait::SOON, "commands to be under way", under_way)
        .await
        .unwrap();
}
