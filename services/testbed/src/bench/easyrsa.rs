//! Measures the usual way to make a user: `easyrsa build-client-full`, if easy-rsa is installed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::process::Command;
use vpnmanager_testbed::binaries;

const USERS: u32 = 5;

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Easyrsa {
    /// ECDSA P-256, as ours.
    pub(super) ec_seconds_per_user: f64,
    /// RSA 2048, its default.
    pub(super) rsa_seconds_per_user: f64,
}

/// Measures it in `dir`; `None` where it is not installed.
pub(super) async fn measure(dir: &Path) -> anyhow::Result<Option<Easyrsa>> {
    let Ok(program) = binaries::easyrsa() else {
        return Ok(None);
    };
    let seconds = async |algorithm: &[(&str, &str)], name: &str| {
        let pki = dir.join(format!("easyrsa-{name}"));
        per_user(&program, &pki, algorithm).await.map(|took| took.as_secs_f64())
    };
    Ok(Some(Easyrsa {
        ec_seconds_per_user: seconds(&[("EASYRSA_ALGO", "ec"), ("EASYRSA_CURVE", "prime256v1")], "ec").await?,
        rsa_seconds_per_user: seconds(&[("EASYRSA_ALGO", "rsa")], "rsa").await?,
    }))
}

async fn per_user(program: &Path, pki: &Path, algorithm: &[(&str, &str)]) -> anyhow::Result<Duration> {
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("EASYRSA_BATCH", "1")
            .env("EASYRSA_PKI", pki)
            .envs(algorithm.iter().copied());
        let output = command
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run easyrsa")?;
        if !output.status.success() {
            bail!(
                "easyrsa {} failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        anyhow::Ok(())
    };
    run(&["init-pki"]).await?;
    run(&["build-ca", "nopass"]).await?;
    let started = Instant::now();
    for user in 0..USERS {
        run(&["build-client-full", &format!("user-{user}"), "nopass"]).await?;
    }
    Ok(started.elapsed() / USERS)
}
