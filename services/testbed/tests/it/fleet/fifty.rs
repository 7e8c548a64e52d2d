//! Fifty clients on one node that is drained, or dies.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use vpnmanager_testbed::wait;

use crate::main_job::{
    profile,
    site::{MOVED, Site, Visitor, reached},
};

const CLIENTS: usize = 50;
/// No client of a node that died is without its tunnel for longer.
const BACK: Duration = wait::under_load(Duration::from_secs(13));

/// Panics unless all of them reach this server for the `times`-th time, none without its tunnel for longer than `bound`.
async fn all_move(visitors: &[Visitor], (host, times): (&str, usize), bound: Duration, what: &str) {
    let gaps = join_all(visitors.iter().map(|visitor| visitor.moved_to(host, times)));
    let mut gaps = gaps.await;
    gaps.sort_unstable();
    let (median, worst) = (gaps[CLIENTS / 2], gaps[CLIENTS - 1]);
    eprintln!(
        "measured: {CLIENTS} clients were without their tunnels after {what} for {} ms (median), {} ms (worst)",
        median.as_millis(),
        worst.as_millis()
    );
    assert!(worst < bound, "{worst:?} after {what}");
}

#[tokio::test]
async fn fifty_clients_move_when_their_node_is_drained_and_when_their_node_is_killed() {
    let Some(mut site) = Site::with_tunnels("fifty clients").await else {
        return;
    };
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("user-{number}")).collect();
    let profiles = join_all(names.iter().map(|name| site.create_at(name, "node-1"))).await;
    let hosts: Vec<String> = profile::hosts(&profiles[0])
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    let began = Instant::now();
    let mut visitors = site.visit_all(&profiles).await;
    eprintln!("measured: {CLIENTS} clients after {} ms", began.elapsed().as_millis());
    for visitor in &visitors {
        assert!(visitor.connection.client.log().contains(&reached(&hosts[0])));
    }

    let began = Instant::now();
    site.ask_for("drain", "node-1", 200).await;
    all_move(&visitors, (&hosts[1], 1), MOVED, "the drain").await;
    eprintln!(
        "measured: all had moved {} ms after the drain began",
        began.elapsed().as_millis()
    );
    site.is_drained("node-1").await;
    site.ask_for("undrain", "node-1", 200).await;
    site.keeps_its_clients("node-1").await;

    for visitor in &mut visitors {
        assert_eq!(visitor.connection.client.connections(), 2, "moved once");
        visitor.renew_pings();
    }
    site.kill_node(2).await;
    all_move(&visitors, (&hosts[0], 2), BACK, "kill -9 of the node").await;
}
