//! A real server and real clients prove the namespaces, the client, the ping stream and the hostile client.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use vpnmanager_testbed::{
    client::{ClientOptions, Crowd, Hostile, OpenvpnClient},
    net::{Namespace, Network, has_tunnels},
    ping::{self, PingStream},
    process::{Process, Spec},
    scratch::{Medium, Scratch},
    wait,
};

const INNER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);

/// A server in `node-1` that lets in whoever has a file in `allow`.
struct Site {
    network: Network,
    server_namespace: Namespace,
    server: Process,
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    allow: PathBuf,
    scratch: Scratch,
}

impl Site {
    async fn start(id: &str) -> Self {
        let scratch = Scratch::guarded(Medium::Memory).unwrap();
        let network = Network::create(id).await.unwrap();
        scratch.run_at_end(&network.cleanup_line());
        let server_namespace = network.add("node-1", 11).await.unwrap();
        let (ca, ca_pem) = authority();
        let dir = scratch.sub("server", 0o755).unwrap();
        let allow = scratch.sub("server/allow", 0o755).unwrap();
        let (cert, key) = leaf(&ca, "node-1.test", ExtendedKeyUsagePurpose::ServerAuth);
        fs::write(dir.join("ca.crt"), &ca_pem).unwrap();
        fs::write(dir.join("node.crt"), cert).unwrap();
        fs::write(dir.join("node.key"), key).unwrap();
        let config = format!(
            "port 1194\nproto udp\ndev tun\ntopology subnet\nserver 10.8.0.0 255.255.0.0\nca ca.crt\ncert node.crt\n\
             key node.key\ndh none\nremote-cert-tls client\ndata-ciphers AES-256-GCM\nkeepalive 3 9\n\
             explicit-exit-notify 2\nclient-config-dir {}\nccd-exclusive\nmanagement {} unix\nverb 3\n",
            allow.display(),
            dir.join("m.sock").display()
        );
        fs::write(dir.join("server.conf"), config).unwrap();
        let log = dir.join("server.log");
        let spec: Spec = server_namespace.spec("openvpn", "openvpn", &dir, &log);
        let server = Process::spawn(&spec.args(["--config", "server.conf"])).unwrap();
        server
            .log()
            .wait_for("Initialization Sequence Completed", 1, wait::SOON)
            .await
            .unwrap();
        Self {
            network,
            server_namespace,
            server,
            ca,
            ca_pem,
            allow,
            scratch,
        }
    }

    fn profile(&self, name: &str) -> String {
        fs::write(self.allow.join(name), "").unwrap();
        let (cert, key) = leaf(&self.ca, name, ExtendedKeyUsagePurpose::ClientAuth);
        format!(
            "client\ndev tun\nproto udp\nnobind\nremote {} 1194\nserver-poll-timeout 3\nremote-cert-tls server\n\
             data-ciphers AES-256-GCM\nexplicit-exit-notify 1\nverb 3\n\
             <ca>\n{}</ca>\n<cert>\n{cert}</cert>\n<key>\n{key}</key>\n",
            self.server_namespace.address, self.ca_pem
        )
    }

    async fn connect(&self, name: &str) -> (Namespace, OpenvpnClient, PingStream) {
        let namespace = self.network.add_client(None).await.unwrap();
        let at = (self.scratch.dir(), name);
        let client = OpenvpnClient::start(&namespace, &self.profile(name), at, &ClientOptions::default()).unwrap();
        client.connected(wait::SOON).await.unwrap();
        let pings = PingStream::start(&namespace, INNER, (self.scratch.dir(), &format!("{name}-ping"))).unwrap();
        pings.flows(5, wait::SOON).await.unwrap();
        (namespace, client, pings)
    }

    /// One command at the server's management socket.
    async fn manage(&self, command: &str) {
        use tokio::io::AsyncWriteExt;
        let mut socket = tokio::net::UnixStream::connect(self.allow.with_file_name("m.sock"))
            .await
            .unwrap();
        socket.write_all(format!("{command}\nquit\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut answer)
            .await
            .unwrap();
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "testbed CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn leaf(ca: &Issuer<'static, KeyPair>, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

/// Says why and returns true where no tunnel can be had.
fn skipped(test: &str) -> bool {
    vpnmanager_testbed::net::require_tunnels(test).is_none()
}

#[tokio::test]
async fn an_honest_client_leaves_and_a_hostile_one_is_cut() {
    if skipped("tunnels") {
        return;
    }
    let site = Site::start("tb1").await;
    let (_, honest, honest_pings) = site.connect("honest").await;
    let (hostile_namespace, hostile, hostile_pings) = site.connect("hostile").await;
    let filter = Hostile::make(&hostile_namespace, 1194).await.unwrap();
    hostile_pings.flows(5, wait::SOON).await.unwrap();

    for name in ["honest", "hostile"] {
        fs::remove_file(site.allow.join(name)).unwrap();
    }
    let cut = SystemTime::now();
    site.manage("client-kill 0 HALT").await;
    site.manage("client-kill 1 HALT").await;
    let ignored = async || filter.ignored().await.unwrap() > 0;
    wait::until(wait::SOON, "a control packet to be dropped", ignored)
        .await
        .unwrap();
    site.manage("kill honest").await;
    site.manage("kill hostile").await;

    let silence = Duration::from_secs(1);
    let cut_in = hostile_pings.falls_silent(cut, silence, wait::SOON).await.unwrap();
    assert!(cut_in < wait::PROMISED_SECOND, "{cut_in:?}");
    honest.exited(wait::SOON).await.unwrap();
    assert!(hostile.alive(), "it does not listen");
    assert!(honest_pings.stop().await.sent > 5);
    assert!(site.server.alive());

    let mut again = honest;
    again.restart().await.unwrap();
    again.refused(wait::SOON).await.unwrap();
}

#[tokio::test]
async fn a_pulled_cable_loses_pings_and_nothing_else() {
    if skipped("cable") {
        return;
    }
    let site = Site::start("tb2").await;
    let (namespace, client, pings) = site.connect("alice").await;

    namespace.cut().await.unwrap();
    pings
        .falls_silent(SystemTime::now(), Duration::from_millis(400), wait::SOON)
        .await
        .unwrap();
    assert!(!ping::once(&namespace, INNER).await);
    namespace.restore().await.unwrap();
    pings.flows(10, wait::SOON).await.unwrap();

    let stats = pings.stop().await;
    assert!(stats.lost.len() >= 5, "{stats:?}");
    assert!(stats.longest_gap >= Duration::from_millis(400), "{stats:?}");
    assert!(stats.lost.len() as u64 + stats.received >= stats.sent - 1);
    assert!(client.alive());
}

#[tokio::test]
async fn a_crowd_connects_from_one_namespace() {
    if skipped("crowd") {
        return;
    }
    let site = Site::start("tb3").await;
    let namespace = site.network.add("crowd", 100).await.unwrap();
    let profiles: Vec<String> = (0..5).map(|number| site.profile(&format!("user-{number}"))).collect();

    let crowd = Crowd::start(&namespace, &profiles, site.scratch.dir()).unwrap();

    crowd.connected(wait::SOON).await.unwrap();
    crowd.stop().await;
    assert!(crowd.clients.iter().all(|client| !client.alive()));
}

#[tokio::test]
async fn a_network_is_gone_after_its_owner() {
    if has_tunnels().is_err() {
        return;
    }
    let network = Network::create("tb4").await.unwrap();
    let named = network.add_client(Some("tb4-by-name")).await.unwrap();
    assert!(
        network.add_client(Some("tb4-by-name")).await.is_err(),
        "a name is given once"
    );
    let second = Network::create("tb5").await.unwrap();
    assert_ne!(network.gateway(), second.gateway());

    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    scratch.run_at_end(&network.cleanup_line());
    drop(scratch);
    second.delete().await;

    let left = vpnmanager_testbed::net::ip("netns list").await.unwrap();
    assert!(!left.contains("tb4") && !left.contains("vpnm-tb5"), "{left}");
    assert!(
        vpnmanager_testbed::net::ip(&format!("addr show to {}", network.gateway()))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(named.run("true").await.is_err());
}
