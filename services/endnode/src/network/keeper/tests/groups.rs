//! What the keeper does for members of groups.

use vpnmanager_nats::groups::{Group, GroupRules};

use super::*;
use crate::{
    groups::Draft,
    listening::ListenerNumber,
    network::fixtures::{filter, group, groups, with_rules},
    openvpn::tunnel::RunningTunnel,
};

/// Members reach 10.20.0.5, and have a way of their own.
fn engineers() -> Group {
    let reach = filter("eng", &["10.20.0.5/32"]).rules.reach;
    let rules = GroupRules {
        reach,
        routes: with_routes(&["10.40.0.0/16"]).routes,
        ..GroupRules::default()
    };
    with_rules("eng", rules)
}

impl Machine {
    pub(super) fn defines(&self, revision: i64, all: &[Group]) {
        let mut groups = groups(all);
        groups.revision = Revision(revision);
        self.definitions.learn(groups);
    }

    pub(super) fn joins(&self, name: &str, group: &str) {
        let mut draft = Draft::of(&self.places);
        _ = draft.place(&name.parse().expect("a name"), &group.parse().expect("a name"));
        draft.commit();
    }

    fn leaves(&self, name: &str) {
        let mut draft = Draft::of(&self.places);
        _ = draft.free(&name.parse().expect("a name"));
        draft.commit();
    }

    /// Whether the firewall holds this credential to the rules of its group.
    pub(super) fn is_held(&self, name: &str) -> bool {
        let place = self.places.place_of(&name.parse().expect("a name"));
        self.places.holds(&place.expect("a place"))
    }

    pub(super) fn holds(&self) -> Option<i64> {
        self.definitions.applied().map(|revision| revision.0)
    }

    /// What members of a group are told; `None`: nothing is there.
    fn tells_group(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.pushed_groups.path_of(&name.parse().expect("a name"))).ok()
    }

    /// An OpenVPN with this tunnel runs.
    pub(super) fn runs(&self, tunnel: RunningTunnel) {
        self.process.send_modify(|status| {
            status.phase = Phase::Running {
                pid: 1,
                since: tokio::time::Instant::now(),
            };
            status.tunnel = tunnel;
        });
    }

    /// An OpenVPN of an earlier release runs.
    pub(super) fn runs_unsplit(&self) {
        let earlier = Tunnel {
            is_split: false,
            ..tunnel(None)
        };
        self.runs(RunningTunnel::Other(earlier));
    }
}

#[tokio::test]
async fn members_are_held_to_their_rules_as_soon_as_somebody_is_one() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), engineers()]);
    machine.keeper.reconcile(false).await;
    assert!(
        machine
            .read("table")
            .contains("10.8.128.0-10.8.255.255 : jump strangers")
    );
    assert_eq!((machine.holds(), machine.places.is_enforced()), (Some(1), true));

    machine.joins("alice.x", "eng");
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    assert!(
        table.contains("10.8.128.0-10.8.128.255 : jump g0, 10.8.129.0-10.8.255.255 : jump strangers"),
        "{table}"
    );
    assert!(table.contains("ip daddr 10.20.0.5/32 return"), "{table}");
    assert!(machine.places.is_enforced());
    let told = machine.tells_group("eng").expect("a file");
    assert!(
        told.contains("route 10.20.0.0") && told.contains("route 10.40.0.0"),
        "{told}"
    );
    assert!(machine.pushes("route 10.20.0.0") && !machine.pushes("10.40.0.0"));
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));

    machine.defines(2, &[group("default"), group("eng")]);
    machine.keeper.changed().await;
    assert!(machine.keeper.reconcile(false).await, "it is told at once");
    let table = machine.read("table");
    assert!(
        table.contains("elements = { 10.8.129.0-10.8.255.255 : jump strangers }"),
        "{table}"
    );
    assert_eq!(machine.holds(), Some(2));
    assert!(!machine.tells_group("eng").expect("a file").contains("10.40.0.0"));
    assert!(!machine.keeper.reconcile(false).await, "nothing is new");
}

#[tokio::test]
async fn members_of_a_group_that_is_not_known_reach_nothing_and_are_told_of_nothing() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), engineers()]);
    machine.joins("alice.x", "eng");
    machine.keeper.reconcile(false).await;

    machine.defines(2, &[group("default")]);
    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    assert!(
        table.contains("elements = { 10.8.128.0-10.8.255.255 : jump strangers }"),
        "{table}"
    );
    assert_eq!(machine.tells_group("eng").as_deref(), Some(""), "her entry names it");
    assert!(machine.places.is_enforced());

    machine.leaves("alice.x");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.tells_group("eng"), None);
}

#[tokio::test]
async fn what_somebody_changed_of_what_members_are_told_is_put_back() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[engineers()]);
    machine.keeper.reconcile(false).await;
    let told = machine.tells_group("eng").expect("a file");

    fs::write(
        machine.at("pushed.groups/eng"),
        "push \"route 192.0.2.0 255.255.255.0\"\n",
    )
    .expect("written");
    machine.keeper.reconcile(false).await;

    assert_eq!(machine.tells_group("eng"), Some(told));
}

#[tokio::test]
async fn where_the_pool_never_had_a_network_members_pass_nothing_and_all_else_is_left_alone() {
    let mut machine = Machine::new();
    machine.tells(1, None);
    machine.defines(1, &[group("default"), engineers()]);
    machine.keeper.reconcile(false).await;
    assert!(!machine.at("table").exists());
    assert_eq!(machine.holds(), Some(1), "nobody is to be held to anything");

    machine.joins("alice.x", "eng");
    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    assert!(
        table.contains("ip saddr { 10.8.128.0-10.8.255.255 } reject") && table.contains("hook input"),
        "{table}"
    );
    assert!(
        !table.contains("masquerade") && !table.contains("iifname \"vpn-udp1194\" reject"),
        "{table}"
    );
    assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "0\n");
    assert_eq!(machine.tells_group("eng").as_deref(), Some(""));
    assert!(machine.places.is_enforced());

    fs::remove_file(machine.at("table")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("table"), table, "it is put back");
    machine.leaves("alice.x");
    machine.keeper.reconcile(false).await;
    assert!(!machine.at("table").exists());
}

#[tokio::test]
async fn where_the_pool_has_no_network_any_more_members_reach_of_the_node_what_they_may() {
    let mut machine = Machine::new();
    machine.defines(1, &[group("default"), engineers()]);
    machine.joins("alice.x", "eng");
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;

    machine.tells(2, None);
    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    assert!(
        table.contains("iifname \"vpn-udp1194\" reject") && table.contains("hook input"),
        "{table}"
    );
    assert_eq!((machine.applied(), machine.holds()), (Some(2), Some(1)));
    assert!(machine.places.is_enforced());
    fs::remove_file(machine.at("table")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("table"), table, "the machine forwards on");
}

#[tokio::test]
async fn rules_that_are_there_stay_until_management_says_what_the_network_is() {
    let mut machine = Machine::new();
    let before = "table inet vpnmanager {\n\tchain from_clients {\n\t}\n}\n";
    fs::write(machine.at("table"), before).expect("written");
    machine.defines(1, &[engineers()]);
    machine.joins("alice.x", "eng");

    machine.keeper.reconcile(false).await;

    assert_eq!(machine.read("table"), before);
    assert!(!machine.places.is_enforced());
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("management has not said yet"), "{fault}");
}

#[tokio::test]
async fn rules_of_those_in_no_other_group_hold_without_a_network_and_without_members() {
    let mut machine = Machine::new();
    machine.tells(1, None);
    machine.defines(1, &[filter("default", &["10.20.0.5/32"])]);

    machine.keeper.reconcile(false).await;

    let table = machine.read("table");
    assert!(table.contains("10.8.0.0-10.8.127.255 : jump g0"), "{table}");
    assert_eq!(machine.holds(), Some(1));
}

#[tokio::test]
async fn while_the_rules_cannot_be_loaded_members_are_not_held_and_the_reason_is_told() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[engineers()]);
    machine.joins("alice.x", "eng");
    machine.keeper.reconcile(false).await;
    assert!(machine.places.is_enforced());

    fs::remove_file(machine.at("nft")).expect("removed");
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!((machine.places.is_enforced(), machine.holds()), (false, None));
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("nft is not installed"), "{fault}");

    machine.install_nft();
    assert!(machine.keeper.reconcile(false).await);
    assert!(machine.places.is_enforced());

    machine.tells(2, None);
    machine.keeper.reconcile(true).await;
    assert!(!machine.places.is_enforced(), "a node that must not serve");
}

#[tokio::test]
async fn rules_that_are_gone_and_cannot_be_loaded_are_told_apart_from_those_of_before() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[engineers()]);
    machine.joins("alice.x", "eng");
    let enforced = |machine: &Machine| *machine.places.watch_enforced().borrow();
    fs::write(machine.at("refuses"), "").expect("written");
    machine.keeper.reconcile(false).await;
    assert_eq!(enforced(&machine), Enforced::Gone, "after a boot");
    fs::remove_file(machine.at("refuses")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(enforced(&machine), Enforced::Held);

    fs::write(machine.at("refuses"), "").expect("written");
    machine.defines(2, &[group("eng")]);
    machine.keeper.reconcile(false).await;
    assert_eq!(enforced(&machine), Enforced::Broken, "those of before are there");
    let spoils: [fn(&Machine) -> io::Result<()>; 2] = [
        |machine: &Machine| fs::write(machine.at("table"), "table of another\n"),
        |machine: &Machine| fs::remove_file(machine.at("table")),
    ];
    for spoil in spoils {
        spoil(&machine).expect("spoilt");
        machine.keeper.reconcile(false).await;
        assert_eq!(enforced(&machine), Enforced::Gone);
    }

    fs::remove_file(machine.at("refuses")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(enforced(&machine), Enforced::Held);
    fs::remove_file(machine.at("nft")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(enforced(&machine), Enforced::Broken, "nobody can say");
}

#[tokio::test]
async fn no_openvpn_starts_before_the_rules_of_those_in_no_other_group_are_loaded() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[filter("default", &["10.20.0.5/32"])]);
    fs::write(machine.at("refuses"), "").expect("written");
    machine.keeper.reconcile(false).await;
    assert!(!machine.definitions.is_default_held(ListenerNumber::FIRST));
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("nft refused the rules"), "{fault}");

    let earlier = Tunnel {
        device: "tun0".parse().expect("a name"),
        ..tunnel(None)
    };
    machine.runs(RunningTunnel::Other(earlier));
    fs::remove_file(machine.at("refuses")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.progress.fault(), None);
    assert!(
        !machine.definitions.is_default_held(ListenerNumber::FIRST),
        "the next one has another device"
    );
    machine.process.send_modify(|status| status.phase = Phase::Failed);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert!(machine.definitions.is_default_held(ListenerNumber::FIRST));

    fs::write(machine.at("refuses"), "").expect("written");
    machine.defines(2, &[filter("default", &["10.20.0.6/32"])]);
    machine.keeper.reconcile(false).await;
    assert!(
        machine.definitions.is_default_held(ListenerNumber::FIRST),
        "rules of before are there"
    );
    fs::remove_file(machine.at("table")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert!(!machine.definitions.is_default_held(ListenerNumber::FIRST));
}

#[tokio::test]
async fn who_gets_a_block_of_another_group_is_not_held_before_the_firewall_knows() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), engineers(), filter("temps", &["10.20.0.7/32"])]);
    machine.joins("eve.x", "eng");
    assert!(
        !machine.is_held("eve.x"),
        "an agent of before may have loaded any rules"
    );
    machine.keeper.reconcile(false).await;
    assert!(machine.is_held("eve.x"));

    machine.leaves("eve.x");
    machine.joins("tom.x", "temps");

    assert!(!machine.is_held("tom.x"), "the firewall has his address as hers");
    fs::remove_file(machine.at("nft")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert!(!machine.is_held("tom.x"));
    machine.install_nft();
    machine.keeper.reconcile(false).await;
    assert!(machine.is_held("tom.x"));
    let table = machine.read("table");
    assert!(table.contains("10.8.128.0-10.8.128.255 : jump g0"), "{table}");
    assert!(
        table.contains("ip daddr 10.20.0.7/32 return") && !table.contains("10.20.0.5"),
        "{table}"
    );
}

#[tokio::test]
async fn who_is_no_member_has_a_fixed_address_of_an_openvpn_that_gives_out_all_alone() {
    let mut machine = Machine::new();
    machine.tells(1, None);
    let alice = "alice.x".parse().expect("a name");
    let stays = |machine: &Machine| machine.places.fits(&alice, "10.8.128.0", "");
    let others = Tunnel {
        network: "10.9.0.0/16".parse().expect("a network"),
        ..tunnel(None)
    };
    machine.keeper.reconcile(false).await;
    assert!(stays(&machine), "no OpenVPN runs");
    for (tunnel, expected) in [
        (RunningTunnel::AsWanted, false),
        (RunningTunnel::Other(others), true),
        (RunningTunnel::Unknown, true),
        (RunningTunnel::AsWanted, false),
    ] {
        machine.runs(tunnel.clone());
        machine.keeper.changed().await;
        machine.keeper.reconcile(false).await;
        assert_eq!(stays(&machine), expected, "{tunnel:?}");
    }
    machine.runs_unsplit();
    machine.keeper.reconcile(false).await;
    assert!(stays(&machine));
}

#[tokio::test]
async fn an_openvpn_that_gives_out_all_addresses_holds_no_members_and_that_is_told() {
    let mut machine = Machine::new();
    machine.runs_unsplit();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[group("default"), engineers()]);
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.progress.fault(), machine.holds()),
        (None, Some(1)),
        "nobody is to be held to anything"
    );

    machine.joins("alice.x", "eng");
    assert!(machine.keeper.reconcile(false).await);

    assert!(!machine.read("table").contains("strangers"));
    assert_eq!((machine.applied(), machine.holds()), (Some(1), None));
    assert!(!machine.places.is_enforced());
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("members of groups are not let in"), "{fault}");

    // It ends, and the next one has the new configuration.
    machine.process.send_modify(|status| status.phase = Phase::Stopped);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert!(machine.places.is_enforced());
    assert_eq!((machine.holds(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn an_openvpn_with_another_ipv6_network_holds_no_members_and_that_is_told() {
    let mut machine = Machine::new();
    machine.runs(RunningTunnel::Other(tunnel(Some("fd00:8::/64"))));
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.defines(1, &[engineers()]);
    machine.joins("alice.x", "eng");

    machine.keeper.reconcile(false).await;

    assert_eq!((machine.places.is_enforced(), machine.holds()), (false, None));
    let fault = machine.progress.fault().expect("a fault");
    assert!(
        fault.contains("members of groups are not let in, because the OpenVPN that runs has another OPENVPN_NETWORK6"),
        "{fault}"
    );
    machine.runs(RunningTunnel::AsWanted);
    machine.keeper.reconcile(false).await;
    assert!(machine.is_held("alice.x"));
    assert_eq!(machine.progress.fault(), None);
}
