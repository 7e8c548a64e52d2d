//! What the `server.conf` of an old listener must say that the operator runs himself, so that the agent can refuse and cut.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{info, warn};
use vpnmanager_openvpn_conf::is_same_place;

use super::{
    conf::OldConf,
    inspect::{NodeSide, clashes},
};

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(2);

/// What the agent keeps for it.
#[derive(Debug, Clone)]
pub struct ExternalPlaces {
    /// The folder of those who may log in.
    pub allow_dir: PathBuf,
    /// The folder of the serial numbers that are refused.
    pub revoked_dir: PathBuf,
    /// The management socket that the agent opens.
    pub control_socket: PathBuf,
}

/// His file, checked again as it changes. Clones share what was found.
#[derive(Debug, Clone)]
pub struct ExternalCheck {
    file: PathBuf,
    places: ExternalPlaces,
    node: NodeSide,
    last: Arc<Mutex<Option<Look>>>,
}

/// When the file was looked at, and what was found.
type Look = (Instant, Vec<String>);

impl ExternalCheck {
    /// Of this file.
    pub fn new(file: PathBuf, places: ExternalPlaces) -> Self {
        Self {
            file,
            places,
            node: NodeSide::default(),
            last: Arc::default(),
        }
    }

    /// The same on a node that has this besides.
    #[must_use]
    pub fn beside(self, node: NodeSide) -> Self {
        Self { node, ..self }
    }

    /// What should change, as of two seconds ago at most. Logs what is found anew.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known: &[String] = match &*last {
            Some((looked, found)) if looked.elapsed() < LOOK => return found.clone(),
            Some((_, found)) => found.as_slice(),
            None => &[],
        };
        let found = findings(&OldConf::read(&self.file), &self.places, &self.node);
        for finding in found.iter().filter(|finding| !known.contains(finding)) {
            warn!(finding = %finding, "The configuration of the old server needs a change");
        }
        if found.is_empty() && !known.is_empty() {
            info!("The configuration of the old server is as it should be");
        }
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

/// Each line that is missing or says something else, and what the node has too, in words.
fn findings(conf: &OldConf, places: &ExternalPlaces, node: &NodeSide) -> Vec<String> {
    let (file, said) = (conf.file().display(), &conf.directives);
    let mut findings = conf.refusals();
    findings.extend(clashes(conf, node));
    let is_at = |name: &str, wanted: &Path| said.path(name).is_some_and(|path| is_same_place(&path, wanted));
    if !is_at("client-config-dir", &places.allow_dir) {
        findings.push(format!(
            "set `client-config-dir {}` in {file}: it is the list of those whom the old server lets in",
            places.allow_dir.display()
        ));
    }
    if !said.has("ccd-exclusive") {
        findings.push(format!(
            "add `ccd-exclusive` to {file}: without it everybody with an old certificate gets in"
        ));
    }
    if !said.is_kind("crl-verify", "dir") || !is_at("crl-verify", &places.revoked_dir) {
        findings.push(format!(
            "set `crl-verify {} dir` in {file}: without it revoked certificates of users who have another one get in",
            places.revoked_dir.display()
        ));
    }
    if !said.is_kind("management", "unix") || !is_at("management", &places.control_socket) {
        findings.push(format!(
            "set `management {} unix` in {file}: without it the agent can neither end sessions of the old server nor see them",
            places.control_socket.display()
        ));
    }
    if said.has("chroot") {
        findings.push(format!(
            "remove `chroot` from {file}: OpenVPN would look for the folders of the agent inside it"
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vpnmanager_nats::commands::Protocol;

    use super::*;

    #[test]
    fn each_line_that_the_agent_needs_is_named_until_it_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let places = ExternalPlaces {
            allow_dir: at("allow.old"),
            revoked_dir: at("revoked.old"),
            control_socket: at("node-1.old.sock"),
        };
        let mut text = "port 1194\nproto udp\ndev tun\ncrl-verify crl.pem\nclient-config-dir ccd\n".to_owned();
        let lines = [
            format!("client-config-dir {}", places.allow_dir.display()),
            "ccd-exclusive".to_owned(),
            format!("crl-verify {} dir", places.revoked_dir.display()),
            format!("management {} unix", places.control_socket.display()),
        ];
        for (missing, line) in lines.iter().enumerate() {
            fs::write(at("server.conf"), &text).expect("written");
            let found = findings(&OldConf::read(&at("server.conf")), &places, &NodeSide::default());
            let named: Vec<&str> = found.iter().filter_map(|finding| finding.split('`').nth(1)).collect();
            assert_eq!(named, lines[missing..].iter().map(String::as_str).collect::<Vec<_>>());
            text.push_str(line);
            text.push('\n');
        }
        fs::write(at("server.conf"), &text).expect("written");
        assert_eq!(
            findings(&OldConf::read(&at("server.conf")), &places, &NodeSide::default()),
            Vec::<String>::new()
        );
        let node = NodeSide {
            networks: vec!["10.8.0.0/16".parse().expect("a network")],
            listening: vec![(Protocol::Udp, 1194)],
        };
        fs::write(at("server.conf"), format!("{text}server 10.8.0.0 255.255.255.0\n")).expect("written");
        let found = findings(&OldConf::read(&at("server.conf")), &places, &node);
        assert!(found.len() == 2 && found[0].contains("OPENVPN_NETWORK"), "{found:?}");
        fs::write(at("server.conf"), &text).expect("written");

        let check = ExternalCheck::new(at("server.conf"), places);
        assert_eq!(check.findings(), Vec::<String>::new());
        fs::write(at("server.conf"), format!("{text}chroot /srv\n")).expect("written");
        assert_eq!(check.findings(), Vec::<String>::new(), "it was looked at just now");
    }
}
