//! URLs of PostgreSQL: what stands in one, and what is wrong with it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret as _, SecretString};

use super::sslmode::SslMode;
use super::trust::{PARAMETERS, Trust, is_system};

/// What is wrong with several hosts, wherever they are given.
pub(super) const SEVERAL_HOSTS: &str = "it names several hosts, and one is taken: give a name, or the address of a proxy, that always leads to the primary";

const CUT_OFF: &str = "its host ends before the last @: a / ? or # in the user or the password must be written as %2F, %3F or %23, and an @ as %40";
const NO_PORT: &str = "its port is not a number from 1 to 65535";
const NO_SSLMODE: &str = "its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full";
const NO_SESSION_ATTRS: &str = "target_session_attrs is not supported, take it out: one host is taken, so give a name, or the address of a \
                                proxy, that always leads to the primary";

/// The names of the parameter that asks for TLS.
const SSLMODE: [&str; 2] = ["sslmode", "ssl-mode"];
/// Those of the parameter that names a CA.
const SSLROOTCERT: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// What is wrong with a URL of PostgreSQL, without repeating any of it: it holds a password.
pub(super) fn fault_of_url(url: &SecretString) -> Option<&'static str> {
    let text = url.expose_secret();
    let Some((_, rest)) = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.starts_with("postgres"))
    else {
        return Some("it is not a URL of PostgreSQL: it does not begin with postgres://");
    };
    // What follows the host begins with one of these, so one of them in a password ends the host there.
    let (authority, after_host) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let before_at = after_host.split_once('@').map(|(before, _)| before);
    if before_at.is_some_and(|before| !before.contains('=')) {
        return Some(CUT_OFF);
    }
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    if let Some(fault) = fault_of_place(place) {
        // Without a user before it, and with an @ behind it, this place is a user and the beginning of a password.
        let is_cut_off = place == authority && before_at.is_some();
        return Some(if is_cut_off { CUT_OFF } else { fault });
    }
    let of_parameters = parameters(text)
        .iter()
        .find_map(|(name, value)| fault_of_parameter(name, value));
    of_parameters.or_else(|| {
        user_of(url).is_none().then_some(
            "it is not a URL of PostgreSQL: : / ? # @ and % in the user or the password must be written as %3A %2F %3F %23 %40 and %25",
        )
    })
}

/// What is wrong with a host and its port.
fn fault_of_place(place: &str) -> Option<&'static str> {
    if place.contains(',') {
        return Some(SEVERAL_HOSTS);
    }
    let after_brackets = place.rsplit_once(']').map_or(place, |(_, rest)| rest);
    let (_, port) = after_brackets.split_once(':')?;
    if port.contains(':') {
        return Some("its host has several colons: an IPv6 address stands in brackets, as in [2001:db8::1]:5432");
    }
    (!port.is_empty() && !is_port(port)).then_some(NO_PORT)
}

fn fault_of_parameter(name: &str, value: &str) -> Option<&'static str> {
    match name {
        name if SSLMODE.contains(&name) => SslMode::of_word(value).is_none().then_some(NO_SSLMODE),
        "host" | "hostaddr" | "port" if value.contains(',') => Some(SEVERAL_HOSTS),
        "hostaddr" => value
            .parse::<IpAddr>()
            .is_err()
            .then_some("its hostaddr is not an IP address"),
        "port" => (!is_port(value)).then_some(NO_PORT),
        "statement-cache-capacity" => value
            .parse::<usize>()
            .is_err()
            .then_some("its statement-cache-capacity is not a number"),
        "target_session_attrs" => Some(NO_SESSION_ATTRS),
        _ => None,
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// The user in a URL of PostgreSQL; `None` if it is no such URL. As in the library that connects, a URL without a user names that of the
/// process.
pub(super) fn user_of(url: &SecretString) -> Option<String> {
    let url = url.expose_secret();
    let is_postgres = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    let options = is_postgres.then(|| PgConnectOptions::from_str(url).ok()).flatten()?;
    Some(options.get_username().to_owned())
}

/// The password in a URL of PostgreSQL: after the user, or as a parameter, which counts as it comes later.
pub(super) fn password_of(url: &SecretString) -> Option<String> {
    let url = url.expose_secret();
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let of_user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    parameter(url, &["password"]).or_else(|| of_user.map(|(_, password)| decoded(password)))
}

/// Whether PostgreSQL is on this machine; `None` if it is no URL of PostgreSQL.
pub(super) fn is_here(url: &SecretString) -> Option<bool> {
    let options = PgConnectOptions::from_str(url.expose_secret()).ok()?;
    let host = options.get_host().trim_matches(['[', ']']);
    Some(options.get_socket().is_some() || SslMode::default_for(host) == SslMode::Prefer)
}

/// Whether the URL says nothing of TLS, and leads to another machine, so that its certificate is verified.
pub(super) fn verifies_by_default(url: &SecretString) -> bool {
    parameter(url.expose_secret(), &SSLMODE).is_none() && is_here(url) == Some(false)
}

/// The CA that the URL names, with the mode that it asks for.
pub(super) fn trust_of(url: &SecretString) -> Option<Trust> {
    let ca = PathBuf::from(parameter(url.expose_secret(), &SSLROOTCERT)?);
    let said = parameter(url.expose_secret(), &SSLMODE).and_then(|word| SslMode::of_word(&word));
    let by_default = if verifies_by_default(url) {
        SslMode::VerifyFull
    } else {
        SslMode::Prefer
    };
    Some(Trust {
        mode: said.unwrap_or(by_default),
        ca,
        names: PARAMETERS,
    })
}

/// The same URL as the library must have it: with the default mode for its host where that is not `prefer` and the URL says nothing, and
/// without a CA that is no file.
pub(super) fn for_library(url: &SecretString) -> SecretString {
    let mut text = url.expose_secret().to_owned();
    if parameter(&text, &SSLROOTCERT).is_some_and(|ca| is_system(Path::new(&ca))) {
        text = without(&text, &SSLROOTCERT);
    }
    if verifies_by_default(url) {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str("sslmode=");
        text.push_str(SslMode::VerifyFull.as_str());
    }
    text.into()
}

/// The same URL without the parameters of these names.
fn without(url: &str, names: &[&str]) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or(pair);
        !names.contains(&decoded(name).as_str())
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    if kept.is_empty() {
        return before.to_owned();
    }
    format!("{before}?{}", kept.join("&"))
}

/// The parameters of a URL, decoded, in their order.
fn parameters(url: &str) -> Vec<(String, String)> {
    let before_fragment = url.split('#').next().unwrap_or(url);
    let query = before_fragment.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    // Here, and nowhere else in a URL, a + is a space (WHATWG URL, application/x-www-form-urlencoded).
    let text = |part: &str| decoded(&part.replace('+', " "));
    pairs.map(|(name, value)| (text(name), text(value))).collect()
}

/// A parameter by its names. The last one counts.
fn parameter(url: &str, names: &[&str]) -> Option<String> {
    let found = parameters(url)
        .into_iter()
        .rfind(|(name, _)| names.contains(&name.as_str()))?;
    Some(found.1)
}

/// Percent-encoding of everything outside the unreserved characters of RFC 3986.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _infallible = write!(encoded, "%{byte:02X}");
            }
            encoded
        })
}

/// The reverse; what is no such encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, following @ ..] = rest {
        let code = following.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                decoded.push(byte);
                rest = following.get(2..).unwrap_or_default();
            }
            Some(_) | None => {
                decoded.push(*first);
                rest = following;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
