//! What the old server says to single clients: the files of its `client-config-dir`.

use std::{
    collections::HashMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use tracing::warn;
use vpnmanager_nats::ids::CommonName;
use vpnmanager_openvpn_conf::words;
use vpnmanager_runtime::log_limit::LogLimit;

use super::render::line_of;

static UNREAD: LogLimit = LogLimit::new("a file of the old server's client-config-dir could not be read");
static LEFT_OUT: LogLimit = LogLimit::new("lines of the old server's client-config-dir are left out");

/// Lines that are carried over. Others could read files, or run programs.
const CARRIED: [&str; 7] = [
    "ifconfig-push",
    "ifconfig-ipv6-push",
    "iroute",
    "iroute-ipv6",
    "push",
    "push-remove",
    "push-reset",
];
/// What OpenVPN reads for whoever has no file of its own, unless `ccd-exclusive` is set.
const FOR_ALL_OTHERS: &str = "DEFAULT";
/// More would be no file of lines for a client.
const MOST_BYTES: u64 = 1 << 20;

/// The folder, as it is at the moment. It is read, never written.
#[derive(Debug, Clone, Default)]
pub struct OldClients {
    /// `None`: the old server says nothing to single clients.
    dir: Option<PathBuf>,
    /// Whoever has no file there was not let in.
    is_exclusive: bool,
}

/// What becomes of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Client {
    /// It is let in with these lines.
    Lines(String),
    /// The old server does not let it in.
    Disabled,
}

/// All files of the folder at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    clients: HashMap<String, Client>,
    others: Option<Client>,
}

impl OldClients {
    /// Of this folder. With `is_exclusive` it has a file for everybody who may log in.
    pub fn new(dir: Option<PathBuf>, is_exclusive: bool) -> Self {
        Self {
            is_exclusive: is_exclusive && dir.is_some(),
            dir,
        }
    }

    /// Whether the old server may let in this client.
    pub fn lets_in(&self, name: &CommonName) -> bool {
        self.look(name) != Client::Disabled
    }

    /// What is there of one client.
    pub(super) fn look(&self, name: &CommonName) -> Client {
        let Some(dir) = &self.dir else {
            return Client::Lines(String::new());
        };
        let own = read(&dir.join(name.as_str()));
        own.unwrap_or_else(|| self.without_a_file(|| read(&dir.join(FOR_ALL_OTHERS))))
    }

    /// What is there of all clients. It reads every file.
    pub(super) fn look_at_all(&self) -> Seen {
        let Some(dir) = &self.dir else {
            return Seen::default();
        };
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                let others = if error.kind() == ErrorKind::NotFound {
                    self.without_a_file(|| None)
                } else {
                    say_unread(dir, &error);
                    // Whoever cannot be looked at may be disabled.
                    Client::Disabled
                };
                return Seen {
                    clients: HashMap::new(),
                    others: Some(others),
                };
            }
        };
        let files = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let client = read(&dir.join(&name))?;
            Some((name, client))
        });
        let mut clients: HashMap<String, Client> = files.collect();
        let others = self.without_a_file(|| clients.remove(FOR_ALL_OTHERS));
        Seen {
            clients,
            others: Some(others),
        }
    }

    fn without_a_file(&self, others: impl FnOnce() -> Option<Client>) -> Client {
        match self.is_exclusive {
            true => Client::Disabled,
            false => others().unwrap_or_else(|| Client::Lines(String::new())),
        }
    }
}

impl Seen {
    /// What becomes of this client.
    pub(super) fn of(&self, name: &CommonName) -> Client {
        let found = self.clients.get(name.as_str()).or(self.others.as_ref());
        found.cloned().unwrap_or_else(|| Client::Lines(String::new()))
    }
}

/// What a file says; `None` where there is none. Who has one that cannot be read may be disabled by it, and is.
fn read(path: &Path) -> Option<Client> {
    let text = fs::metadata(path).and_then(|found| match found.is_file() && found.len() <= MOST_BYTES {
        true => fs::read(path),
        false => Err(io::Error::other("it is no file of lines for a client")),
    });
    match text {
        Ok(bytes) => Some(client_of(&String::from_utf8_lossy(&bytes), path)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            say_unread(path, &error);
            Some(Client::Disabled)
        }
    }
}

fn say_unread(path: &Path, error: &io::Error) {
    if let Some(times) = UNREAD.admit() {
        warn!(error = %error, file = %path.display(), times, "What the old server says to single clients cannot be read");
    }
}

fn client_of(text: &str, path: &Path) -> Client {
    let mut lines = String::new();
    for line in text.lines() {
        // OpenVPN skips a line that it cannot read, too.
        let Ok(words) = words(line) else { continue };
        let Some(name) = words.first().map(|word| word.trim_start_matches("--")) else {
            continue;
        };
        match name {
            "disable" => return Client::Disabled,
            name if CARRIED.contains(&name) => {
                lines.push_str(&line_of(&[&[name.to_owned()][..], &words[1..]].concat()));
                lines.push('\n');
            }
            _ => {
                if let Some(times) = LEFT_OUT.admit() {
                    warn!(option = name, file = %path.display(), times, "A line of the old server for a single client is left out");
                }
            }
        }
    }
    Client::Lines(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CommonName {
        text.parse().expect("a name")
    }

    fn lines(text: &str) -> Client {
        Client::Lines(text.to_owned())
    }

    /// What is said of these, asked one by one and all at once, which is the same.
    fn looks(clients: &OldClients, names: &[&str]) -> Vec<Client> {
        let all = clients.look_at_all();
        let one = |text: &&str| {
            let client = clients.look(&name(text));
            assert_eq!(all.of(&name(text)), client, "{text}");
            client
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn addresses_routes_and_pushes_are_carried_over_and_what_could_run_something_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write(
            "gz",
            "iroute 172.16.0.0 255.255.255.0     # its own network\nifconfig-push 10.8.0.5 10.8.0.6\n",
        );
        write(
            "bob",
            "push \"route 10.1.0.0 255.255.0.0\"\npush-reset\nconfig /etc/openvpn/common\nup /bin/sh\n\"\n",
        );
        write("carol", "ifconfig-push 10.8.0.9 255.255.255.0\ndisable\n");
        write("--dash", "");
        let clients = OldClients::new(Some(dir.path().to_owned()), false);

        assert_eq!(
            looks(&clients, &["gz", "bob", "carol", "nobody"]),
            [
                lines("iroute 172.16.0.0 255.255.255.0\nifconfig-push 10.8.0.5 10.8.0.6\n"),
                lines("push \"route 10.1.0.0 255.255.0.0\"\npush-reset\n"),
                Client::Disabled,
                lines(""),
            ]
        );

        write("DEFAULT", "push \"route 10.2.0.0 255.255.0.0\"\n");
        let of_all_others = lines("push \"route 10.2.0.0 255.255.0.0\"\n");
        assert_eq!(looks(&clients, &["nobody"]), [of_all_others]);
        write("DEFAULT", "disable\n");
        assert_eq!(looks(&clients, &["nobody", "gz"])[0], Client::Disabled);
    }

    #[test]
    fn who_has_no_file_is_not_let_in_where_the_old_server_let_in_nobody_without() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("alice"), "").expect("written");
        fs::write(dir.path().join("DEFAULT"), "").expect("written");
        let clients = OldClients::new(Some(dir.path().to_owned()), true);
        assert_eq!(looks(&clients, &["alice", "bob"]), [lines(""), Client::Disabled]);
        let none = OldClients::new(None, true);
        assert_eq!(looks(&none, &["bob"]), [lines("")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_may_disable_its_client_and_does() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("alice")).expect("made");
        let clients = OldClients::new(Some(dir.path().to_owned()), false);
        assert_eq!(looks(&clients, &["alice"]), [Client::Disabled]);
        let gone = OldClients::new(Some(dir.path().join("none")), false);
        assert_eq!(looks(&gone, &["alice"]), [lines("")]);
    }
}
