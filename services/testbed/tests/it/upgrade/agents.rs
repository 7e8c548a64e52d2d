//! Agents of the last release under management of this one.

use vpnmanager_testbed::stack::{Part, StackOptions};

use super::{THIS_RELEASE, agents_are, main_job, upgrade, with_tunnels};
use crate::{converge::records::Records, main_job::site::Site};

#[tokio::test]
#[ignore = "`make test-upgrade` builds the last release, which it needs"]
async fn agents_of_the_last_release_serve_under_this_management_and_are_upgraded_below_their_clients() {
    let Some(last) = with_tunnels("agents of the last release") else {
        return;
    };
    let nodes = [1, 2].map(Part::Node);
    let mut site = Site::start(StackOptions {
        programs: nodes.map(|node| (node, last.endnode.clone())).into(),
        ..StackOptions::default()
    })
    .await;
    agents_are(&site, &last.version).await;
    let witness = site.witness().await;
    let kept = site.create("kept").await;
    main_job(&site, "alice").await;
    let openvpns = [1, 2].map(|number| site.stack.process(Part::Openvpn(number)));

    for node in nodes {
        upgrade(&mut site, node).await;
    }

    agents_are(&site, THIS_RELEASE).await;
    assert_eq!(
        openvpns,
        [1, 2].map(|number| site.stack.process(Part::Openvpn(number))),
        "OpenVPN was started anew"
    );
    Records::open(&site).await.agree(&site).await;
    assert_eq!(site.stack.api().profile("kept").await.unwrap(), kept);
    site.lets_in(&kept).await;
    main_job(&site, "bob").await;
    witness.lost_nothing().await;
}
