//! A server of before, as an install script leaves it: `/etc/openvpn` of its machine, and the OpenVPN that its operator runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rusqlite::{Connection, params};
use vpnmanager_testbed::{
    binaries,
    net::Namespace,
    process::{Log, Process},
    wait,
};

use super::pki::{Credential, Pki};

/// What a server says once its clients can connect.
const UP: &str = "Initialization Sequence Completed";
/// A server with `explicit-exit-notify` tells its clients, and goes on for two seconds.
const STOP: Duration = Duration::from_secs(10);
/// The table of old user databases.
const USERS: &str = "CREATE TABLE users (
    id INTEGER PRIMARY KEY, username VARCHAR(255) UNIQUE NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, expires_at TIMESTAMP,
    active BOOLEAN DEFAULT true, ovpn_path TEXT, port INTEGER DEFAULT 1194, protocol VARCHAR(10) DEFAULT 'udp', last_access TIMESTAMP,
    checksum VARCHAR(255), synced BOOLEAN DEFAULT false, server_id VARCHAR(255) NOT NULL, created_by VARCHAR(255) NOT NULL)";

/// How the first packets of its clients are signed.
#[derive(Debug, Clone, Copy)]
pub(super) enum TlsKey {
    Crypt,
    Auth,
}

/// What it is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The common name of its certificate.
    pub(super) name: &'static str,
    /// The network of its clients, a /24.
    pub(super) network: &'static str,
    pub(super) tls_key: TlsKey,
}

/// A server of before. Its process ends with the stack.
#[derive(Debug)]
pub(super) struct OldServer {
    pub(super) pki: Pki,
    kind: Kind,
    machine: Namespace,
    /// `/etc/openvpn` of the machine.
    dir: PathBuf,
    tls_key: String,
    log: PathBuf,
    process: Option<Process>,
}

impl TlsKey {
    /// The option with its file, and what the server says of its direction.
    fn of_server(self) -> (&'static str, &'static str) {
        match self {
            Self::Crypt => ("tls-crypt tls-crypt.key", "tls-crypt.key"),
            Self::Auth => ("tls-auth ta.key 0", "ta.key"),
        }
    }

    fn of_client(self, key: &str) -> String {
        match self {
            Self::Crypt => format!("<tls-crypt>\n{key}</tls-crypt>\n"),
            Self::Auth => format!("key-direction 1\n<tls-auth>\n{key}</tls-auth>\n"),
        }
    }
}

impl OldServer {
    /// Makes it below this folder of a stack. It does not run yet.
    pub(super) async fn make(machine: Namespace, folder: &Path, kind: Kind) -> Self {
        let dir = folder.join("etc/openvpn");
        fs::create_dir_all(dir.join("easy-rsa")).unwrap();
        fs::create_dir(dir.join("ccd")).unwrap();
        machine.set_etc("openvpn", &dir).await.unwrap();
        let pki = Pki::make(&dir.join("easy-rsa/pki"), &format!("cn_{}", kind.name));
        let server = pki.server(kind.name);
        let (line, key_file) = kind.tls_key.of_server();
        let made = Command::new(binaries::openvpn().unwrap())
            .args(["--genkey", "secret", key_file])
            .current_dir(&dir)
            .status();
        assert!(made.unwrap().success());
        let old = Self {
            tls_key: fs::read_to_string(dir.join(key_file)).unwrap(),
            log: folder.join("old-server.log"),
            process: None,
            kind,
            machine,
            dir,
            pki,
        };
        old.write("ca.crt", &old.pki.authority());
        old.write(&format!("{}.crt", kind.name), &server.certificate);
        old.write_private(&format!("{}.key", kind.name), &server.key);
        old.write("server.conf", &conf(kind, line));
        old.publish_revoked();
        old
    }

    /// The database of its users: names, and whether they are active.
    pub(super) fn make_database(&self, users: &[(&str, bool)]) {
        let database = Connection::open(self.dir.join("users.db")).unwrap();
        database.execute_batch(USERS).unwrap();
        let row = "INSERT INTO users (username, active, server_id, created_by) VALUES (?1, ?2, 'old', 'admin')";
        for (name, active) in users {
            database.execute(row, params![name, active]).unwrap();
        }
        database.close().unwrap();
    }

    /// Has the server say this to the client of that name.
    pub(super) fn tell(&self, name: &str, line: &str) {
        self.write(&format!("ccd/{name}"), &format!("{line}\n"));
    }

    /// Gives the server what its authority has revoked until now.
    pub(super) fn publish_revoked(&self) {
        self.write("crl.pem", &self.pki.crl());
    }

    /// A profile as the script makes it.
    pub(super) fn profile(&self, credential: &Credential) -> String {
        let Credential { certificate, key } = credential;
        format!(
            "client\nproto udp\nexplicit-exit-notify\nremote {} 1194\ndev tun\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\n\
             remote-cert-tls server\nhand-window 10\nverify-x509-name {} name\nauth SHA256\nauth-nocache\ncipher AES-128-GCM\ntls-client\n\
             tls-version-min 1.2\ntls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256\nignore-unknown-option block-outside-dns\n\
             setenv opt block-outside-dns\nverb 3\n<ca>\n{}</ca>\n<cert>\n{certificate}</cert>\n<key>\n{key}</key>\n{}",
            self.machine.address,
            self.kind.name,
            self.pki.authority(),
            self.kind.tls_key.of_client(&self.tls_key),
        )
    }

    pub(super) fn log(&self) -> Log {
        Log::at(&self.log)
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::alive)
    }

    /// As `openvpn@server` of Debian starts it. Returns when clients can connect.
    pub(super) async fn start(&mut self) {
        assert!(!self.is_running(), "it runs already");
        let before = self.log().count(UP);
        let spec = self
            .machine
            .spec("old-server", binaries::openvpn().unwrap(), &self.dir, &self.log)
            .args(["--cd", "/etc/openvpn", "--config", "server.conf"]);
        let process = Process::spawn(&spec).unwrap();
        let up = async || match process.log().count(UP) > before {
            true => Ok(()),
            false => Err("not up"),
        };
        process.ready(wait::SOON, up).await.unwrap();
        self.process = Some(process);
    }

    pub(super) async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.stop(STOP).await;
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.join(file);
        fs::write(&path, text).unwrap();
        // easy-rsa's own are closed to the account that OpenVPN changes to.
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn write_private(&self, file: &str, text: &str) {
        let path = self.dir.join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn conf(kind: Kind, tls_key: &str) -> String {
    let Kind { name, network, .. } = kind;
    format!(
        "port 1194\nproto udp\ndev tun\nuser nobody\ngroup nogroup\npersist-key\npersist-tun\nkeepalive 10 120\ntopology subnet\n\
         server {network} 255.255.255.0\nifconfig-pool-persist ipp.txt\npush \"route 10.99.0.0 255.255.0.0\"\n\
         push \"dhcp-option DNS 10.99.0.53\"\ndh none\necdh-curve prime256v1\n{tls_key}\ncrl-verify crl.pem\nca ca.crt\ncert {name}.crt\n\
         key {name}.key\nauth SHA256\ncipher AES-128-GCM\nncp-ciphers AES-128-GCM\ntls-server\ntls-version-min 1.2\n\
         tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256\nclient-config-dir /etc/openvpn/ccd\nexplicit-exit-notify 1\nverb 3\n"
    )
}
