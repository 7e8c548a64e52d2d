//! A profile, taken apart so that each of its servers can be tried alone.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// The name of the tunnel device on this machine, until it is moved.
pub(super) const DEVICE: &str = "vpndoctor";

/// One server of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    host: String,
    port: String,
    protocol: String,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, protocol } = self;
        write!(f, "{protocol} {host}:{port}")
    }
}

/// A profile without its servers. Its text has a private key.
pub(super) struct Probe {
    rest: SecretString,
    remotes: Vec<Remote>,
}

/// What is taken from a profile: whom the client trusts, who it is, and how they encrypt. Everything else is left out, whatever it is: there are
/// options that run programs, load libraries, read other files, or write to files, and this client runs as root.
const TAKEN: [&str; 24] = [
    "allow-compression",
    "auth",
    "cipher",
    "client",
    "comp-lzo",
    "compress",
    "data-ciphers",
    "data-ciphers-fallback",
    "explicit-exit-notify",
    "fragment",
    "hand-window",
    "key-direction",
    "mssfix",
    "nobind",
    "pull",
    "remote-cert-tls",
    "reneg-sec",
    "server-poll-timeout",
    "tls-cipher",
    "tls-ciphersuites",
    "tls-client",
    "tls-version-min",
    "tun-mtu",
    "verify-x509-name",
];
/// The same of what has its text in the profile.
const TAKEN_INLINE: [&str; 6] = ["ca", "cert", "key", "tls-auth", "tls-crypt", "tls-crypt-v2"];
/// OpenVPN takes what is behind 255 bytes for the next line.
const LONGEST: usize = 200;

impl Probe {
    /// Reads the text of a profile.
    pub(super) fn read(text: &str) -> Self {
        let (mut rest, mut remotes, mut usual) = (String::new(), Vec::new(), "udp".to_owned());
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if let Some(name) = name_of_block(line) {
                let end = format!("</{name}>");
                let content: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with(&end)).collect();
                if TAKEN_INLINE.contains(&name) && content.iter().all(|line| is_plain(line)) {
                    rest.push_str(&format!("<{name}>\n{}\n{end}\n", content.join("\n")));
                }
                continue;
            }
            if !is_plain(line) {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["remote", host, port, protocol, ..] => remotes.push(Remote::new(host, port, protocol)),
                ["remote", host, port] => remotes.push(Remote::new(host, port, "")),
                ["proto", protocol] => usual = (*protocol).to_owned(),
                [name, ..] if TAKEN.contains(name) => {
                    rest.push_str(line);
                    rest.push('\n');
                }
                _ => {}
            }
        }
        for remote in &mut remotes {
            if remote.protocol.is_empty() {
                remote.protocol.clone_from(&usual);
            }
        }
        Self {
            rest: rest.into(),
            remotes,
        }
    }

    /// Its servers, in their order.
    pub(super) fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// What a client is started with that tries this one alone, once, and leaves the machine as it is.
    pub(super) fn conf_for(&self, remote: &Remote) -> SecretString {
        let Remote { host, port, protocol } = remote;
        let rest = self.rest.expose_secret();
        format!(
            "{rest}remote {host} {port} {protocol}\n\
             dev {DEVICE}\n\
             dev-type tun\n\
             ifconfig-noexec\n\
             route-noexec\n\
             script-security 1\n\
             auth-nocache\n\
             connect-retry-max 1\n\
             resolv-retry 5\n\
             setenv opt disable-dco\n\
             verb 3\n"
        )
        .into()
    }
}

/// What begins here and has its text in the lines below.
fn name_of_block(line: &str) -> Option<&str> {
    let name = line.strip_prefix('<')?.strip_suffix('>')?;
    (!name.starts_with('/')).then_some(name)
}

/// Whether OpenVPN reads one line here, and none that begins or ends something.
fn is_plain(line: &str) -> bool {
    line.len() <= LONGEST && !line.contains('<')
}

impl Remote {
    fn new(host: &str, port: &str, protocol: &str) -> Self {
        Self {
            host: host.to_owned(),
            port: port.to_owned(),
            protocol: protocol.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "client\ndev tun\nproto udp\nremote 198.18.0.11 1194\nremote vpn2.example.com 443 tcp-client\nnobind\n\
                           remote-cert-tls server\n<key>\nremote 1.2.3.4 5\n</key>\n";

    #[test]
    fn each_server_is_tried_alone() {
        let probe = Probe::read(PROFILE);
        let shown: Vec<String> = probe.remotes().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["udp 198.18.0.11:1194", "tcp-client vpn2.example.com:443"]);
        let conf = probe.conf_for(&probe.remotes()[1]);
        let conf = conf.expose_secret();
        assert!(conf.contains("\nremote vpn2.example.com 443 tcp-client\n"), "{conf}");
        assert!(conf.contains("client\nnobind\nremote-cert-tls server\n"), "{conf}");
        assert!(
            conf.contains("<key>\nremote 1.2.3.4 5\n</key>\n"),
            "what is inline stays: {conf}"
        );
        for gone in ["198.18.0.11", "dev tun\n"] {
            assert!(!conf.contains(gone), "{gone}: {conf}");
        }
    }

    #[test]
    fn nothing_of_a_profile_runs_a_program_or_reaches_for_a_file() {
        let long_host = format!("remote {}plugin /evil.so", "A".repeat(248));
        let long = format!("<ca>\n{}</ca>\nplugin /evil.so\n</ca>", "A".repeat(255));
        for evil in [
            "up /evil.so",
            "--plugin /evil.so",
            "\"plugin\" /evil.so",
            "setenv opt plugin /evil.so",
            "pkcs11-providers /evil.so",
            "config /evil.so",
            "writepid /evil.so",
            "auth-user-pass /evil.so",
            "<connection>\nplugin /evil.so\n</connection>",
            "<ca>\nAA\n</ca> x\nplugin /evil.so\n</ca>",
            "<ca> x\nplugin /evil.so\n</ca> x",
            long.as_str(),
            long_host.as_str(),
        ] {
            let probe = Probe::read(&format!("client\n{evil}\nremote a 1\nnobind\n"));
            let conf = probe.conf_for(&probe.remotes()[0]);
            let conf = conf.expose_secret();
            assert!(!conf.contains("evil"), "{evil}: {conf}");
            assert!(conf.contains("nobind\n"), "{evil}: {conf}");
        }
    }

    #[test]
    fn what_is_no_profile_names_no_server() {
        assert!(Probe::read("").remotes().is_empty());
        assert!(Probe::read("<ca>\nremote a 1\n</ca>\n").remotes().is_empty());
    }
}
