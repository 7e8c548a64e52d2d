//! What can be wrong with the bus.

use std::{fs, path::PathBuf, time::Duration};

use async_nats::{Client, ConnectOptions};
use vpnmanager_nats::{
    security::bus_files::{init::BusInit, open::BusFiles},
    storage,
    topology::{COMMANDS, Topology, TopologyOptions},
};
use vpnmanager_testbed::{nats::Nats, ports};

use super::{
    fake_nats::old_server,
    site::{Site, copy_of, path},
};
use crate::{database::fresh_database, stack::start_nats};

#[tokio::test]
async fn a_bus_that_is_not_there_is_told() {
    let site = Site::start().await;
    let port = ports::free().expect("a port");
    let examined = site.examine(&[("NATS_URL", &format!("tls://127.0.0.1:{port}"))]).await;
    let failed = examined.fail_alone(&["bus-certificate", "bus"]);
    assert!(
        failed["why"].as_str().expect("text").contains("Connection refused"),
        "{failed:#}"
    );
    assert_eq!(failed["mend"], "systemctl restart vpnmanager-nats");
    examined.skips(&["bus-version", "bus-streams", "bus-storage"], "the check bus");
}

#[tokio::test]
async fn a_bus_of_another_authority_is_told() {
    let site = Site::start().await;
    let (_other, other_dir) = start_nats().await;
    let copy = copy_of(&site.stack.config.bus.dir);
    fs::copy(other_dir.join("ca.pem"), copy.path().join("ca.pem")).expect("copied");
    let examined = site.examine(&[("BUS_DIR", path(copy.path()))]).await;
    let failed = examined.fail_alone(&["bus-certificate", "bus"]);
    let mend = format!(
        "runuser -u vpnmanager -- vpnmanager-management bus-init --dir {} && systemctl restart vpnmanager-nats",
        path(copy.path())
    );
    assert!(failed["mend"].as_str().expect("text").starts_with(&mend), "{failed:#}");
}

#[tokio::test]
async fn keys_of_the_bus_that_are_missing_are_told() {
    let site = Site::start().await;
    let copy = copy_of(&site.stack.config.bus.dir);
    fs::remove_file(copy.path().join("NODES.jwt")).expect("removed");
    let examined = site.examine(&[("BUS_DIR", path(copy.path()))]).await;
    let failed = examined.fails_alone("bus-files");
    assert!(
        failed["why"].as_str().expect("text").contains("NODES.jwt"),
        "{failed:#}"
    );
    // New ones would cut off every node.
    let mend = failed["mend"].as_str().expect("a command");
    assert!(mend.contains("restore") && !mend.contains("bus-init"), "{mend}");
    examined.skips(&["bus-certificate", "bus-accounts"], "the check bus-files failed");
}

#[tokio::test]
async fn a_system_user_of_another_bus_is_told() {
    let site = Site::start().await;
    let (_other, other_dir) = start_nats().await;
    let copy = copy_of(&site.stack.config.bus.dir);
    fs::copy(other_dir.join("sys.creds"), copy.path().join("sys.creds")).expect("copied");
    let examined = site.examine(&[("BUS_DIR", path(copy.path()))]).await;
    examined.fails_alone("bus-accounts");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_told() {
    let site = Site::start().await;
    let examined = site.examine(&[("NATS_URL", &old_server())]).await;
    let failed = examined.fails_alone("bus-version");
    assert_eq!(failed["found"], "nats-server 2.9.10 is too old");
    examined.skips(&["bus-accounts", "bus-streams"], "the check bus-version failed");
}

#[tokio::test]
async fn a_stream_that_somebody_changed_is_told_and_left_as_it_is() {
    let site = Site::start().await;
    let context = site.stack.app.topology.context();
    let mut changed = context
        .get_stream(COMMANDS)
        .await
        .expect("a stream")
        .cached_info()
        .config
        .clone();
    changed.max_age = Duration::from_secs(60 * 60);
    context.update_stream(&changed).await.expect("changed");
    let examined = site.examine(&[]).await;
    let failed = examined.fails_alone("bus-streams");
    assert!(
        failed["why"]
            .as_str()
            .expect("text")
            .contains("max_age is 3600s, not 0ns"),
        "{failed:#}"
    );
    let after = context.get_stream(COMMANDS).await.expect("a stream");
    assert_eq!(after.cached_info().config.max_age, changed.max_age);
}

#[tokio::test]
async fn a_node_without_its_consumer_is_told() {
    let site = Site::start().await;
    site.stack.enrol("n1").await;
    let node = "n1".parse().expect("a node");
    site.stack.app.topology.forget_consumer(&node).await.expect("deleted");
    let failed = site.examine(&[]).await;
    let failed = failed.fails_alone("bus-nodes");
    assert!(
        failed["why"].as_str().expect("text").contains("n1 is not there"),
        "{failed:#}"
    );
}

#[tokio::test]
async fn a_bus_that_has_no_room_left_is_told() {
    let site = Site::start().await;
    let (nats, dir) = small_bus().await;
    let client = management_of(&nats, &dir).await;
    let topology = Topology::ensure(&client, TopologyOptions::default())
        .await
        .expect("streams");
    for number in 0..40 {
        let subject = format!("vpn.cmd.n1.filler{number}");
        client
            .publish(subject, vec![b'x'; 900 << 10].into())
            .await
            .expect("sent");
        client.flush().await.expect("flushed");
        if storage::prove(&topology, "m1").await.is_err() {
            break;
        }
    }
    let (url, database) = (nats.tls_url(), fresh_database().await);
    let changed = [
        ("NATS_URL", url.as_str()),
        ("BUS_DIR", path(&dir)),
        ("DATABASE_URL", database.as_str()),
    ];
    let examined = site.examine(&changed).await;
    let failed = examined.fails_alone("bus-storage");
    assert!(failed["why"].as_str().expect("text").contains("max_file"), "{failed:#}");
}

/// A bus with room for 20 MiB.
async fn small_bus() -> (Nats, PathBuf) {
    let mut dir = PathBuf::new();
    let server = Nats::start(|site| {
        dir.clone_from(&site.dir);
        let init = BusInit {
            dir: site.dir.clone(),
            listen: site.listen,
            monitor: site.monitor,
            store_dir: site.store.clone(),
            hosts: Vec::new(),
            allow_plaintext: false,
            max_store: BusInit::DEFAULT_MAX_STORE,
        };
        init.run().expect("a bus");
        let conf = site.dir.join("nats-server.conf");
        let text = fs::read_to_string(&conf).expect("a configuration");
        let (before, behind) = text.split_once("max_file:").expect("a limit");
        let behind = behind
            .trim_start()
            .trim_start_matches(|character: char| character.is_ascii_alphanumeric());
        fs::write(&conf, format!("{before}max_file: 20971520{behind}")).expect("written");
        "include \"nats-server.conf\"\n".to_owned()
    });
    let server = server.await.expect("nats-server");
    (server, dir)
}

async fn management_of(nats: &Nats, dir: &std::path::Path) -> Client {
    let files = BusFiles::new(dir);
    let options = ConnectOptions::with_credentials_file(files.management_creds_path()).await;
    let options = options.expect("credentials").add_root_certificates(files.ca_path());
    options
        .require_tls(true)
        .connect(nats.tls_url())
        .await
        .expect("connected")
}
