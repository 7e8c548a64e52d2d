use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use vpnmanager_nats::ids::Revision;

use super::*;
use crate::{
    groups::{Definitions, Layout, Places},
    network::{
        claim::Claim,
        fixtures::{tunnel, with_routes},
    },
    openvpn::{
        ManagedTunnels,
        process::{Phase, ProcessStatus},
    },
    pushed_file::PushedFile,
    pushed_groups::PushedGroups,
};

mod groups;
mod listeners;
mod mtu;

/// Keeps what it is told to load in a file, and notes each call.
const NFT: &str = "#!/bin/sh
echo \"$1\" >>calls
if [ \"$1\" = -f ]; then
    cat >script
    if [ -e refuses ]; then
        echo '-:1:1-3: Error: Could not process rule' >&2
        exit 1
    fi
    if grep -q '^table inet vpnmanager {' script; then mv script table; else rm -f table script; fi
elif [ -e table ]; then
    cat table
else
    echo 'Error: No such file or directory' >&2
    exit 1
fi
";

/// Keeps the MTU of each device in a file, and notes each call. A device that OpenVPN still sets up is there at the next look, and one is
/// never while there is a file `none-<device>`.
const IP: &str = "#!/bin/sh
echo \"$*\" >>ip-calls
if [ \"$1\" = link ]; then
    echo \"$6\" >\"mtu-$4\"
    exit
fi
if [ -e missing ] || [ -e \"none-$4\" ]; then
    rm -f missing
    echo \"Device \\\"$4\\\" does not exist.\" >&2
    exit 1
fi
mtu=1500
if [ -e \"mtu-$4\" ]; then mtu=$(cat \"mtu-$4\"); fi
echo \"7: $4: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu $mtu qdisc pfifo_fast state UNKNOWN group default qlen 500\"
if [ -e without-addresses ]; then
    rm without-addresses
    exit
fi
echo \"    inet 10.8.0.1/16 scope global $4\"
echo '    inet6 fd00:8::1/64 scope global'
";

/// A machine that is a folder.
struct Machine {
    dir: tempfile::TempDir,
    pushed: PushedFile,
    pushed_groups: PushedGroups,
    places: Places,
    definitions: Definitions,
    progress: NetworkProgress,
    keeper: Keeper,
    /// The OpenVPN of the first listener.
    process: watch::Sender<ProcessStatus>,
    /// Those of the others.
    others: Vec<watch::Sender<ProcessStatus>>,
}

impl Machine {
    fn new() -> Self {
        Self::with(&[tunnel(None)], None)
    }

    /// Whose OpenVPNs have these tunnels after the next start.
    fn with(tunnels: &[Tunnel], egress: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("allow")).expect("made");
        fs::create_dir_all(at("sys/net/ipv4")).expect("made");
        fs::write(at("sys/net/ipv4/ip_forward"), "0\n").expect("written");
        fs::create_dir_all(at("sys/net/ipv6/conf/all")).expect("made");
        fs::write(at("sys/net/ipv6/conf/all/forwarding"), "0\n").expect("written");
        let pushed = PushedFile::beside(&at("allow")).expect("a file");
        let pushed_groups = PushedGroups::beside(&at("allow")).expect("a folder");
        let first = &tunnels[0];
        let places = Places::new(Layout::new(first.network, first.network6));
        let definitions = Definitions::default();
        let mut processes: Vec<_> = tunnels
            .iter()
            .map(|_| watch::Sender::new(ProcessStatus::default()))
            .collect();
        let pairs = tunnels.iter().zip(&processes);
        let managed = pairs.map(|(tunnel, process)| ManagedTunnel::new(tunnel.clone(), process.subscribe()));
        let site = Site {
            tunnels: ManagedTunnels::new(managed.collect()),
            pushed: pushed.clone(),
            pushed_groups: pushed_groups.clone(),
            places: places.clone(),
            definitions: definitions.clone(),
            mtus: at("mtu"),
            egress: egress.map(|name| name.parse().expect("a name")),
        };
        let progress = NetworkProgress::default();
        let machine = Self {
            keeper: Keeper::new(site, tools_in(dir.path()), progress.clone()),
            dir,
            pushed,
            pushed_groups,
            places,
            definitions,
            progress,
            process: processes.remove(0),
            others: processes,
        };
        machine.install_nft();
        machine.install_ip();
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn install_nft(&self) {
        self.install("nft", NFT);
    }

    fn install_ip(&self) {
        self.install("ip", IP);
    }

    fn install(&self, name: &str, script: &str) {
        let program = script.replacen('\n', &format!("\ncd '{}'\n", self.dir.path().display()), 1);
        fs::write(self.at(name), program).expect("written");
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    fn tells(&self, revision: i64, network: Option<Network>) {
        self.progress.learn(PoolNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(revision),
            network,
        });
    }

    fn applied(&self) -> Option<i64> {
        self.progress.applied().map(|applied| applied.revision.0)
    }

    fn read(&self, name: &str) -> String {
        read(&self.at(name))
    }

    fn pushes(&self, line: &str) -> bool {
        read(self.pushed.path()).contains(line)
    }
}

/// What stands in for the tools of a machine that is this folder.
fn tools_in(dir: &Path) -> Tools {
    Tools {
        nft: dir.join("nft"),
        ip: dir.join("ip"),
        sysctls: dir.join("sys"),
        interfaces: dir.join("interfaces"),
        claimed: dir.join("claimed").display().to_string(),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn network(routes: &[&str]) -> Option<Network> {
    Some(with_routes(routes))
}

#[tokio::test]
async fn before_management_says_anything_nothing_is_touched() {
    let mut machine = Machine::new();
    machine
        .pushed
        .set("push \"route 10.1.0.0 255.255.0.0\"\n".to_owned())
        .expect("set");
    fs::remove_file(machine.pushed.path()).expect("lost");

    assert!(!machine.keeper.reconcile(false).await);

    assert_eq!(
        (machine.read("calls"), machine.read("sys/net/ipv4/ip_forward")),
        (String::new(), "0\n".to_owned())
    );
    assert!(machine.pushes("10.1.0.0"), "who is let in needs the file");
    assert_eq!((machine.applied(), machine.progress.fault()), (None, None));
}

#[tokio::test]
async fn a_network_is_applied_changed_and_put_back() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!(machine.applied(), Some(1));
    assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "1");
    assert!(machine.read("table").contains("elements = { 10.20.0.0/16 }"));
    assert!(machine.pushes("route 10.20.0.0 255.255.0.0"));
    assert!(!machine.keeper.reconcile(false).await, "nothing is new");

    machine.tells(2, network(&["10.30.0.0/16"]));
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!(machine.applied(), Some(2));
    assert!(machine.read("table").contains("10.30.0.0/16") && machine.pushes("10.30.0.0"));
    assert!(!machine.read("table").contains("10.20.0.0/16") && !machine.pushes("10.20.0.0"));

    let spoils: [fn(&Machine) -> io::Result<()>; 4] = [
        |machine: &Machine| fs::remove_file(machine.at("table")),
        |machine: &Machine| fs::write(machine.at("table"), "table of another\n"),
        |machine: &Machine| fs::write(machine.at("sys/net/ipv4/ip_forward"), "0\n"),
        |machine: &Machine| fs::write(machine.pushed.path(), ""),
    ];
    for spoil in spoils {
        spoil(&machine).expect("spoilt");
        assert!(!machine.keeper.reconcile(false).await);
        assert!(machine.read("table").contains("10.30.0.0/16") && machine.pushes("10.30.0.0"));
        assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "1");
    }
}

#[tokio::test]
async fn what_is_as_it_should_be_is_only_looked_at() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    fs::remove_file(machine.at("calls")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("calls"), "--stateless\n");
}

#[tokio::test]
async fn a_pool_that_has_no_network_any_more_lets_nothing_through() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;

    machine.tells(2, None);
    assert!(machine.keeper.reconcile(false).await);

    let table = machine.read("table");
    assert!(!table.contains("accept\n") && !table.contains("masquerade"), "{table}");
    for way in ["iifname", "oifname"] {
        assert!(table.contains(&format!("{way} \"vpn-udp1194\" reject")), "{table}");
    }
    assert_eq!(
        (read(machine.pushed.path()), machine.applied()),
        (String::new(), Some(2))
    );
    assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "1", "others may need it");
    fs::remove_file(machine.at("calls")).expect("removed");
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("calls"), "", "the firewall is left alone");

    machine.tells(3, network(&["10.20.0.0/16"]));
    assert!(machine.keeper.reconcile(false).await);
    assert!(machine.read("table").contains("10.20.0.0/16") && machine.pushes("10.20.0.0"));
}

#[tokio::test]
async fn a_pool_that_never_had_a_network_has_no_rules() {
    let mut machine = Machine::new();
    machine.tells(1, None);
    machine.keeper.reconcile(false).await;
    assert!(!machine.at("table").exists());
    assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "0\n");
}

#[tokio::test]
async fn the_rules_of_a_node_that_must_not_serve_go_when_openvpn_has_stopped() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    let running = Phase::Running {
        pid: 1,
        since: tokio::time::Instant::now(),
    };
    machine.process.send_modify(|status| status.phase = running);

    assert!(machine.keeper.reconcile(true).await);
    assert!(!machine.read("table").contains("accept\n"));
    assert_eq!((read(machine.pushed.path()), machine.applied()), (String::new(), None));

    machine.process.send_modify(|status| status.phase = Phase::Stopped);
    machine.keeper.reconcile(true).await;
    assert!(!machine.at("table").exists());

    assert!(machine.keeper.reconcile(false).await, "readmitted");
    assert!(machine.at("table").exists() && machine.pushes("10.20.0.0"));
}

#[tokio::test]
async fn nothing_passes_any_more_although_what_is_pushed_cannot_be_written() {
    for is_refused in [false, true] {
        let mut machine = Machine::new();
        machine.tells(1, network(&["10.20.0.0/16"]));
        machine.keeper.reconcile(false).await;
        fs::remove_file(machine.pushed.path()).expect("removed");
        fs::create_dir_all(machine.pushed.path().join("in the way")).expect("made");

        machine.tells(2, None);
        machine.keeper.reconcile(is_refused).await;

        let table = machine.read("table");
        assert!(!table.contains("10.20.0.0/16"), "{table}");
        let fault = machine.progress.fault().expect("a fault");
        assert!(fault.contains("cannot write"), "{fault}");
        assert_eq!(machine.applied(), None);
    }
}

#[tokio::test]
async fn nothing_is_forwarded_before_there_are_rules() {
    let mut machine = Machine::new();
    fs::remove_file(machine.at("nft")).expect("removed");
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("sys/net/ipv4/ip_forward"), "0\n");
}

#[tokio::test]
async fn without_nft_the_reason_is_told_until_it_is_installed() {
    let mut machine = Machine::new();
    fs::remove_file(machine.at("nft")).expect("removed");
    machine.tells(1, None);
    machine.keeper.reconcile(false).await;
    assert_eq!(
        (machine.applied(), machine.progress.fault()),
        (Some(1), None),
        "nothing is to be removed"
    );

    machine.tells(2, network(&["10.20.0.0/16"]));
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!(
        machine.progress.fault().as_deref(),
        Some("the pool's network is not applied: nft is not installed: apt-get install nftables")
    );
    assert_eq!(machine.applied(), None);
    assert!(
        !machine.pushes("10.20.0.0"),
        "nobody is told of a way that is not there"
    );

    machine.install_nft();
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(2), None));
}

#[tokio::test]
async fn what_a_node_cannot_have_is_told_and_the_rest_is_applied() {
    let mut machine = Machine::new();
    machine.tells(1, network(&["10.20.0.0/16", "fd20::/48"]));

    assert!(machine.keeper.reconcile(false).await);

    assert_eq!(
        machine.progress.lack().as_deref(),
        Some(
            "the pool's network is not wholly applied: the pool routes IPv6 prefixes, and OPENVPN_NETWORK6 is not set on this node"
        )
    );
    assert_eq!((machine.applied(), machine.progress.fault()), (None, None));
    assert!(machine.pushes("10.20.0.0") && !machine.pushes("fd20"));
}

#[tokio::test]
async fn another_agent_of_the_machine_keeps_its_rules() {
    let mut machine = Machine::new();
    let other = Claim::take(&machine.at("claimed").display().to_string()).expect("the right");
    fs::write(machine.at("table"), "of the other\n").expect("written");

    machine.tells(1, None);
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("table"), "of the other\n");
    machine.tells(2, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.read("table"), "of the other\n");
    let fault = machine.progress.fault().expect("a fault");
    assert!(
        fault.contains("another agent on this machine keeps the firewall"),
        "{fault}"
    );

    drop(other);
    machine.keeper.reconcile(false).await;
    assert_eq!(machine.applied(), Some(2));
}

#[tokio::test]
async fn an_interface_that_the_machine_does_not_have_is_told_until_it_has_it() {
    let mut machine = Machine::with(&[tunnel(None)], Some("eth1"));
    machine.tells(1, network(&["10.20.0.0/16"]));
    machine.keeper.reconcile(false).await;
    let fault = machine.progress.fault().expect("a fault");
    assert!(fault.contains("this machine has no interface eth1"), "{fault}");
    assert!(machine.pushes("10.20.0.0"), "the rest is applied");

    fs::create_dir_all(machine.at("interfaces/eth1")).expect("made");
    assert!(machine.keeper.reconcile(false).await);
    assert_eq!((machine.applied(), machine.progress.fault()), (Some(1), None));
}
