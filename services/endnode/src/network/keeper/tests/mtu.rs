//! What the keeper does with the MTU of tunnel devices.

use std::time::Instant;

use tokio::time::timeout;
use vpnmanager_nats::network::Mtu;

use super::*;
use crate::network::fixtures::{self, two_tunnels};

/// Longer than a device may take to be set up.
const SOON: Duration = Duration::from_secs(6);

/// A network that says this MTU.
fn with_mtu(bytes: Option<u16>) -> Option<Network> {
    Some(Network {
        mtu: bytes.map(|bytes| Mtu::try_from(bytes).expect("an MTU")),
        ..with_routes(&["10.20.0.0/16"])
    })
}

fn run(process: &watch::Sender<ProcessStatus>, pid: u32) {
    let since = tokio::time::Instant::now();
    process.send_modify(|status| status.phase = Phase::Running { pid, since });
}

impl Machine {
    /// The OpenVPN of the first listener runs as this process, and has made its device anew.
    fn first_runs(&self, pid: u32) {
        _ = fs::remove_file(self.at("mtu-vpn-udp1194"));
        run(&self.process, pid);
    }

    /// The agent starts anew: it knows what it finds.
    fn agent_starts_anew(&mut self) {
        let site = Site {
            tunnels: ManagedTunnels::new(vec![ManagedTunnel::new(tunnel(None), self.process.subscribe())]),
            pushed: self.pushed.clone(),
            pushed_groups: self.pushed_groups.clone(),
            places: self.places.clone(),
            definitions: self.definitions.clone(),
            mtus: self.at("mtu"),
            egress: None,
        };
        self.keeper = Keeper::new(site, tools_in(self.dir.path()), self.progress.clone());
    }

    /// The MTU that was given to a device; empty while it has that of OpenVPN.
    fn mtu(&self, device: &str) -> String {
        self.read(&format!("mtu-{device}")).trim().to_owned()
    }
}

#[tokio::test]
async fn the_device_of_an_openvpn_that_runs_has_the_mtu_of_the_pool_and_gets_it_back() {
    let mut machine = Machine::new();
    machine.tells(1, with_mtu(Some(1320)));
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!((machine.applied(), machine.read("ip-calls")), (Some(1), String::new()));
    assert!(machine.pushes("push \"tun-mtu 1320\""));

    machine.first_runs(7);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.mtu("vpn-udp1194"), machine.applied()),
        ("1320".to_owned(), Some(1))
    );
    fs::remove_file(machine.at("ip-calls")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(
        machine.read("ip-calls"),
        "address show dev vpn-udp1194\n",
        "it is only looked at"
    );

    fs::write(machine.at("mtu-vpn-udp1194"), "1400\n").expect("written");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.mtu("vpn-udp1194"), "1320");

    machine.first_runs(8);
    machine.keeper.changed().await;
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.mtu("vpn-udp1194"), "1320");

    machine.tells(2, with_mtu(None));
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.mtu("vpn-udp1194"), machine.applied()),
        ("1500".to_owned(), Some(2))
    );
    assert!(!machine.pushes("tun-mtu"));
}

#[tokio::test]
async fn a_device_that_openvpn_still_sets_up_has_it_soon_and_nobody_waits_for_it() {
    let mut machine = Machine::new();
    machine.tells(1, with_mtu(Some(1320)));
    for (pid, state) in [(7, "missing"), (8, "without-addresses")] {
        fs::write(machine.at(state), "").expect("written");
        machine.first_runs(pid);

        machine.keeper.reconcile(false).await;

        assert!(!machine.at(state).exists(), "it was not looked at while it was {state}");
        assert_eq!(
            (machine.mtu("vpn-udp1194"), machine.applied(), machine.progress.fault()),
            (String::new(), Some(1), None),
            "{state}"
        );
        let given = async {
            while machine.mtu("vpn-udp1194").is_empty() {
                machine.keeper.changed().await;
                machine.keeper.reconcile(false).await;
            }
        };
        timeout(SOON, given).await.expect("the MTU");
        assert_eq!(
            (machine.mtu("vpn-udp1194"), machine.progress.fault()),
            ("1320".to_owned(), None)
        );
    }
}

#[tokio::test]
async fn an_openvpn_that_dies_before_it_has_a_device_holds_up_nothing_and_is_no_fault_of_the_network() {
    let mut machine = Machine::with(&two_tunnels(None), None);
    machine.tells(1, with_mtu(Some(1320)));
    run(&machine.others[0], 8);
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.mtu("vpn-tcp443"), machine.applied()),
        ("1320".to_owned(), Some(1))
    );

    fs::write(machine.at("none-vpn-udp1194"), "").expect("written");
    for pid in [17, 27] {
        machine.first_runs(pid);
        let began = Instant::now();
        machine.keeper.reconcile(false).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));

        machine.process.send_modify(|status| status.phase = Phase::Failed);
        machine.keeper.reconcile(false).await;
        assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
    }
}

#[tokio::test]
async fn an_openvpn_that_goes_on_without_a_device_is_a_fault_and_is_not_looked_at_all_the_time() {
    let mut machine = Machine::new();
    machine.tells(1, with_mtu(Some(1320)));
    fs::write(machine.at("none-vpn-udp1194"), "").expect("written");
    machine.first_runs(7);
    machine.keeper.reconcile(false).await;
    let said = async {
        while machine.progress.fault().is_none() {
            machine.keeper.changed().await;
            machine.keeper.reconcile(false).await;
        }
    };
    timeout(SOON, said).await.expect("a fault");

    assert_eq!(
        (machine.applied(), machine.progress.fault().as_deref()),
        (
            None,
            Some("the pool's network is not applied: OpenVPN runs and has not set up its tunnel device vpn-udp1194")
        )
    );
    let again = timeout(Duration::from_secs(1), machine.keeper.changed()).await;
    assert!(again.is_err(), "from then on it is looked at as all else");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.applied(), None, "it is a fault until it has one");

    fs::remove_file(machine.at("none-vpn-udp1194")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.mtu("vpn-udp1194"), machine.applied(), machine.progress.fault()),
        ("1320".to_owned(), Some(1), None)
    );
}

#[tokio::test]
async fn the_device_of_each_listener_has_it() {
    let mut machine = Machine::with(&two_tunnels(None), None);
    machine.tells(1, with_mtu(Some(1280)));
    machine.first_runs(7);
    run(&machine.others[0], 8);

    machine.keeper.reconcile(false).await;

    for device in ["vpn-udp1194", "vpn-tcp443"] {
        assert_eq!(machine.mtu(device), "1280", "{device}");
    }
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn the_network_is_not_applied_while_a_device_cannot_be_given_its_mtu() {
    let mut machine = Machine::new();
    machine.first_runs(7);
    fs::remove_file(machine.at("ip")).expect("removed");
    machine.tells(1, with_mtu(Some(1320)));

    machine.keeper.reconcile(false).await;

    assert_eq!(
        (machine.applied(), machine.progress.fault().as_deref()),
        (
            None,
            Some("the pool's network is not applied: ip is not installed: apt-get install iproute2")
        )
    );
    assert!(machine.pushes("10.20.0.0"), "the rest is applied");
    machine.install_ip();
    machine.keeper.reconcile(false).await;
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn a_device_without_its_mtu_hides_nothing_else_that_is_lacking() {
    let mut machine = Machine::with(&[tunnel(None)], Some("eth1"));
    machine.runs_unsplit();
    machine.joins("alice.x", "eng");
    machine.defines(1, &[fixtures::group("default"), fixtures::group("eng")]);
    fs::remove_file(machine.at("ip")).expect("removed");
    machine.tells(1, with_mtu(Some(1320)));

    machine.keeper.reconcile(false).await;

    let fault = machine.progress.fault().expect("a fault");
    for part in [
        "ip is not installed",
        "this machine has no interface eth1",
        "members of groups are not let in",
    ] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    assert_eq!(machine.applied(), None);
}

#[tokio::test]
async fn a_pool_that_says_no_mtu_needs_no_ip() {
    let mut machine = Machine::new();
    machine.first_runs(7);
    fs::remove_file(machine.at("ip")).expect("removed");
    machine.tells(1, with_mtu(None));

    machine.keeper.reconcile(false).await;

    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn a_pool_without_a_network_gives_devices_the_usual_mtu_once_and_needs_no_ip() {
    let mut machine = Machine::new();
    machine.first_runs(7);
    machine.tells(1, with_mtu(Some(1320)));
    machine.keeper.reconcile(false).await;

    machine.tells(2, None);
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.mtu("vpn-udp1194"), machine.applied()),
        ("1500".to_owned(), Some(2))
    );
    fs::remove_file(machine.at("ip-calls")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("ip-calls"), "", "the device is left alone");

    let mut machine = Machine::new();
    machine.first_runs(7);
    fs::remove_file(machine.at("ip")).expect("removed");
    machine.tells(1, None);
    machine.keeper.reconcile(false).await;
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
}

#[tokio::test]
async fn what_another_hand_gave_a_device_stays_while_the_pool_says_no_mtu() {
    for network in [None, with_mtu(None)] {
        let mut machine = Machine::new();
        machine.first_runs(7);
        fs::write(machine.at("mtu-vpn-udp1194"), "1400\n").expect("written");
        machine.tells(1, network);

        machine.keeper.reconcile(false).await;

        assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
        assert_eq!(
            (machine.mtu("vpn-udp1194"), machine.read("ip-calls")),
            ("1400".to_owned(), String::new()),
            "it is not even looked at"
        );
        assert!(!machine.at("mtu").exists());
    }
}

#[tokio::test]
async fn the_next_run_of_the_agent_gives_back_what_the_last_one_gave_and_nothing_else() {
    for network in [None, with_mtu(None)] {
        let mut machine = Machine::new();
        machine.first_runs(7);
        machine.tells(1, with_mtu(Some(1320)));
        machine.keeper.reconcile(false).await;
        assert_eq!(machine.mtu("vpn-udp1194"), "1320");

        machine.agent_starts_anew();
        machine.tells(2, network.clone());
        machine.keeper.reconcile(false).await;
        assert_eq!(
            (machine.mtu("vpn-udp1194"), machine.applied()),
            ("1500".to_owned(), Some(2))
        );
        fs::write(machine.at("mtu-vpn-udp1194"), "1400\n").expect("written");
        machine.keeper.reconcile(false).await;
        assert_eq!(machine.mtu("vpn-udp1194"), "1400", "that is another hand's");

        machine.tells(3, with_mtu(Some(1320)));
        machine.keeper.reconcile(false).await;
        assert_eq!(machine.mtu("vpn-udp1194"), "1320");
        machine.agent_starts_anew();
        machine.first_runs(8);
        fs::write(machine.at("mtu-vpn-udp1194"), "1400\n").expect("written");
        machine.tells(4, network);
        machine.keeper.reconcile(false).await;
        assert_eq!(machine.mtu("vpn-udp1194"), "1400", "OpenVPN made this device anew");
    }
}

#[tokio::test]
async fn a_device_that_cannot_be_given_back_its_mtu_is_no_fault_and_gets_it_later() {
    let mut machine = Machine::new();
    machine.first_runs(7);
    machine.tells(1, with_mtu(Some(1320)));
    machine.keeper.reconcile(false).await;
    fs::remove_file(machine.at("ip")).expect("removed");

    machine.tells(2, with_mtu(None));
    machine.keeper.reconcile(false).await;
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(2), None));

    machine.install_ip();
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.mtu("vpn-udp1194"), "1500");
}
