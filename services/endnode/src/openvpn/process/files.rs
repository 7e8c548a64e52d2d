//! The files of an OpenVPN that the agent runs. All of a node lie in one folder.

use std::path::{Path, PathBuf};

use vpnmanager_nats::listeners::Listener;

use crate::listening::suffix_of;

/// The files of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its configuration: `server.conf`, or `server.tcp443.conf`.
    pub conf: PathBuf,
    /// Its process id: `openvpn.pid`.
    pub pid: PathBuf,
    /// Which process the agent started or found: `openvpn.process`.
    pub record: PathBuf,
    /// Its log: `openvpn.log`.
    pub log: PathBuf,
    /// What it says before it opens its log: `openvpn.start`.
    pub said: PathBuf,
}

impl ServerFiles {
    /// Those in this folder of the first OpenVPN of a node, or of that of a listener `beside` the first.
    pub fn of(dir: &Path, beside: Option<Listener>) -> Self {
        let suffix = suffix_of(beside);
        let of_openvpn = |extension: &str| dir.join(format!("openvpn{suffix}.{extension}"));
        Self {
            conf: dir.join(format!("server{suffix}.conf")),
            pid: of_openvpn("pid"),
            record: of_openvpn("process"),
            log: of_openvpn("log"),
            said: of_openvpn("start"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keeps_the_names_of_a_node_with_one_listener() {
        let dir = Path::new("/s/openvpn");
        let names = |beside: Option<&str>| {
            let files = ServerFiles::of(dir, beside.map(|listener| listener.parse().expect("a listener")));
            [files.conf, files.pid, files.record, files.log, files.said].map(|path| path.display().to_string())
        };
        assert_eq!(
            names(None),
            [
                "/s/openvpn/server.conf",
                "/s/openvpn/openvpn.pid",
                "/s/openvpn/openvpn.process",
                "/s/openvpn/openvpn.log",
                "/s/openvpn/openvpn.start"
            ]
        );
        assert_eq!(
            names(Some("tcp:443")),
            [
                "/s/openvpn/server.tcp443.conf",
                "/s/openvpn/openvpn.tcp443.pid",
                "/s/openvpn/openvpn.tcp443.process",
                "/s/openvpn/openvpn.tcp443.log",
                "/s/openvpn/openvpn.tcp443.start"
            ]
        );
    }
}
