//! Whether names lead to machines.

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    time::Duration,
};

use futures_util::future::join_all;

use super::check::{Seen, Trouble};

/// How long the name service may take: it has no time of its own.
const PATIENCE: Duration = Duration::from_secs(4);

/// A name, and which setting has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The setting, such as `NATS_URL`.
    pub setting: &'static str,
    /// The name, or an address, which leads to itself.
    pub host: String,
}

/// Looks up each name.
pub async fn look(names: Vec<Named>) -> Seen {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    let looked = join_all(names.iter().map(|named| addresses(&named.host))).await;
    for (Named { setting, host }, looked) in names.iter().zip(looked) {
        match looked {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                found.push(format!("{setting}: {host} is {}", addresses.join(", ")));
            }
            Err(error) => lost.push((*setting, host, error)),
        }
    }
    let count = found.len();
    let Some((_, first, _)) = lost.first() else {
        let said = match count {
            0 => "no setting has a name".to_owned(),
            _ => format!("{count} names are known"),
        };
        return Seen::fine(said, ()).with_details(found);
    };
    let mend = format!("getent ahosts {first} || cat /etc/resolv.conf");
    let said: Vec<String> = lost
        .iter()
        .map(|(setting, host, error)| format!("{host} of {setting} is not known: {error}"))
        .collect();
    let why = "the setting has a wrong name, or the name service of this machine does not answer";
    Seen::failed(Trouble::new(said.join("; "), why, mend)).with_details(found)
}

/// The addresses of a name, each once.
async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await;
    let no_answer = || io::Error::new(ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
    let found = found.unwrap_or_else(|_elapsed| Err(no_answer()))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(io::Error::other("it has no address"));
    }
    Ok(addresses)
}

/// Host and port of `scheme://host:port`, `host:port` or `[address]:port`. `None` where there is no port.
#[must_use]
pub fn host_and_port(place: &str) -> Option<(String, u16)> {
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

/// Where a program of this machine reaches what listens at `host:port`.
#[must_use]
pub fn dialled(listen: &str) -> String {
    let Some((host, port)) = host_and_port(listen) else {
        return listen.to_owned();
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => format!("127.0.0.1:{port}"),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => format!("[::1]:{port}"),
        Ok(_) | Err(_) => listen.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Verdict, *};

    #[test]
    fn places_are_taken_apart() {
        let host = |place: &str| host_and_port(place);
        assert_eq!(
            host("tls://bus.example.org:4222"),
            Some(("bus.example.org".to_owned(), 4222))
        );
        assert_eq!(host("[2001:db8::1]:8080"), Some(("2001:db8::1".to_owned(), 8080)));
        assert_eq!(
            host("https://vpn.example.org:8443/vpn"),
            Some(("vpn.example.org".to_owned(), 8443))
        );
        for none in ["https://vpn.example.org", "vpn.example.org:http", ""] {
            assert_eq!(host(none), None, "{none}");
        }
    }

    #[test]
    fn every_address_is_dialled_where_it_can_be() {
        for (listen, expected) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("localhost:8080", "localhost:8080"),
        ] {
            assert_eq!(dialled(listen), expected);
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_told_with_its_setting() {
        let named = |setting, host: &str| Named {
            setting,
            host: host.to_owned(),
        };
        let seen = look(vec![
            named("NATS_URL", "127.0.0.1"),
            named("DB_HOST", "no-such-host.invalid"),
        ])
        .await;
        assert_eq!(seen.details, ["NATS_URL: 127.0.0.1 is 127.0.0.1"]);
        let (_, verdict) = &seen.verdicts[0];
        assert!(
            matches!(verdict, Verdict::Failed(trouble) if trouble.found.starts_with("no-such-host.invalid of DB_HOST")),
            "{verdict:?}"
        );
    }
}
