//! Extra directives of a profile. Each is read into a type with bounds and written anew from it, so that no text of a caller gets into a
//! profile. What they mean is in openvpn(8), sections "Client options", "Generic options", "Link options" and "Tunnel options".
//!
//! A directive is on the list if it is harmless in every client that reads it (OpenVPN 2.5 and 2.6, OpenVPN 3, NetworkManager), and keeps
//! the promises of a fleet: a client finds the next server within seconds, trusts nobody else, and reaches what its pool says.

mod number;
mod refused;

use std::{fmt, mem::discriminant, str::FromStr};

pub use number::Number;

/// An extra directive of the clients of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientDirective {
    /// `auth-nocache`: the password of a private key that the user protected is not kept in memory.
    AuthNocache,
    /// `block-outside-dns`: while it is connected, Windows asks the DNS servers of the tunnel alone. OpenVPN on other systems does not know
    /// it, so it is written as `setenv opt block-outside-dns`, which those skip. OpenVPN 3 ignores it in a profile, and heeds one that is
    /// pushed.
    BlockOutsideDns,
    /// `connect-retry first longest`: how long the client pauses before each server that it tries. OpenVPN 3 ignores it.
    ConnectRetry(Pauses),
    /// `disable-dco`: the client leaves the data channel of its kernel (OpenVPN 2.6 and later) alone, where its driver makes trouble. OpenVPN 2.5
    /// does not know it, so it is written as `setenv opt disable-dco`, which whoever does not know it skips.
    DisableDco,
    /// `float`: answers of a server may come from another address than the one that was dialled. They must prove who they are all the same.
    Float,
    /// `mssfix bytes`: TCP inside the tunnel makes its packets so small that those of OpenVPN have at most as many bytes. At least 576, as
    /// OpenVPN 3 asks for (mssparms.hpp); 1500 is an Ethernet frame.
    Mssfix(Number<576, 1500>),
    /// `mute messages`: the client logs at most as many of a kind one after the other.
    Mute(Number<1, 9999>),
    /// `pull-filter ignore dns`: the client keeps its own DNS. It stands for a filter of each option of DNS that servers push: `dhcp-option`,
    /// `dns` (OpenVPN 2.6), and `block-outside-dns`, which would keep Windows from its own DNS servers. A filter is for all options that begin
    /// with its text, and no other option does. Routes and the like are no choice of a client (`network` of the pool says them).
    KeepDns,
    /// `rcvbuf bytes`: the receive buffer of the client's socket. OpenVPN 3 ignores it.
    Rcvbuf(Number<10_000, 9_999_999>),
    /// `sndbuf bytes`: the send buffer of the client's socket. OpenVPN 3 ignores it.
    Sndbuf(Number<10_000, 9_999_999>),
    /// `server-poll-timeout seconds`: how long the client waits for the first answer of a server before it tries the next one. With less
    /// than 2 s a server at the other end of a slow line is not reached; with more than 5 s a client is not with its next server within
    /// seconds.
    ServerPollTimeout(Number<2, 5>),
    /// `verb level`: how much the client logs. openvpn(8) calls 0 to 4 the normal range; from 5 on it logs each packet.
    Verb(Number<0, 4>),
}

/// The pauses of `connect-retry`, in seconds. The first one is before each server that is tried, so a server that does not answer costs it
/// and `server-poll-timeout`. After five rounds in which none answered it doubles with each round, up to the longest
/// (`socket_restart_pause` in init.c of OpenVPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    first: Number<1, 2>,
    longest: Number<1, 30>,
}

/// Why a text is no directive that a pool may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDirective {
    /// Not words in one line.
    #[error(
        "a directive is one line of words with one space between them, without quotes, tags and comments, and has 1 to {} characters",
        ClientDirective::MOST_LENGTH
    )]
    NotWords,
    /// Taken, but not with these arguments.
    #[error("{name} takes {expected}")]
    Arguments {
        /// The directive.
        name: &'static str,
        /// What it takes, for people.
        expected: &'static str,
    },
    /// The pauses would get shorter. The form is right.
    #[error("the longest pause ({longest} s) is shorter than the first one ({first} s)")]
    Pauses {
        /// The first pause, in seconds.
        first: u32,
        /// The longest pause, in seconds.
        longest: u32,
    },
    /// Known, and not taken.
    #[error("a pool may not have {name}: {reason}")]
    Refused {
        /// The directive.
        name: &'static str,
        /// Why, for people.
        reason: &'static str,
    },
    /// None of the list.
    #[error(
        "a pool may have auth-nocache, block-outside-dns, connect-retry, disable-dco, float, mssfix, mute, pull-filter, rcvbuf, \
         server-poll-timeout, sndbuf and verb"
    )]
    Unknown,
}

impl ClientDirective {
    /// What the form of a directive is, as a regular expression.
    pub const PATTERN: &'static str = concat!(
        "^(?:auth-nocache|(?:setenv opt )?(?:block-outside-dns|disable-dco)|connect-retry [12] (?:[1-9]|[12][0-9]|30)|float",
        "|mssfix (?:57[6-9]|5[89][0-9]|[6-9][0-9]{2}|1[0-4][0-9]{2}|1500)|mute [1-9][0-9]{0,3}",
        "|pull-filter ignore dns|(?:rcvbuf|sndbuf) [1-9][0-9]{4,6}|server-poll-timeout [2-5]|verb [0-4])$"
    );
    /// The most characters; the longest has 28.
    pub const MOST_LENGTH: usize = 64;

    /// What profiles say where no directive says otherwise: a client waits 3 s for a server, and pauses 1 s before each, or up to 10 s when
    /// none has answered for long.
    pub(crate) const OWN_POLL_TIMEOUT: Self = Self::ServerPollTimeout(Number(3));
    /// See [`Self::OWN_POLL_TIMEOUT`].
    pub(crate) const OWN_RETRY: Self = Self::ConnectRetry(Pauses {
        first: Number(1),
        longest: Number(10),
    });
    /// What profiles say where no directive says otherwise: what happens, in a few lines for each connection.
    pub(crate) const OWN_VERB: Self = Self::Verb(Number(3));

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthNocache => "auth-nocache",
            Self::BlockOutsideDns => "block-outside-dns",
            Self::ConnectRetry(_) => "connect-retry",
            Self::DisableDco => "disable-dco",
            Self::Float => "float",
            Self::Mssfix(_) => "mssfix",
            Self::Mute(_) => "mute",
            Self::KeepDns => "pull-filter",
            Self::Rcvbuf(_) => "rcvbuf",
            Self::Sndbuf(_) => "sndbuf",
            Self::ServerPollTimeout(_) => "server-poll-timeout",
            Self::Verb(_) => "verb",
        }
    }

    /// Whether both say something of the same, so that a profile can have but one of them.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let is_of_dns = |directive: &Self| matches!(directive, Self::BlockOutsideDns | Self::KeepDns);
        discriminant(self) == discriminant(other) || (is_of_dns(self) && is_of_dns(other))
    }

    /// The lines of a profile, each with its end.
    pub fn lines(self) -> String {
        match self {
            Self::BlockOutsideDns | Self::DisableDco => format!("setenv opt {self}\n"),
            Self::KeepDns => ["dhcp-option", "dns", "block-outside-dns"]
                .map(|pushed| format!("pull-filter ignore {pushed}\n"))
                .concat(),
            Self::AuthNocache
            | Self::ConnectRetry(_)
            | Self::Float
            | Self::Mssfix(_)
            | Self::Mute(_)
            | Self::Rcvbuf(_)
            | Self::Sndbuf(_)
            | Self::ServerPollTimeout(_)
            | Self::Verb(_) => format!("{self}\n"),
        }
    }
}

/// How it is stored and told.
impl fmt::Display for ClientDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::AuthNocache | Self::BlockOutsideDns | Self::DisableDco | Self::Float => Ok(()),
            Self::ConnectRetry(Pauses { first, longest }) => write!(f, " {first} {longest}"),
            Self::Mssfix(bytes) => write!(f, " {bytes}"),
            Self::Mute(messages) => write!(f, " {messages}"),
            Self::KeepDns => f.write_str(" ignore dns"),
            Self::Rcvbuf(bytes) | Self::Sndbuf(bytes) => write!(f, " {bytes}"),
            Self::ServerPollTimeout(seconds) => write!(f, " {seconds}"),
            Self::Verb(level) => write!(f, " {level}"),
        }
    }
}

impl FromStr for ClientDirective {
    type Err = InvalidDirective;

    fn from_str(text: &str) -> Result<Self, InvalidDirective> {
        let is_fit = |byte: u8| byte.is_ascii_graphic() && !br#""'`\<>#;"#.contains(&byte);
        let words: Vec<&str> = text.split(' ').collect();
        let is_words = words.iter().all(|word| !word.is_empty() && word.bytes().all(is_fit));
        if !is_words || text.len() > Self::MOST_LENGTH {
            return Err(InvalidDirective::NotWords);
        }
        match words.as_slice() {
            ["setenv", "opt", "block-outside-dns"] => Ok(Self::BlockOutsideDns),
            ["setenv", "opt", "disable-dco"] => Ok(Self::DisableDco),
            [name, arguments @ ..] => read(name, arguments),
            [] => Err(InvalidDirective::NotWords),
        }
    }
}

fn read(name: &str, arguments: &[&str]) -> Result<ClientDirective, InvalidDirective> {
    match name {
        "auth-nocache" => bare(ClientDirective::AuthNocache, arguments),
        "block-outside-dns" => bare(ClientDirective::BlockOutsideDns, arguments),
        "connect-retry" => Pauses::read(arguments).map(ClientDirective::ConnectRetry),
        "disable-dco" => bare(ClientDirective::DisableDco, arguments),
        "float" => bare(ClientDirective::Float, arguments),
        "mssfix" => counted("mssfix", "576 to 1500 bytes", arguments).map(ClientDirective::Mssfix),
        "mute" => counted("mute", "1 to 9999 messages", arguments).map(ClientDirective::Mute),
        "pull-filter" => keep_dns(arguments),
        "rcvbuf" => counted("rcvbuf", BUFFER, arguments).map(ClientDirective::Rcvbuf),
        "sndbuf" => counted("sndbuf", BUFFER, arguments).map(ClientDirective::Sndbuf),
        "server-poll-timeout" => {
            counted("server-poll-timeout", "2 to 5 seconds", arguments).map(ClientDirective::ServerPollTimeout)
        }
        "verb" => counted("verb", "a level from 0 to 4", arguments).map(ClientDirective::Verb),
        other => Err(match refused::reason_against(other) {
            Some((name, reason)) => InvalidDirective::Refused { name, reason },
            None => InvalidDirective::Unknown,
        }),
    }
}

const BUFFER: &str = "10000 to 9999999 bytes";

/// A directive without arguments.
fn bare(directive: ClientDirective, arguments: &[&str]) -> Result<ClientDirective, InvalidDirective> {
    match arguments {
        [] => Ok(directive),
        [..] => Err(InvalidDirective::Arguments {
            name: directive.name(),
            expected: "no argument",
        }),
    }
}

/// The one filter that is taken. Other spellings keep a part of what is pushed, and with it a client that finds no names.
fn keep_dns(arguments: &[&str]) -> Result<ClientDirective, InvalidDirective> {
    match arguments {
        ["ignore", "dns"] => Ok(ClientDirective::KeepDns),
        [..] => Err(InvalidDirective::Arguments {
            name: "pull-filter",
            expected: "`ignore dns` alone: with it clients keep their own DNS, and leave out dhcp-option, dns and block-outside-dns",
        }),
    }
}

/// The one number that a directive takes.
fn counted<const LEAST: u32, const MOST: u32>(
    name: &'static str,
    expected: &'static str,
    arguments: &[&str],
) -> Result<Number<LEAST, MOST>, InvalidDirective> {
    let number = match arguments {
        [number] => Number::read(number),
        [..] => None,
    };
    number.ok_or(InvalidDirective::Arguments { name, expected })
}

impl Pauses {
    fn read(arguments: &[&str]) -> Result<Self, InvalidDirective> {
        let pauses = match arguments {
            [first, longest] => Number::read(first).zip(Number::read(longest)),
            [..] => None,
        };
        let (first, longest): (Number<1, 2>, Number<1, 30>) = pauses.ok_or(InvalidDirective::Arguments {
            name: "connect-retry",
            expected: "the first pause (1 or 2 seconds) and the longest one (1 to 30 seconds)",
        })?;
        if longest.get() < first.get() {
            return Err(InvalidDirective::Pauses {
                first: first.get(),
                longest: longest.get(),
            });
        }
        Ok(Self { first, longest })
    }
}

#[cfg(test)]
mod tests;
