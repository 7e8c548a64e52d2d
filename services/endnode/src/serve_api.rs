//! Serving the local API.

use std::path::Path;

use anyhow::Context as _;
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use tracing::info;
use vpnmanager_openapi::server::{
    Bound, LocalSocket,
    tls::{ServedCertificate, follow},
};
use vpnmanager_runtime::{secret_file, tasks::Tasks};

use crate::{
    api::{self, LocalNode},
    config::Config,
    state_dir::StateDir,
};

/// The certificate of HTTPS, where one is configured. It is read anew when its files change.
pub(crate) fn certificate_of(config: &Config, tasks: &Tasks) -> anyhow::Result<Option<ServedCertificate>> {
    let Some(files) = config.tls.files() else {
        return Ok(None);
    };
    let served = ServedCertificate::new(files.load()?);
    let (stop, followed) = (tasks.token(), served.clone());
    tasks.spawn("https-certificate", async move {
        stop.run_until_cancelled(follow(files, followed)).await;
        Ok(())
    });
    Ok(Some(served))
}

/// Binds the addresses and starts the server.
pub(crate) async fn serve_api(
    config: &Config,
    dir: &StateDir,
    local: LocalNode,
    served: Option<&ServedCertificate>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let key = local_key(config, &dir.api_key())?;
    let application = api::application(local, key, config.http.body_timeout, tasks.clone());
    let mut bound = Bound::new(&config.listen).await?.with(config.http);
    if let Some(served) = served {
        bound = bound.secured(served);
    }
    if let Some(path) = &config.api_socket {
        bound = bound.also_at(LocalSocket::bind(path)?);
    }
    info!(addresses = ?bound.addresses(), socket = ?config.api_socket, "The local API listens");
    let (stop, grace) = (tasks.token(), config.shutdown_timeout / 2);
    tasks.spawn("api", async move {
        Ok(bound.serve(application, stop.cancelled_owned(), grace).await?)
    });
    Ok(())
}

/// The configured key, or one that is made at the first start and kept.
fn local_key(config: &Config, file: &Path) -> anyhow::Result<SecretString> {
    if let Some(key) = &config.api_key {
        return Ok(key.clone());
    }
    if file.exists() {
        return Ok(secret_file::read(file)?);
    }
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).context("the operating system has no randomness to give")?;
    let key = SecretString::from(BASE64URL_NOPAD.encode(&bytes));
    secret_file::write(file, format!("{}\n", key.expose_secret()))?;
    info!(file = %file.display(), "Made a key for the local API");
    Ok(key)
}
