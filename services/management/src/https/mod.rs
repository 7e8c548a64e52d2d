//! How management serves its API: in the clear, with a certificate of the operator's, or with one that it makes itself from the fleet's CA.

mod own;
mod served;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use tracing::{info, warn};
use vpnmanager_openapi::server::Bound;
use vpnmanager_openapi::server::tls::{PairFiles, ServedCertificate, follow};
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::tasks::Tasks;

use crate::config::Config;

pub use own::{OwnCertificate, OwnCertificateError};
pub use served::HttpsCertificate;

/// How often it is looked whether the own certificate is due. One that was not renewed in time has a month left.
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// What the API is served with.
#[derive(Debug)]
pub struct Https {
    served: Option<ServedCertificate>,
    source: Source,
}

/// Where another certificate comes from.
#[derive(Debug)]
enum Source {
    /// There is none: HTTP in the clear.
    Nowhere,
    /// TLS_CERT_FILE and TLS_KEY_FILE.
    Files(PairFiles),
    /// The fleet's CA.
    Own(Arc<OwnCertificate>),
}

impl Https {
    /// Reads the certificate, or makes one. The fleet's CA is made where there is none yet.
    ///
    /// # Errors
    /// The files cannot be served, or the folder of the CA cannot be used.
    pub fn prepare(config: &Config) -> anyhow::Result<Self> {
        let (pair, source) = if let Some(files) = config.tls.files() {
            (files.load()?, Source::Files(files))
        } else if config.makes_own_certificate() {
            let own = OwnCertificate::new(&config.pki.dir, &config.server_id, config.https_names());
            let pair = own
                .current()
                .context("management cannot make itself a certificate for HTTPS")?;
            (pair, Source::Own(Arc::new(own)))
        } else {
            return Ok(Self {
                served: None,
                source: Source::Nowhere,
            });
        };
        Ok(Self {
            served: Some(ServedCertificate::new(pair)),
            source,
        })
    }

    /// The certificate, where there is one.
    #[must_use]
    pub fn served(&self) -> Option<&ServedCertificate> {
        self.served.as_ref()
    }

    /// These addresses, with HTTPS where there is a certificate.
    #[must_use]
    pub fn secure(&self, bound: Bound) -> Bound {
        match &self.served {
            Some(served) => bound.secured(served),
            None => bound,
        }
    }

    /// Starts what brings another certificate in time.
    pub fn start(self, tasks: &Tasks) {
        let Some(served) = self.served else { return };
        let pair = served.pair();
        info!(not_after = %pair.not_after(), ca.sha256 = pair.root_fingerprint(), "The API is served with HTTPS");
        let stop = tasks.token();
        match self.source {
            Source::Nowhere => {}
            Source::Files(files) => tasks.spawn("https-certificate", async move {
                stop.run_until_cancelled(follow(files, served)).await;
                Ok(())
            }),
            Source::Own(own) => tasks.spawn("https-certificate", async move {
                stop.run_until_cancelled(renew(&own, &served)).await;
                Ok(())
            }),
        }
    }
}

/// The file of the certificate that the API is served with; `None`: it is served in the clear.
#[must_use]
pub fn certificate_file(config: &Config) -> Option<PathBuf> {
    match config.tls.files() {
        Some(files) => Some(files.certificate),
        None => config
            .makes_own_certificate()
            .then(|| own::file_of(&config.pki.dir, &config.server_id)),
    }
}

/// Makes the next certificate when two thirds of the life of the present one are over, or the fleet has another CA, for ever.
async fn renew(own: &OwnCertificate, served: &ServedCertificate) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if !own.is_due(&served.pair(), Utc::now()) {
            continue;
        }
        match own.current() {
            Ok(pair) => {
                info!(not_after = %pair.not_after(), "The certificate of HTTPS was renewed");
                served.replace(pair);
            }
            Err(error) => warn!(error = %chain(&error), "Renewing the certificate of HTTPS failed; trying again"),
        }
    }
}
