//! Records the certificates that management itself has, as its files are at this moment.

use std::path::PathBuf;

use sea_orm::{DbErr, EntityTrait as _};
use vpnmanager_entities::{certificate::Kind, certificate_authority};
use vpnmanager_nats::security::bus_files::open::BusFiles;

use super::record::{Found, record};
use crate::{
    app::App,
    https,
    ops::transact::transact,
    pki::{CertificateFacts, first_certificate},
};

/// A file with a certificate. One that is not there, or cannot be read, has none.
struct OwnFile {
    kind: Kind,
    holder: String,
    path: PathBuf,
}

/// Records the fleet's authorities, and what this replica finds in its files. Replicas may do this at once.
pub async fn record_own(app: &App) -> Result<(), DbErr> {
    let authorities = certificate_authority::Entity::find().all(&app.db).await?;
    let authorities = authorities.into_iter().map(|authority| {
        let facts = CertificateFacts::of_pem(&authority.certificate)?;
        Some(Found {
            kind: Kind::Ca,
            server_id: None,
            // None takes the place of another one: each is in use until it is not in the table any more.
            holder: authority.fingerprint,
            pem: authority.certificate,
            facts,
        })
    });
    let mut found: Vec<Found> = authorities.flatten().collect();
    for file in own_files(app) {
        found.extend(read(file).await);
    }
    let found = found.as_slice();
    transact(&app.db, |tx| async move {
        for one in found {
            record(&tx, one.clone()).await?;
        }
        Ok(())
    })
    .await
}

/// The files of this replica. Of the bus the copies of all replicas count as one; the HTTPS of each is its own.
fn own_files(app: &App) -> Vec<OwnFile> {
    let bus = BusFiles::new(&app.config.bus.dir);
    let of_bus = |holder: &str, path| OwnFile {
        kind: Kind::Bus,
        holder: holder.to_owned(),
        path,
    };
    let https = https::certificate_file(&app.config).map(|path| OwnFile {
        kind: Kind::Https,
        holder: app.config.server_id.clone(),
        path,
    });
    let of_bus = [
        of_bus("authority", bus.ca_path()),
        of_bus("server", bus.server_certificate_path()),
    ];
    of_bus.into_iter().chain(https).collect()
}

async fn read(file: OwnFile) -> Option<Found> {
    let OwnFile { kind, holder, path } = file;
    let text = tokio::fs::read_to_string(path).await.ok()?;
    // The file of HTTPS may have the key too, which must not get into the database.
    let pem = first_certificate(&text)?.to_owned();
    let facts = CertificateFacts::of_pem(&pem)?;
    Some(Found {
        kind,
        server_id: None,
        holder,
        pem,
        facts,
    })
}
