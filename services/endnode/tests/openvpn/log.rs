//! OpenVPN's log under the hands of strangers.

use std::{fs, path::PathBuf, time::Duration};

use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{net::Namespace, ping, wait};

use crate::fleet::{Fleet, INSIDE, PORT};

const PACKETS: usize = 20_000;
/// What a log of 4 MiB may have grown to between two looks.
const MOST: u64 = 8 << 20;

/// Sends packets that no client of ours would send, as fast as it can.
async fn flood(fleet: &Fleet, from: &Namespace) {
    let script = fleet.dir().join("flood.sh");
    let to = fleet.node().address;
    // The opcodes of a new session (7, 10), in packets that are signed by nobody.
    let text = format!(
        "exec 3>/dev/udp/{to}/{PORT}\nfor i in $(seq {}); do printf '\\x38%016d%050d' $i 1 >&3; printf '\\x50%016d%050d' $i 1 >&3; done\n",
        PACKETS / 2
    );
    fs::write(&script, text).expect("write");
    from.run(&format!("bash {}", script.display())).await.expect("sent");
}

fn log_of(fleet: &Fleet) -> PathBuf {
    fleet.managed.dir.join("openvpn.log")
}

fn size(file: PathBuf) -> u64 {
    fs::metadata(file).map(|file| file.len()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_fill_the_disk_with_it() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let alice = fleet.connect(&agent, "alice").await;
    // As large as many floods make it; OpenVPN goes on writing into the same file.
    fs::OpenOptions::new()
        .append(true)
        .open(log_of(&fleet))
        .expect("open")
        .set_len(64 << 20)
        .expect("grown");
    let before = size(log_of(&fleet));
    flood(&fleet, &fleet.machine().await).await;
    let small = async || size(log_of(&fleet)) < MOST;
    wait::until(wait::SOON, "the log to be small", small)
        .await
        .expect("small");
    let left = size(log_of(&fleet));
    flood(&fleet, &fleet.machine().await).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = size(log_of(&fleet));
    eprintln!("measured: {before} bytes became {left}; {PACKETS} packets of a stranger later there are {grown}");
    assert!(grown < MOST);
    assert!(size(fleet.managed.dir.join("openvpn.log.1")) <= MOST);
    assert!(ping::once(&alice.machine, INSIDE).await);
    assert_eq!(alice.client.connections(), 1, "nobody was disturbed");

    // OpenVPN outlives the agent.
    agent.dies().await;
    let before = size(log_of(&fleet));
    flood(&fleet, &fleet.machine().await).await;
    let grown = size(log_of(&fleet)) - before;
    eprintln!("measured: without an agent {PACKETS} packets of a stranger cost {grown} bytes");
    assert!(grown < 100_000);
    let agent = fleet.agent();
    fleet.end(agent).await;
}
