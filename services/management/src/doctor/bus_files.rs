//! The files of the bus, and the certificate that its servers show.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use vpnmanager_nats::security::bus_files::open::BusFiles;
use vpnmanager_runtime::{
    doctor::{
        Check, Seen, Trouble, Verdict,
        certificates::{Life, validity},
        handshake::{Begins, HandshakeError, Server, life_of_certificate},
        host_names::host_and_port,
    },
    error_chain::chain,
};

use crate::{bus_access::BusAccess, config::Config, start::bus_address};

pub(super) const FILES: Check =
    Check::new("bus-files", "The files of the bus are there and belong together").after(&["configuration"]);
pub(super) const CERTIFICATE: Check = Check::new(
    "bus-certificate",
    "The bus shows a certificate of its CA that has not ended",
)
.after(&["bus-files"])
.within(Duration::from_secs(20));

/// What renders the certificate anew, with the names that it has. Run by root, it would leave files that nats-server may not read; and the other
/// flags of `bus-init` are not noted anywhere.
pub(super) fn renewal(config: &Config) -> String {
    let dir = config.bus.dir.display();
    format!(
        "runuser -u vpnmanager -- vpnmanager-management bus-init --dir {dir} && systemctl restart vpnmanager-nats \
         # with the other flags of the first time"
    )
}

/// Reads the keys.
pub(super) async fn open(config: &Config) -> Seen<BusAccess> {
    let (files, shown) = (BusFiles::new(&config.bus.dir), config.bus.dir.display());
    match BusAccess::open(&files, bus_address(&config.bus)) {
        Ok(access) => Seen::fine(format!("{shown} has the keys of the bus"), access),
        Err(error) => {
            // Where some are left, making new ones would cut off every node.
            let mend = match files.ca_path().try_exists() {
                Ok(true) => format!("ls -l {shown}; vpnmanager-management restore --help"),
                Err(_denied) => "sudo vpnmanager-management doctor".to_owned(),
                Ok(false) => format!(
                    "runuser -u vpnmanager -- vpnmanager-management bus-init --dir {shown} --host $(hostname -f)"
                ),
            };
            Seen::failed(Trouble::new(
                format!("the files of the bus in {shown} cannot be used"),
                chain(&error).to_string(),
                mend,
            ))
        }
    }
}

/// Shakes hands with each server.
pub(super) async fn certificates(config: &Config) -> Seen {
    let address = bus_address(&config.bus);
    let Some(file) = address.ca_file else {
        return Seen::skipped("the bus has no TLS (NATS_URL begins with nats://)");
    };
    let authorities = match std::fs::read(&file) {
        Ok(pem) => pem,
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("{} cannot be read", file.display()),
                error.to_string(),
                format!("ls -l {}", file.display()),
            ));
        }
    };
    let looks = address.urls.iter().filter_map(|url| {
        let (host, port) = host_and_port(url)?;
        let server = Server {
            host,
            port,
            authorities: authorities.clone(),
            begins: Begins::Server,
        };
        Some(async move { (url.clone(), life_of_certificate(server).await) })
    });
    let shown: Vec<(String, Result<Life, HandshakeError>)> = join_all(looks).await;
    if shown.is_empty() {
        return Seen::skipped("NATS_URL names no port");
    }
    Seen::each(judge(shown, SystemTime::now(), &renewal(config)))
}

/// A cluster works while one of its servers is away.
fn judge(shown: Vec<(String, Result<Life, HandshakeError>)>, now: SystemTime, renewal: &str) -> Vec<(String, Verdict)> {
    let works = shown.iter().any(|(_, life)| life.is_ok());
    let verdict_of = |life: Result<Life, HandshakeError>| match life {
        Ok(life) => validity(life, now, renewal),
        Err(error @ HandshakeError::Connection(_)) => {
            let mend = "systemctl restart vpnmanager-nats";
            let trouble = Trouble::new("it takes no connection", chain(&error).to_string(), mend);
            match works {
                true => Verdict::Warning(trouble),
                false => Verdict::Failed(trouble),
            }
        }
        Err(error) => Verdict::Failed(Trouble::new(
            "it shows no certificate that management takes",
            chain(&error).to_string(),
            renewal,
        )),
    };
    shown.into_iter().map(|(url, life)| (url, verdict_of(life))).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn life(left: Duration) -> Result<Life, HandshakeError> {
        let ends = SystemTime::UNIX_EPOCH + DAY * 20_000 + left;
        let begins = SystemTime::UNIX_EPOCH;
        Ok(Life { begins, ends })
    }

    fn away() -> Result<Life, HandshakeError> {
        Err(HandshakeError::Connection(io::ErrorKind::ConnectionRefused.into()))
    }

    fn judged(shown: [Result<Life, HandshakeError>; 2]) -> Vec<Verdict> {
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let shown = shown.into_iter().map(|life| ("tls://bus:4222".to_owned(), life));
        let judged = judge(shown.collect(), now, "renew");
        judged.into_iter().map(|(_, verdict)| verdict).collect()
    }

    #[test]
    fn a_server_that_is_away_is_a_failure_only_where_no_other_one_is_there() {
        let one = judged([life(DAY * 400), away()]);
        assert!(
            matches!(one.as_slice(), [Verdict::Fine(_), Verdict::Warning(_)]),
            "{one:?}"
        );
        let both = judged([away(), away()]);
        assert!(
            matches!(both.as_slice(), [Verdict::Failed(_), Verdict::Failed(_)]),
            "{both:?}"
        );
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told_with_what_renews_it() {
        let soon = judged([life(DAY * 20), life(DAY)]);
        let [Verdict::Warning(soon), Verdict::Failed(now)] = soon.as_slice() else {
            panic!("{soon:?}");
        };
        assert_eq!(
            (soon.mend.as_deref(), now.mend.as_deref()),
            (Some("renew"), Some("renew"))
        );
    }
}
