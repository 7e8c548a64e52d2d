//! A server of before, and the old listener of an agent over it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    account::{Account, own_user},
    allow_list::{AllowList, Told},
    backend::{BackendHealth, BackendState, Serving, Session, VpnBackend},
    journal::OldGrant,
    old_server::{
        ExternalCheck, ExternalPlaces, OldClients, OldConf, OldListener, OldParts, Ours, OwnRefusals, RevokedFolder,
        render,
    },
    openvpn::{
        OldOpenVpn, OldRun, OpenVpnBackend,
        process::{Launch, ServerFiles},
        room::Room,
        server_conf::ConfPath,
    },
};
use vpnmanager_nats::{
    ids::{CommonName, UserKey},
    old_certificates::SerialNumber,
};
use vpnmanager_testbed::{
    client::{ClientOptions, OpenvpnClient},
    net::Namespace,
    wait,
};
use x509_parser::pem::parse_x509_pem;

use crate::{
    fleet::{Connected, Fleet},
    pki::{Credential, Pki},
};

/// Its `server.conf`.
pub(crate) const LINES: &str = "port 1194\nproto udp\ndev tun\nca ca.crt\ncert server.crt\nkey server.key\ndh none\n\
    topology subnet\nserver 10.20.0.0 255.255.255.0\nifconfig-pool-persist ipp.txt\nkeepalive 1 7\n\
    tls-auth ta.key 0\npush \"route 10.1.0.0 255.255.0.0\"\nclient-config-dir ccd\nexplicit-exit-notify 1\nverb 3\n";

/// What an operator had before: `/etc/openvpn`.
pub(crate) struct Before {
    pub(crate) dir: PathBuf,
    pub(crate) pki: Pki,
    tls_auth: String,
}

/// The old listener with its tasks.
pub(crate) struct Old {
    pub(crate) listener: OldListener,
    /// That of its OpenVPN.
    pub(crate) log: PathBuf,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Before {
    pub(crate) fn make(fleet: &Fleet) -> Self {
        let dir = fleet.dir().join("etc");
        fs::create_dir(&dir).expect("made");
        fs::create_dir(dir.join("ccd")).expect("made");
        let pki = Pki::new();
        let server = pki.server("server");
        for (name, text) in [
            ("ca.crt", &pki.ca),
            ("server.crt", &server.certificate),
            ("server.key", &server.key),
            ("server.conf", &LINES.to_owned()),
        ] {
            fs::write(dir.join(name), text).expect("written");
        }
        let key = dir.join("ta.key");
        let made = Command::new("openvpn").args(["--genkey", "secret"]).arg(&key).status();
        assert!(made.expect("openvpn").success());
        Self {
            tls_auth: fs::read_to_string(&key).expect("read"),
            dir,
            pki,
        }
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.join("server.conf")
    }

    /// The operator runs it, with the lines that the agent needs.
    pub(crate) fn start_operators(&self, fleet: &Fleet) {
        let places = places(fleet);
        let lines = format!(
            "{LINES}client-config-dir {}\nccd-exclusive\ncrl-verify {} dir\nmanagement {} unix\n",
            places.allow_dir.display(),
            places.revoked_dir.display(),
            places.control_socket.display()
        );
        fs::write(self.conf(), lines).expect("written");
        let mut operators = Command::new(&fleet.managed.binary);
        operators.arg("--config").arg(self.conf()).args(["--daemon", "--cd"]);
        operators.arg(&self.dir).arg("--log").arg(self.operators_log());
        operators.arg("--writepid").arg(self.dir.join("operators.pid"));
        assert!(operators.status().expect("openvpn").success());
    }

    /// The log of that one.
    pub(crate) fn operators_log(&self) -> PathBuf {
        self.dir.join("operators.log")
    }

    /// Its process id.
    pub(crate) fn operators_pid(&self) -> u32 {
        let text = fs::read_to_string(self.dir.join("operators.pid")).expect("read");
        text.trim().parse().expect("a process id")
    }

    /// A profile of the days of before, for this certificate.
    pub(crate) fn profile(&self, node: &Namespace, credential: &Credential) -> String {
        format!(
            "client\ndev tun\nproto udp\nremote {} 1194\nnobind\nresolv-retry infinite\nremote-cert-tls server\n\
             explicit-exit-notify 1\nkey-direction 1\nverb 3\n<ca>\n{}</ca>\n<cert>\n{}</cert>\n<key>\n{}</key>\n\
             <tls-auth>\n{}</tls-auth>\n",
            node.address, self.pki.ca, credential.certificate, credential.key, self.tls_auth
        )
    }
}

impl Old {
    /// As the agent runs it.
    pub(crate) async fn managed(fleet: &Fleet, before: &Before) -> Self {
        let this = Self::wanted(fleet, before).await;
        this.is(BackendState::Up).await;
        this
    }

    /// The same, which may have to wait for its start.
    pub(crate) async fn wanted(fleet: &Fleet, before: &Before) -> Self {
        let dir = fleet.dir().join("old");
        if !dir.exists() {
            fs::create_dir(&dir).expect("made");
        }
        let conf = OldConf::read(&before.conf());
        let path = |name: &str| ConfPath::new(&fleet.dir().join(name)).expect("a path");
        let account = Account::look_up("nobody", "nogroup").expect("nobody");
        let socket = places(fleet).control_socket;
        let ours = Ours {
            ipv6: true,
            allow_dir: path("allow.old"),
            revoked_dir: path("revoked.old"),
            control_socket: ConfPath::socket(&socket).expect("a path"),
            control_user: own_user().expect("our account"),
            user: account.name().clone(),
            group: account.group().clone(),
            blocks: dir.clone(),
        };
        let rendered = render(&conf, &ours).expect("a configuration");
        let files = ServerFiles::of(&dir, None);
        let log = files.log.clone();
        let run = OldRun {
            launch: Launch {
                binary: fleet.managed.binary.clone(),
                files,
                conf: rendered.text,
                uid: account.uid(),
                run_dir: fleet.dir().join("run"),
            },
            account,
            room: Room {
                capacity: 100,
                places: 100,
            },
            obstacle: None,
        };
        let old = OldOpenVpn {
            listener: conf.listener(),
            socket,
            run: Some(run),
        };
        let this = Self::start(fleet, before, (old, log), None);
        this.listener.backend().set_serving(Serving::Yes).await;
        this
    }

    pub(crate) fn start(
        fleet: &Fleet,
        before: &Before,
        (old, log): (OldOpenVpn, PathBuf),
        check: Option<ExternalCheck>,
    ) -> Self {
        let told = Told::default();
        let list = AllowList::open_telling(fleet.dir().join("allow.old"), told.clone()).expect("a list");
        let listener = old.listener;
        let (backend, task) = OpenVpnBackend::old(list.clone(), old, watch::Sender::default());
        let parts = OldParts {
            listener,
            backend,
            list,
            told,
            clients: OldClients::new(Some(before.dir.join("ccd")), false),
            revoked: RevokedFolder::open(fleet.dir().join("revoked.old"), OwnRefusals::Nowhere).expect("a folder"),
            check,
            left_out: Vec::new(),
        };
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(task.run(cancel.clone()));
        Self {
            listener: OldListener::new(parts).expect("a listener"),
            log,
            cancel,
            tasks,
        }
    }

    pub(crate) async fn is(&self, state: BackendState) -> BackendHealth {
        let look = async || {
            let health = self.listener.backend().health().await;
            if health.state == state {
                Ok(health)
            } else {
                Err(format!("{health:?}"))
            }
        };
        wait::until_ok(wait::SOON, format_args!("the old OpenVPN to be {state:?}"), look)
            .await
            .expect("a state")
    }

    pub(crate) async fn lets_in(&self, name: &CommonName, revoked: &[SerialNumber]) {
        let grant = OldGrant {
            common_name: name.clone(),
            user_key: UserKey::new(),
            revoked: revoked.to_vec(),
        };
        self.listener.allow(vec![grant]).await.expect("let in");
    }

    /// Lets in a certificate with this name, whose client connects from a machine of its own.
    pub(crate) async fn connect(&self, fleet: &Fleet, before: &Before, name: &str) -> Connected {
        let name: CommonName = name.parse().expect("a name");
        self.lets_in(&name, &[]).await;
        let machine = fleet.machine().await;
        let profile = before.profile(fleet.node(), &before.pki.user(&name));
        let client = start_client(&machine, &profile, (fleet.dir(), name.as_str()));
        client.connected(wait::SOON).await.expect("connected");
        Connected { name, machine, client }
    }

    pub(crate) async fn sessions(&self) -> Vec<Session> {
        self.listener.backend().sessions().await.expect("sessions")
    }

    pub(crate) async fn has_sessions(&self, names: &[&CommonName]) {
        let look = async || {
            let sessions = self.sessions().await;
            let mut seen: Vec<&str> = sessions.iter().map(|session| session.common_name.as_str()).collect();
            seen.sort_unstable();
            let expected: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        };
        wait::until_ok(wait::SOON, format_args!("sessions of {names:?}"), look)
            .await
            .expect("sessions");
    }

    pub(crate) async fn stops(mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What the agent keeps for a server of the operator.
pub(crate) fn places(fleet: &Fleet) -> ExternalPlaces {
    let at = |name: &str| fleet.dir().join(name);
    ExternalPlaces {
        allow_dir: at("allow.old"),
        revoked_dir: at("revoked.old"),
        control_socket: at("run/node-1.old.sock"),
    }
}

pub(crate) fn start_client(machine: &Namespace, profile: &str, at: (&Path, &str)) -> OpenvpnClient {
    OpenvpnClient::start(machine, profile, at, &ClientOptions::default()).expect("a client")
}

/// Waits until the OpenVPN with this log has refused the certificate of a client on this machine.
pub(crate) async fn is_refused(log: &Path, machine: &Namespace) {
    let address = machine.address.to_string();
    let look = async || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let mut of_machine = text.lines().filter(|line| line.contains(&address));
        if of_machine.any(|line| line.contains("TLS Error: TLS handshake failed")) {
            Ok(())
        } else {
            Err(text)
        }
    };
    wait::until_ok(wait::SOON, "the certificate to be refused", look)
        .await
        .expect("refused");
}

pub(crate) fn serial_of(certificate: &str) -> SerialNumber {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    certificate.serial.to_string().parse().expect("a serial number")
}

/// The certificate and the key of a profile.
pub(crate) fn credential_in(profile: &str) -> Credential {
    let block = |name: &str| {
        let (_, rest) = profile.split_once(&format!("<{name}>\n")).expect("a block");
        let (content, _) = rest.split_once(&format!("</{name}>")).expect("its end");
        content.to_owned()
    };
    Credential {
        certificate: block("cert"),
        key: block("key"),
    }
}

/// A profile with the certificate and the key of another one.
pub(crate) fn with_credential(profile: &str, credential: &Credential) -> String {
    let replaced = |text: &str, name: &str, content: &str| {
        let (begin, end) = (format!("<{name}>\n"), format!("</{name}>"));
        let (before, rest) = text.split_once(&begin).expect("a block");
        let (_, after) = rest.split_once(&end).expect("its end");
        format!("{before}{begin}{content}{end}{after}")
    };
    let text = replaced(profile, "cert", &credential.certificate);
    replaced(&text, "key", &credential.key)
}
