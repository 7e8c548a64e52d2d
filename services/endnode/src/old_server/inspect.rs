//! Why an old listener cannot serve on this node: what would only show when it is started, or at the first client.

use std::{fs, path::PathBuf};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use vpnmanager_nats::{commands::Protocol, listeners::Listener};
use vpnmanager_openvpn_conf::Source;
use x509_parser::pem::Pem;

use super::conf::OldConf;

/// What the node has besides the old listener.
#[derive(Debug, Clone, Default)]
pub struct NodeSide {
    /// The networks of its own listeners.
    pub networks: Vec<IpNet>,
    /// Where its own OpenVPNs listen.
    pub listening: Vec<(Protocol, u16)>,
}

/// What keeps the old listener from serving at the moment `now`, each in words with what to do.
pub fn obstacles(conf: &OldConf, node: &NodeSide, now: DateTime<Utc>) -> Vec<String> {
    let mut obstacles = conf.refusals();
    obstacles.extend(conf.bridge());
    obstacles.extend(clashes(conf, node));
    obstacles.extend(ended(conf, "ca", "the certificate authority of the old server", now));
    obstacles.extend(ended(conf, "cert", "the certificate of the old server", now));
    obstacles.extend(locked_key(conf));
    obstacles
}

/// What the old server and the node's own would both have, whoever runs the old one.
pub(super) fn clashes(conf: &OldConf, node: &NodeSide) -> Vec<String> {
    let is_taken = |one: &Listener| node.listening.contains(&(one.protocol, one.port.get()));
    let port = conf.listeners().find(is_taken).map(|Listener { protocol, port }| {
        format!(
            "an OpenVPN of this node's LISTENERS listens at {protocol} {port} too, which is where old profiles dial: choose another port for it"
        )
    });
    overlaps(conf, node).into_iter().chain(port).collect()
}

fn overlaps(conf: &OldConf, node: &NodeSide) -> Option<String> {
    let old = conf.networks();
    let mut pairs = old
        .iter()
        .flat_map(|old| node.networks.iter().map(move |ours| (old, ours)));
    let (old, ours) = pairs.find(|(old, ours)| ours.contains(*old) || old.contains(*ours))?;
    let setting = match ours {
        IpNet::V4(_) => "OPENVPN_NETWORK",
        IpNet::V6(_) => "OPENVPN_NETWORK6",
    };
    Some(format!(
        "the old network {old} and {setting} {ours} have addresses in common: choose another {setting}, because old profiles keep their network"
    ))
}

/// That the certificates of this option have ended, or cannot be read.
fn ended(conf: &OldConf, option: &str, what: &str, now: DateTime<Utc>) -> Option<String> {
    let (text, place) = match text_of(conf, option)? {
        Ok(read) => read,
        Err(unread) => return Some(unread),
    };
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let ends: Vec<DateTime<Utc>> = blocks
        .filter_map(|block| {
            let certificate = block.parse_x509().ok()?;
            DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
        })
        .collect();
    // Behind the certificate of a server may stand those that signed it; of several authorities one is enough.
    let end = if option == "cert" {
        ends.first()
    } else {
        ends.iter().max()
    };
    let Some(end) = end else {
        return Some(format!("{place} (`{option}`) has no certificate in PEM"));
    };
    (*end <= now).then(|| {
        format!(
            "{what} ({place}) ended on {}: no old profile connects any more",
            end.format("%Y-%m-%d")
        )
    })
}

fn locked_key(conf: &OldConf) -> Option<String> {
    let (text, place) = match text_of(conf, "key")? {
        Ok(read) => read,
        Err(unread) => return Some(unread),
    };
    text.contains("ENCRYPTED").then(|| {
        format!(
            "the private key of the old server ({place}) has a passphrase, which nobody could type when OpenVPN starts: write it without one \
             (`openssl pkey -in OLD -out NEW`, mode 0600), and name that file in `key`"
        )
    })
}

/// The text of an option that names a file or has its content, and where that is; `None` where there is none.
fn text_of(conf: &OldConf, option: &str) -> Option<Result<(String, String), String>> {
    let path: PathBuf = match conf.directives.source(option)? {
        Source::Inline(text) => return Some(Ok((text, conf.file().display().to_string()))),
        Source::File(path) => path,
    };
    Some(match fs::read(&path) {
        Ok(bytes) => Ok((String::from_utf8_lossy(&bytes).into_owned(), path.display().to_string())),
        Err(error) => Err(format!("{} (`{option}`) cannot be read: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests;
