//! What a server has for single clients: the files of `client-config-dir`, each called as the client's common name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use ipnet::{IpNet, Ipv6Net};
use vpnmanager_openvpn_conf::{Directive, masked_network};

use super::conf::{ServerConf, read_directives};
use crate::{
    folder::{Folder, Listing},
    found::{FoundClient, FoundUser, Place, Remark},
};

const OPTION: &str = "client-config-dir";
/// Where scripts put such files, for a source without a `server.conf`.
const USUAL: &str = "ccd";
/// The file of everybody who has none.
const EVERYBODY: &str = "DEFAULT";
/// By which a file refuses its client.
const DISABLE: &str = "disable";

/// The folders of servers that serve the same users.
#[derive(Debug, Default)]
pub(crate) struct ClientFolders {
    folders: Vec<PathBuf>,
    /// Whether a user without a file is let in nowhere (`ccd-exclusive`).
    is_exclusive: bool,
}

impl ClientFolders {
    pub(crate) fn of(confs: &[ServerConf], folder: &Folder, listing: &Listing, remarks: &mut Vec<Remark>) -> Self {
        if confs.is_empty() {
            let usual = listing.folders.keys().filter(|path| path.ends_with(USUAL));
            return Self {
                folders: usual.cloned().collect(),
                is_exclusive: false,
            };
        }
        let mut found = Self {
            folders: Vec::new(),
            is_exclusive: confs.iter().all(|conf| conf.directives.has("ccd-exclusive")),
        };
        for conf in confs {
            let Some(named) = conf.directives.path(OPTION) else {
                continue;
            };
            match folder.find(&named) {
                Some(path) if found.folders.contains(&path) => {}
                Some(path) => found.folders.push(path),
                None => {
                    // Who has a file there is not known.
                    let text = format!("the folder of `{OPTION}`, {}, is not in the source", named.display());
                    remarks.push(conf.remark(text));
                    found.is_exclusive = false;
                }
            }
        }
        // OpenVPN does not start with the one and without the other.
        found.is_exclusive &= !found.folders.is_empty();
        found
    }

    /// By the names that files are called after. The first folder counts.
    fn files<'a>(&self, listing: &'a Listing) -> BTreeMap<&'a str, &'a Path> {
        let mut files = BTreeMap::new();
        for path in self.folders.iter().flat_map(|folder| listing.files(folder)) {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                files.entry(name).or_insert(path.as_path());
            }
        }
        files
    }
}

/// Gives users what their files say. A file that is nobody's is spoken of.
pub(crate) fn apply_client_files(
    folders: &ClientFolders,
    folder: &Folder,
    listing: &Listing,
    users: &mut [FoundUser],
    remarks: &mut Vec<Remark>,
) {
    let files = folders.files(listing);
    let refuses_others = files
        .get(EVERYBODY)
        .is_some_and(|file| read_directives(folder, file).has(DISABLE));
    let why_not = if folders.is_exclusive {
        Some("the server lets in nobody without one")
    } else {
        refuses_others.then_some("the one for everybody else refuses them")
    };
    let mut used = BTreeSet::new();
    for user in users {
        match files.get_key_value(client_file_name(&user.name).as_str()) {
            Some((name, file)) => {
                used.insert(*name);
                apply(folder, file, user, remarks);
            }
            None => {
                if let Some(why) = why_not.filter(|_| user.active) {
                    let text = format!(
                        "`{}` has no file in the folder of `{OPTION}`, and {why}: the user is taken as suspended",
                        user.name
                    );
                    remarks.push(user.place.clone().remark(text));
                    user.active = false;
                }
            }
        }
    }
    for (name, file) in files.iter().filter(|(name, _)| !used.contains(*name)) {
        let text = if *name == EVERYBODY {
            "what is for everybody without a file of his own is not carried over"
        } else {
            "the file is left out: no user is called so"
        };
        remarks.push(Place::file(file).remark(text));
    }
}

/// The file of a client in the folder of `client-config-dir`, as OpenVPN calls it (`platform_gen_path` of its platform.c). Clients with other common
/// names may have the same one.
#[must_use]
pub fn client_file_name(common_name: &str) -> String {
    common_name.replace(|c: char| c == '/' || c.is_ascii_control(), "_")
}

fn apply(folder: &Folder, file: &Path, user: &mut FoundUser, remarks: &mut Vec<Remark>) {
    let directives = read_directives(folder, file);
    let mut client = FoundClient::default();
    for directive in directives.all() {
        if directive.name() == DISABLE {
            user.active = false;
            continue;
        }
        if let Err(why) = take(&mut client, directive) {
            let line = directive.origin.as_ref().map_or(0, |origin| origin.line as u64);
            let text = format!("`{}` of `{}` is not carried over{why}", directive.name(), user.name);
            remarks.push(Place::line(file, line).remark(text));
        }
    }
    let refusals = directives.refusals.iter();
    remarks
        .extend(refusals.map(|reason| Place::file(file).remark(format!("OpenVPN does not take this file: {reason}"))));
    if client != FoundClient::default() {
        user.client = Some(client);
    }
}

/// What there is to say of an option that is left out.
type Why = &'static str;
const UNKNOWN: Why = "";
const ODD: Why = ": it is not understood";

fn take(client: &mut FoundClient, directive: &Directive) -> Result<(), Why> {
    let words: Vec<&str> = directive.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ifconfig-push", address, ..] => client.address = Some(address.parse().map_err(|_| ODD)?),
        ["iroute", address] => client.networks.push(network(address, "255.255.255.255").ok_or(ODD)?),
        ["iroute", address, mask] => client.networks.push(network(address, mask).ok_or(ODD)?),
        ["iroute-ipv6", network] => client.networks.push(network6(network).ok_or(ODD)?),
        ["push", pushed] => client.pushed.push((*pushed).to_owned()),
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

fn network(address: &str, mask: &str) -> Option<IpNet> {
    masked_network(address, mask).map(IpNet::V4)
}

/// A single address needs no length.
fn network6(text: &str) -> Option<IpNet> {
    let single = || text.parse::<Ipv6Addr>().ok().map(Ipv6Net::from);
    let net = text.parse::<Ipv6Net>().ok().or_else(single)?;
    Some(IpNet::V6(net.trunc()))
}
