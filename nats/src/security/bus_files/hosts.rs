//! The names and addresses that the server's certificate is for.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use rcgen::SanType;
use secrecy::ExposeSecret as _;
use vpnmanager_secret_file as secret_file;
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use super::{init_error::BusInitError, names};

/// What the next certificate is for, and what it is no longer for.
pub(super) struct Hosts {
    pub(super) names: Vec<String>,
    pub(super) lost: Vec<String>,
}

impl Hosts {
    /// The hosts that were asked for or, if none was, those of the certificate that is in the folder. In both cases with loopback and
    /// the address the server listens on.
    pub(super) fn choose(dir: &Path, asked: &[String], listen: IpAddr) -> Result<Self, BusInitError> {
        let former = former(dir);
        if asked.is_empty() {
            return Ok(Self {
                names: with_own(&former?, listen),
                lost: Vec::new(),
            });
        }
        let names = with_own(asked, listen);
        // One that cannot be read is replaced all the same.
        let mut lost = former.unwrap_or_default();
        lost.retain(|name| !holds(&names, name));
        Ok(Self { names, lost })
    }
}

/// Whether a certificate can hold these names, before anything is written.
pub(super) fn check(hosts: &[String]) -> Result<(), BusInitError> {
    hosts.iter().try_for_each(|host| san(host).map(drop))
}

/// The names as a certificate holds them.
pub(super) fn sans(names: &[String]) -> Result<Vec<SanType>, BusInitError> {
    names.iter().map(|name| san(name)).collect()
}

/// Without doubles, however an address is written.
fn with_own(hosts: &[String], listen: IpAddr) -> Vec<String> {
    let loopback = [
        "localhost".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ];
    let listen = (!listen.is_unspecified()).then(|| listen.to_string());
    let hosts = hosts.iter().map(|host| canonical(host));
    let mut names = Vec::new();
    for name in loopback.into_iter().chain(listen).chain(hosts) {
        if !holds(&names, &name) {
            names.push(name);
        }
    }
    names
}

fn canonical(host: &str) -> String {
    host.parse::<IpAddr>()
        .map_or_else(|_| host.to_owned(), |address| address.to_string())
}

fn holds(names: &[String], name: &str) -> bool {
    names.iter().any(|held| held.eq_ignore_ascii_case(name))
}

/// What the certificate in the folder is for. Nothing, if there is none yet.
fn former(dir: &Path) -> Result<Vec<String>, BusInitError> {
    let path = dir.join(names::SERVER_CERTIFICATE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let pem = secret_file::read(&path)?;
    names_in(pem.expose_secret()).ok_or(BusInitError::FormerNames { path })
}

/// `None` when it is no certificate, or when it is for something that `--host` cannot name.
fn names_in(pem: &str) -> Option<Vec<String>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    match certificate.subject_alternative_name().ok()? {
        Some(extension) => extension.value.general_names.iter().map(host).collect(),
        None => Some(Vec::new()),
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => san(name).is_ok().then(|| (*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn san(host: &str) -> Result<SanType, BusInitError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let refused = || BusInitError::Host { host: host.to_owned() };
    if host.len() > 253 || !host.split('.').all(label_is_valid) {
        return Err(refused());
    }
    host.to_owned().try_into().map(SanType::DnsName).map_err(|_| refused())
}
