use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::network::fixtures::tunnel;

/// As ip of iproute2 6.1 prints it.
const PRINTED: &str = "\
7: vpn-udp1194: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UNKNOWN group default qlen 500
    link/none
    inet 10.8.0.1/16 scope global vpn-udp1194
       valid_lft forever preferred_lft forever
    inet6 fe80::3d3f:8a2b:6d62:51f0/64 scope link stable-privacy
       valid_lft forever preferred_lft forever
    inet6 fd00:8::1/64 scope global
       valid_lft forever preferred_lft forever
";

/// A program that does this in place of ip.
fn standing_in(dir: &Path, script: &str) -> DeviceMtus {
    let program = dir.join("ip");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    DeviceMtus::new(program, dir.join("mtu"))
}

fn mtu(bytes: u16) -> Mtu {
    Mtu::try_from(bytes).expect("an MTU")
}

#[test]
fn a_device_counts_once_openvpn_has_given_it_all_its_addresses() {
    assert_eq!(mtu_of(PRINTED, false), Some(1500));
    assert_eq!(mtu_of(PRINTED, true), Some(1500));
    let without = |text: &str| {
        let kept = PRINTED.lines().filter(|line| !line.contains(text));
        kept.fold(String::new(), |printed, line| printed + line + "\n")
    };
    let without_ipv6 = without("fd00:8::1");
    assert_eq!(
        mtu_of(&without_ipv6, true),
        None,
        "the kernel's own address is no address of it"
    );
    assert_eq!(mtu_of(&without_ipv6, false), Some(1500));
    assert_eq!(mtu_of(&without("10.8.0.1"), true), None);
    assert_eq!(mtu_of("", false), None);
}

#[tokio::test]
async fn what_ip_says_is_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = DeviceMtus::new(dir.path().join("none"), dir.path().join("mtu"));
    let error = missing.ensure(&tunnel(None), mtu(1320)).await.expect_err("no program");
    assert_eq!(error.to_string(), "ip is not installed: apt-get install iproute2");

    let printed = dir.path().join("printed");
    fs::write(&printed, PRINTED).expect("written");
    let set = |set: &str| {
        let show = format!("if [ \"$1\" = address ]; then cat '{}'; exit; fi", printed.display());
        standing_in(dir.path(), &format!("{show}\n{set}"))
    };
    let kept = set("exit 1");
    let device = kept.ensure(&tunnel(None), mtu(1500)).await.expect("it has it");
    assert_eq!(device, Device::Kept);
    let allowed = set("[ \"$*\" = 'link set dev vpn-udp1194 mtu 1320' ]");
    let device = allowed.ensure(&tunnel(None), mtu(1320)).await.expect("set");
    assert_eq!(device, Device::Set);
    let gone = set("echo 'Cannot find device \"vpn-udp1194\"' >&2; exit 1");
    let device = gone.ensure(&tunnel(None), mtu(1320)).await.expect("it went meanwhile");
    assert_eq!(device, Device::NotThere);
    for (script, expected) in [
        (
            "echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2",
            "NET_ADMIN",
        ),
        (
            "echo 'RTNETLINK answers: Invalid argument' >&2; exit 2",
            "ip failed: RTNETLINK answers: Invalid argument",
        ),
        ("exit 2", "ip failed: exit status: 2"),
    ] {
        let error = set(script)
            .ensure(&tunnel(None), mtu(1320))
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
