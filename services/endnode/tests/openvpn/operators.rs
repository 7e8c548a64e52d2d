//! What the check says of an operator's configuration, against what a real server does with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use vpnmanager_endnode::openvpn::lint::{Running, Severity, lint};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{binaries, ping, process::Process, wait};

use crate::{
    fleet::{Fleet, INSIDE},
    pki::Pki,
};

/// A client that is let in is so at once.
const LET_IN: Duration = wait::under_load(Duration::from_secs(1));

/// A node with an operator's files, and a user that may log in.
struct Place {
    fleet: Fleet,
    good: String,
}

impl Place {
    async fn new() -> Option<Self> {
        let fleet = Fleet::build(Protocol::Udp).await?;
        fs::create_dir(fleet.dir().join("run")).expect("made");
        fs::create_dir(fleet.dir().join("jail")).expect("made");
        let other = Pki::new();
        let server = other.server("node-1.another-fleet");
        for (name, text) in [
            ("other.crt", &other.ca),
            ("server.crt", &server.certificate),
            ("server.key", &server.key),
        ] {
            fs::write(fleet.managed.dir.join(name), text).expect("written");
        }
        let key = Command::new("openvpn")
            .args(["--genkey", "secret"])
            .arg(fleet.managed.dir.join("ta.key"))
            .status();
        assert!(key.expect("openvpn").success());
        let good = fleet.conf().render();
        Some(Self { fleet, good })
    }

    fn conf_file(&self) -> PathBuf {
        self.fleet.managed.dir.join("operators.conf")
    }

    /// Whether a client of ours gets traffic through a server with this configuration.
    async fn lets_in(&self, number: usize, conf: &str) -> bool {
        fs::write(self.conf_file(), conf).expect("written");
        let (log, dir) = (self.fleet.dir().join(format!("server-{number}.log")), self.fleet.dir());
        let openvpn = binaries::openvpn().expect("openvpn");
        let spec = self.fleet.node().spec("server", openvpn, &self.fleet.managed.dir, &log);
        let server = Process::spawn(&spec.args(["--config"]).args([self.conf_file()])).expect("spawned");
        let socket: &Path = self.fleet.conf().control_socket.as_path();
        let decided = async || socket.exists() || !server.alive();
        wait::until(wait::SOON, "the server to start or to refuse", decided)
            .await
            .expect("decided");

        let username = format!("user{number}");
        let (name, profile) = self.fleet.credential(&username);
        self.fleet.allow_list.allow(&name).expect("allowed");
        let machine = self.fleet.machine().await;
        let client = self.fleet.client(&machine, &profile, &username);
        let is_in = client.connected(LET_IN).await.is_ok() && ping::once(&machine, INSIDE).await;
        client.kill().await;
        server.kill().await;
        machine.delete().await;
        // Left behind by a server that was killed.
        _ = fs::remove_file(socket);
        assert!(dir.exists());
        is_in
    }

    fn errors(&self, conf: &str) -> Vec<String> {
        fs::write(self.conf_file(), conf).expect("written");
        let checked = lint(&self.conf_file(), &self.fleet.expected(), &Running::default());
        let errors = checked
            .findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| finding.message).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_an_error_keeps_a_real_client_out() {
    let Some(place) = Place::new().await else {
        return;
    };
    let dir = place.fleet.managed.dir.display().to_string();
    let tls_crypt_v2 = format!("tls-crypt-v2 {dir}/tls-crypt-v2.key");
    let cases = [
        format!("{}\nchroot {}", place.good, place.fleet.dir().join("jail").display()),
        format!("{}\nx509-username-field emailAddress", place.good),
        format!("{}\nca {dir}/other.crt", place.good),
        format!("{}\nkey {dir}/server.key", place.good),
        format!("{}\nkey {dir}/none.key", place.good),
        format!("{}\ncert {dir}/server.crt\nkey {dir}/server.key", place.good),
        place.good.replace("dev vpn-udp1194\n", ""),
        place.good.replace(&format!("key {dir}/node.key\n"), ""),
        format!("{}\nverify-x509-name alice name", place.good),
        format!("{}\nremote-cert-tls server", place.good),
        format!("{}\ndata-ciphers AES-128-CBC", place.good),
        format!(
            "{}\nscript-security 2\nauth-user-pass-verify /bin/true via-env",
            place.good
        ),
        format!(
            "{}\nlocal 127.0.0.1",
            place.good.replace("multihome\n", "").replace("udp6", "udp")
        ),
        place
            .good
            .replace("proto udp6\nmultihome", "proto tcp-server")
            .replace("explicit-exit-notify 2\n", ""),
        place.good.replace(&tls_crypt_v2, &format!("tls-auth {dir}/ta.key 0")),
        place.good.replace(&tls_crypt_v2, &format!("tls-crypt {dir}/ta.key")),
        format!(
            "<peer-fingerprint>\n{}00\n</peer-fingerprint>\n{}",
            "00:".repeat(31),
            place.good
        ),
        format!("{}\n# {}", place.good, "x".repeat(260)),
        format!("{}\nca \"{dir}/ca.crt", place.good),
        format!("{}\ncomp-lzo", place.good),
        format!("{}\ncompress lz4-v2\npush \"compress lz4-v2\"", place.good),
        format!("{}\npush \"comp-lzo no\"", place.good),
        format!("{}\nfragment 1300", place.good),
        format!("{}\nncp-disable", place.good),
        format!("{}\nmute 20 lines", place.good),
        format!("{}\nserver-ipv6 fd00:8::/64", place.good),
    ];
    for (number, conf) in cases.iter().enumerate() {
        let added: Vec<&str> = conf.lines().filter(|line| !place.good.contains(*line)).collect();
        assert_ne!(place.errors(conf), Vec::<String>::new(), "{added:?} has no finding");
        assert!(!place.lets_in(number, conf).await, "{added:?} lets a client in");
    }
    let Place { fleet, .. } = place;
    let agent = fleet.agent();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_good_lets_a_real_client_in_however_it_is_written() {
    let Some(place) = Place::new().await else {
        return;
    };
    let dir = &place.fleet.managed.dir;
    let ca = fs::read_to_string(dir.join("ca.crt")).expect("read");
    fs::write(dir.join("more.conf"), &place.good).expect("written");
    let ca_line = format!("ca {}\n", dir.join("ca.crt").display());
    let cases = [
        place.good.clone(),
        format!("\u{feff}{}", place.good.replace('\n', "\r\n")),
        place
            .good
            .lines()
            .map(|line| format!("\t--{line} # \"\n"))
            .filter(|line| !line.contains("--#"))
            .collect(),
        place.good.replace(&ca_line, &format!("<ca>\n{ca}  </ca> x\n")),
        "config more.conf\n".to_owned(),
        place
            .good
            .replace("ccd-exclusive", "setenv opt ccd-exclusive")
            .replace(&ca_line, "cd .\nca 'ca.crt'\n"),
        place.good.replace("proto udp6", "proto udp"),
        format!(
            "{}\nx509-username-field CN\nsetenv-safe chroot /nowhere\npush \"route 10.77.0.0 255.255.0.0\"",
            place.good
        ),
        format!("{}\ncomp-lzo no\npush \"comp-lzo no\"", place.good),
        format!("{}\ncompress migrate\ntun-mtu 1400\ncipher AES-128-CBC", place.good),
    ];
    for (number, conf) in cases.iter().enumerate() {
        assert_eq!(place.errors(conf), Vec::<String>::new(), "{conf}");
        assert!(place.lets_in(number, conf).await, "keeps a client out:\n{conf}");
    }
    let Place { fleet, .. } = place;
    let agent = fleet.agent();
    fleet.end(agent).await;
}
