//! The machine of management is lost with database, keys and bus, and a backup of before is restored onto an empty one. Nodes come back by
//! themselves, profiles go on to work, and what ended since the backup stays ended.

use std::{fs, path::Path, process::Command, time::Instant};

use serde_json::json;
use vpnmanager_testbed::{
    binaries,
    stack::{Part, Stack},
    wait,
};

use super::records::{Records, audited};
use crate::main_job::site::Site;

const PASSPHRASE: &str = "a passphrase of some length";

/// Runs a command of management with the settings of the stack, and gives what it says.
fn management(stack: &Stack, args: &[&str]) -> String {
    let state = stack.state();
    let output = Command::new(binaries::management().unwrap())
        .args(args)
        .current_dir(&state.dir)
        .env("DATABASE_URL", state.database_url())
        .env("NATS_URL", format!("tls://127.0.0.1:{}", state.nats_port))
        .env("BUS_DIR", state.dir.join("bus"))
        .env("PKI_DIR", state.dir.join("pki"))
        .env("BACKUP_PASSPHRASE", PASSPHRASE)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}{errors}");
    said
}

/// Nothing of management is left on its machine but the program.
async fn wipe(stack: &Stack) {
    stack.empty_database().await.unwrap();
    let state = stack.state();
    for folder in [state.bus_dir(), state.bus_store(), state.dir.join("pki")] {
        fs::remove_dir_all(folder).unwrap();
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_fleet_comes_back_from_its_backup_without_what_ended_since() {
    let Some(mut site) = Site::with_tunnels("backup restored").await else {
        return;
    };
    let witness = site.witness().await;
    let (kept, deleted, suspended) = (
        site.create("kept").await,
        site.create("deleted").await,
        site.create("suspended").await,
    );
    let records = Records::open(&site).await;
    records.agree(&site).await;
    records.close().await;
    let file = site.stack.state().dir.join("backup.age");
    management(&site.stack, &["backup", "--out", shown(&file)]);

    site.delete("deleted").await;
    site.forgets("deleted").await;
    site.change("suspended", &json!({ "active": false })).await;
    let created = site.create("created").await;

    for part in [Part::Management, Part::Nats] {
        site.stack.kill_part(part).await.unwrap();
    }
    wipe(&site.stack).await;
    let began = Instant::now();
    management(&site.stack, &["restore", "--from", shown(&file)]);
    eprintln!("measured: the restore took {} ms", began.elapsed().as_millis());
    site.stack.start_part(Part::Nats).await.unwrap();

    // Nodes find the bus again within some seconds; until then they tell nothing.
    let all_tell = async || {
        let review = management(&site.stack, &["restore-review", "--json"]);
        let review: serde_json::Value = serde_json::from_str(&review).unwrap();
        (review["silent_servers"] == json!([])).then_some(review)
    };
    let review = wait::until_some(wait::SOON, "all nodes to tell", all_tell)
        .await
        .unwrap();
    assert_eq!(review["removed"], json!(["deleted"]), "{review}");
    assert_eq!(review["ended"][0]["username"], "suspended", "{review}");
    assert_eq!(review["unknown_users"][0]["username"], "created", "{review}");
    assert_eq!(review["bus_is_the_same"], false);
    let decided = management(&site.stack, &["restore-decide", "--keep", "fleet"]);
    assert!(decided.contains("removed: 1"), "{decided}");
    let began = Instant::now();
    site.stack.start_part(Part::Management).await.unwrap();

    let records = Records::open(&site).await;
    records.agree(&site).await;
    eprintln!(
        "measured: the fleet was right {} ms after the start",
        began.elapsed().as_millis()
    );
    assert_eq!(audited(&site, "database_restored").await.len(), 1);
    assert_eq!(
        audited(&site, "node_registered").await.len(),
        2,
        "a node enrolled again"
    );
    site.lets_in(&kept).await;
    site.refuses(&deleted).await;
    site.refuses(&suspended).await;
    site.refuses(&created).await;
    witness.lost_nothing().await;
    assert_eq!(site.stack.api().profile("kept").await.unwrap(), kept);
    site.lets_in(&site.create("created").await).await;
}
