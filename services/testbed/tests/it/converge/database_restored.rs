//! PostgreSQL restored from an older dump: what the dump says becomes true, by revisions that nobody has seen yet.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::json;
use vpnmanager_testbed::{
    binaries,
    stack::{Part, Stack},
    wait,
};

use super::records::{Held, NOTICED, Records, audited, journal};
use crate::main_job::site::Site;

/// A program of PostgreSQL's that lies beside the server.
fn run(program: &str, args: &[&str]) {
    let server = binaries::postgres().unwrap().postgres;
    let output = Command::new(server.with_file_name(program))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn dump(stack: &Stack) -> PathBuf {
    let file = stack.state().dir.join("older.sql");
    run(
        "pg_dump",
        &["--file", file.to_str().unwrap(), &stack.state().database_url()],
    );
    file
}

async fn restore(stack: &Stack, file: &Path) {
    stack.empty_database().await.unwrap();
    let url = stack.state().database_url();
    let args = ["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file"];
    run("psql", &[&args[..], &[file.to_str().unwrap(), &url]].concat());
}

fn journals(site: &Site) -> Vec<BTreeMap<String, Held>> {
    let numbers = site.stack.nodes().map(|node| node.number());
    numbers.map(|number| journal(site, number).unwrap()).collect()
}

#[tokio::test]
async fn an_older_dump_becomes_true_again_and_revisions_only_grow() {
    let Some(mut site) = Site::with_tunnels("database restored").await else {
        return;
    };
    let api = site.stack.api();
    let witness = site.witness().await;
    let (deleted, suspended, resumed) = (
        site.create("deleted").await,
        site.create("suspended").await,
        site.create("resumed").await,
    );
    let set = async |name: &str, active: bool| {
        let change = json!({ "active": active });
        let answer = api.change_user(name, &change, Some(wait::SOON)).await.unwrap();
        answer.success().unwrap();
    };
    set("resumed", false).await;
    let records = Records::open(&site).await;
    records.agree(&site).await;
    let issued = records.serials().await;
    let older = dump(&site.stack);
    set("suspended", false).await;
    set("resumed", true).await;
    site.delete("deleted").await;
    site.forgets("deleted").await;
    let created = site.create("created").await;
    let before = journals(&site);

    records.close().await;
    site.stack.stop_part(Part::Management).await.unwrap();
    restore(&site.stack, &older).await;
    let began = Instant::now();
    site.stack.start_part(Part::Management).await.unwrap();

    let records = Records::open(&site).await;
    // Before a node has told what it holds, PostgreSQL takes everything for applied.
    let noticed = async || !audited(&site, "user_revision_raised").await.is_empty();
    let noticed = wait::until(NOTICED, "the restored dump to be noticed", noticed);
    let took = noticed.await.unwrap();
    eprintln!("measured: the older dump was noticed after {} ms", took.as_millis());
    records.agree(&site).await;
    eprintln!(
        "measured: the fleet was right {} ms after management met the older dump",
        began.elapsed().as_millis()
    );
    for (before, after) in before.iter().zip(journals(&site)) {
        for (key, held) in before {
            let now = after.get(key).map_or(held.revision, |held| held.revision);
            assert!(now >= held.revision, "{key} ran back from {} to {now}", held.revision);
        }
    }
    assert!(!audited(&site, "node_resync_started").await.is_empty());
    assert_eq!(records.serials().await, issued, "something was issued again");
    assert_eq!(site.all_synced(wait::SOON).await, 4);
    site.lets_in(&deleted).await;
    // The node forgot the key when the user was deleted: who has the old profile may use it, and nobody gets another copy.
    let forgotten = api.get("/api/users/deleted/profile").await.unwrap();
    assert_eq!(forgotten.status, 409, "{}", forgotten.text);
    assert_eq!(api.profile("suspended").await.unwrap(), suspended);
    site.lets_in(&suspended).await;
    site.refuses(&resumed).await;
    site.refuses(&created).await;
    witness.lost_nothing().await;
    site.lets_in(&site.create("created").await).await;
}
