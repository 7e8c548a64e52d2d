//! What an old `server.conf` says.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use vpnmanager_nats::{commands::Protocol, listeners::Listener};
use vpnmanager_openvpn_conf::{Directives, Source, protocol_of, server_network};

use super::{
    carried::{Fate, fate_of},
    revoked::OwnRefusals,
};

/// Where a server listens that does not say it.
const USUAL_PORT: NonZeroU16 = NonZeroU16::new(1194).expect("it is not 0");
/// The limit on clients of an OpenVPN that was told none (`init_options` of its options.c).
const OWN_LIMIT: u32 = 1024;
/// A plugin that only runs a script of the operator when the server stops; any other one may decide who gets in.
const HARMLESS_PLUGIN: &str = "down-root";

/// An old `server.conf`, with the files that it includes.
#[derive(Debug)]
pub struct OldConf {
    file: PathBuf,
    pub(super) directives: Directives,
}

impl OldConf {
    /// Reads it. What cannot be read is among [`Self::refusals`].
    pub fn read(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            directives: Directives::read(file),
        }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What clients dial, as far as the file says it: a router may forward another port. The first one, where it listens at several.
    pub fn listener(&self) -> Listener {
        let usual = Listener {
            protocol: self.protocol(),
            port: self.port(),
        };
        self.listeners().next().unwrap_or(usual)
    }

    /// All of them. From OpenVPN 2.7 on there may be several, each with a transport and a port of its own.
    pub(super) fn listeners(&self) -> impl Iterator<Item = Listener> {
        let all = vpnmanager_openvpn_conf::Listener::all(&self.directives).into_iter();
        all.map(|one| Listener {
            protocol: one.protocol(),
            port: one.port.parse().unwrap_or(USUAL_PORT),
        })
    }

    /// The port where it listens, unless `local` says another one.
    pub(super) fn port(&self) -> NonZeroU16 {
        let named = ["lport", "port"].iter().find_map(|name| self.directives.argument(name));
        named.and_then(|text| text.parse().ok()).unwrap_or(USUAL_PORT)
    }

    /// Its transport, unless `local` says another one.
    pub(super) fn protocol(&self) -> Protocol {
        protocol_of(&self.directives)
    }

    /// The networks of its clients.
    pub fn networks(&self) -> Vec<IpNet> {
        let v4 = server_network(&self.directives).map(IpNet::V4);
        let v6 = self.directives.argument("server-ipv6");
        let v6 = v6.or_else(|| self.directives.argument("ifconfig-ipv6-pool"));
        let v6 = v6
            .and_then(|text| text.parse::<IpNet>().ok())
            .map(|network| network.trunc());
        // Without `server` it says the addresses that it gives out.
        let pool = self.directives.arguments("ifconfig-pool").iter().take(2);
        let pool = pool.filter_map(|text| text.parse::<Ipv4Addr>().ok());
        let pool = pool.map(|address| IpNet::from(IpAddr::V4(address)));
        v4.into_iter().chain(v6).chain(pool).collect()
    }

    /// The most clients that it takes at once.
    pub fn max_clients(&self) -> u32 {
        let limit = self.directives.argument("max-clients");
        limit.and_then(|limit| limit.parse().ok()).unwrap_or(OWN_LIMIT)
    }

    /// The folder of what it says to single clients, and whether it lets in nobody without a file there.
    pub fn client_dir(&self) -> Option<(PathBuf, bool)> {
        let dir = self.inside_root(self.directives.path("client-config-dir")?);
        Some((dir, self.directives.has("ccd-exclusive")))
    }

    /// Where it says which certificates it refuses.
    pub fn own_refusals(&self) -> OwnRefusals {
        let path = match self.directives.source("crl-verify") {
            None => return OwnRefusals::Nowhere,
            Some(Source::Inline(text)) => return OwnRefusals::Block(text),
            Some(Source::File(path)) => self.inside_root(path),
        };
        if self.directives.is_kind("crl-verify", "dir") {
            OwnRefusals::Folder(path)
        } else {
            OwnRefusals::List(path)
        }
    }

    /// Why certificates of a server as this file says cannot be let in by their names, whoever runs it.
    pub fn refusals(&self) -> Vec<String> {
        let conf = &self.directives;
        let file = self.file.display();
        let unread = conf.refusals.iter();
        let mut refusals: Vec<String> = unread
            .map(|reason| format!("OpenVPN does not start with {file}: {reason}"))
            .collect();
        if conf.has("client") || conf.has("secret") {
            refusals.push(format!("{file} is not that of a server with certificates"));
        }
        refusals.extend(self.asks_for_passwords().map(|why| {
            format!(
                "{file} has `{why}`: this server asks for passwords, or another program decides who gets in. Its profiles cannot be taken over"
            )
        }));
        if let Some(field) = conf
            .argument("x509-username-field")
            .filter(|field| !field.eq_ignore_ascii_case("CN"))
        {
            refusals.push(format!(
                "{file} has `x509-username-field {field}`: old certificates are told by their common name"
            ));
        }
        refusals
    }

    /// Why the agent does not run it, if it makes a bridge. One that the operator runs may.
    pub(super) fn bridge(&self) -> Option<String> {
        let conf = &self.directives;
        let device = conf.argument("dev").unwrap_or_default();
        let is_one = device.starts_with("tap") || conf.argument("dev-type") == Some("tap") || conf.has("server-bridge");
        is_one.then(|| {
            format!(
                "{} makes a bridge (`dev tap`), and the agent runs routed servers (`dev tun`) only",
                self.file.display()
            )
        })
    }

    /// The options that are left out, each once, in their order: what they did is to be done elsewhere, or no more.
    pub fn left_out(&self) -> Vec<String> {
        let mut names = Vec::new();
        for words in self.directives.all().map(|line| &line.words) {
            let Some(name) = words.first() else { continue };
            if fate_of(name) == Fate::LeftOut && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The option by which somebody else decides who gets in, if there is one.
    fn asks_for_passwords(&self) -> Option<&str> {
        let conf = &self.directives;
        let other = [
            "auth-user-pass-verify",
            "auth-user-pass-optional",
            "auth-gen-token",
            "username-as-common-name",
            "client-cert-not-required",
            "management-client-auth",
        ];
        let plugins = || {
            let mut plugins = conf.each("plugin").filter_map(|words| words.first());
            plugins.any(|plugin| !plugin.contains(HARMLESS_PLUGIN))
        };
        let needs_no_certificate = conf
            .argument("verify-client-cert")
            .is_some_and(|mode| mode != "require");
        match other.into_iter().find(|name| conf.has(name)) {
            Some(name) => Some(name),
            None if plugins() => Some("plugin"),
            None if needs_no_certificate => Some("verify-client-cert"),
            None => None,
        }
    }

    /// Where a file is that OpenVPN opens after `chroot`.
    fn inside_root(&self, path: PathBuf) -> PathBuf {
        match self.directives.path("chroot") {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(&path)),
            None => path,
        }
    }
}

#[cfg(test)]
mod tests;
