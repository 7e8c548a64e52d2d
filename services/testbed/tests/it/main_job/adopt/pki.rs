//! An authority of easy-rsa, as the well-known scripts make one.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use vpnmanager_testbed::binaries;

const STAND_IN: &str = include_str!("easyrsa.sh");
/// When certificates are made that have ended.
const LONG_AGO: &str = "2020-01-01 00:00:00";

/// Its folder, and what works on it.
#[derive(Debug)]
pub(super) struct Pki {
    dir: PathBuf,
    program: PathBuf,
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Pki {
    /// A new authority in that folder. Where easy-rsa is not installed openssl makes the same files, and that is said.
    pub(super) fn make(dir: &Path, name: &str) -> Self {
        let program = binaries::easyrsa().unwrap_or_else(|missing| {
            eprintln!("== NOT proven with a PKI of easy-rsa, openssl made one like it: {missing}");
            stand_in(dir.parent().unwrap())
        });
        let pki = Self {
            dir: dir.to_owned(),
            program,
        };
        pki.run(&["init-pki"]);
        pki.run(&[&format!("--req-cn={name}"), "build-ca", "nopass"]);
        pki.gen_crl();
        pki
    }

    pub(super) fn server(&self, name: &str) -> Credential {
        self.run(&["--days=3650", "build-server-full", name, "nopass"]);
        self.issued(name)
    }

    pub(super) fn client(&self, name: &str) -> Credential {
        self.run(&["build-client-full", name, "nopass"]);
        self.issued(name)
    }

    /// One that ended in 2020.
    pub(super) fn ended_client(&self, name: &str) -> Credential {
        let mut command = Command::new(binaries::required_tool("faketime").unwrap());
        command.arg(LONG_AGO).arg(&self.program);
        self.finish(command, &["--days=30", "build-client-full", name, "nopass"]);
        self.issued(name)
    }

    pub(super) fn revoke(&self, name: &str) {
        self.run(&["revoke", name]);
        self.gen_crl();
    }

    /// The certificate of the authority.
    pub(super) fn authority(&self) -> String {
        self.read("ca.crt")
    }

    /// What it revoked.
    pub(super) fn crl(&self) -> String {
        self.read("crl.pem")
    }

    fn gen_crl(&self) {
        self.run(&["gen-crl"]);
    }

    /// Scripts leave out what stands above the certificate.
    fn issued(&self, name: &str) -> Credential {
        let text = self.read(&format!("issued/{name}.crt"));
        let begin = text.find("-----BEGIN").unwrap();
        Credential {
            certificate: text[begin..].to_owned(),
            key: self.read(&format!("private/{name}.key")),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap()
    }

    fn run(&self, args: &[&str]) {
        self.finish(Command::new(&self.program), args);
    }

    fn finish(&self, mut command: Command, args: &[&str]) {
        command.args(args).current_dir(self.dir.parent().unwrap());
        for (name, value) in [
            ("EASYRSA_BATCH", "1"),
            ("EASYRSA_ALGO", "ec"),
            ("EASYRSA_CURVE", "prime256v1"),
            ("EASYRSA_CRL_DAYS", "3650"),
        ] {
            command.env(name, value);
        }
        let output = command.env("EASYRSA_PKI", &self.dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }
}

fn stand_in(dir: &Path) -> PathBuf {
    let program = dir.join("easyrsa");
    fs::write(&program, STAND_IN).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}
