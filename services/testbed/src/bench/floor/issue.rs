//! Makes keys, requests, signatures and files in a simple loop, with the same parameters as the product.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// The authority, and the folders for the files.
#[derive(Debug)]
pub(super) struct IssueFloor {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    profiles: PathBuf,
    allow: Vec<PathBuf>,
}

impl IssueFloor {
    /// One folder for profiles, and one allow-list for each node.
    pub(super) fn prepare(dir: &Path, nodes: u8) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = named("floor CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = params.self_signed(&key)?.pem();
        let folder = |name: String| {
            let folder = dir.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            anyhow::Ok(folder)
        };
        Ok(Self {
            issuer: Issuer::new(params, key),
            ca_pem,
            profiles: folder("profiles".to_owned())?,
            allow: (1..=nodes)
                .map(|node| folder(format!("allow-{node}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Makes everything of one user. Blocks.
    pub(super) fn make(&self, number: i64) -> anyhow::Result<()> {
        let name = format!("floor-{number:07}");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let csr = named(&name).serialize_request(&key)?.pem()?;

        // As the real authority does: a request with a wrong signature is refused.
        let mut asked = CertificateSigningRequestParams::from_pem(&csr)?;
        asked.params = named(&name);
        asked.params.is_ca = IsCa::ExplicitNoCa;
        asked.params.use_authority_key_identifier_extension = true;
        asked.params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        asked.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = asked.signed_by(&self.issuer)?.pem();

        let profile = [self.ca_pem.as_str(), &certificate, &key.serialize_pem()].concat();
        write(&self.profiles, &name, &profile)?;
        self.allow.iter().try_for_each(|dir| write(dir, &name, ""))
    }

    /// How many users per second all cores make together, measured for `length`.
    pub(super) fn alone(&self, length: Duration) -> anyhow::Result<f64> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let made = AtomicI64::new(0);
        let started = Instant::now();
        std::thread::scope(|scope| {
            let work = || {
                while started.elapsed() < length {
                    // Negative, so that they differ from the numbers of the chains.
                    self.make(-made.fetch_add(1, Ordering::Relaxed) - 1)?;
                }
                anyhow::Ok(())
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
        })?;
        let made = i32::try_from(made.into_inner()).unwrap_or(i32::MAX);
        Ok(f64::from(made) / started.elapsed().as_secs_f64())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Writes a file completely or not at all, and without a sync, as a node does.
fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let staged = dir.join(format!(".{name}.new"));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&staged, dir.join(name))?;
    Ok(())
}
