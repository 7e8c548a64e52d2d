//! `pki/`: the certificates of the fleet's authority, as easy-rsa has them, without keys.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use data_encoding::HEXUPPER;
use sea_orm::{ColumnTrait as _, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vpnmanager_entities::{certificate_authority, credential};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::secret_file::create_dir;

use super::files::{ExportError, PAGE, new_file};
use crate::domain::easy_rsa::{Listed, index_line};

const SERIAL_BYTES: usize = 16;

/// Writes `ca.crt`, `issued/`, `index.txt` and `serial`, and gives how many certificates are in the list.
pub(super) async fn write(db: &DatabaseConnection, folder: &Path, node: Option<&NodeId>) -> Result<usize, ExportError> {
    let issued = folder.join("issued");
    create_dir(folder)?;
    create_dir(&issued)?;
    let authorities = certificate_authority::Entity::find().all(db).await?;
    let authorities: String = authorities.into_iter().map(|authority| authority.certificate).collect();
    new_file(&folder.join("ca.crt"))?.write_all(authorities.as_bytes())?;
    new_file(&folder.join("index.txt.attr"))?.write_all(b"unique_subject = no\n")?;
    new_file(&folder.join("serial"))?.write_all(next_serial().as_bytes())?;
    let mut index = BufWriter::new(new_file(&folder.join("index.txt"))?);
    let (mut after, mut written, now) = (0, 0, Utc::now());
    loop {
        let page = page(db, node, after).await?;
        let Some(last) = page.last() else {
            index.flush()?;
            return Ok(written);
        };
        after = last.id;
        for credential in &page {
            written += usize::from(write_one(&mut index, &issued, credential, now)?);
        }
    }
}

/// The signed credentials after this one.
async fn page(db: &DatabaseConnection, node: Option<&NodeId>, after: i64) -> Result<Vec<credential::Model>, DbErr> {
    let mut query = credential::Entity::find()
        .filter(credential::COLUMN.id.gt(after))
        .filter(credential::Column::Certificate.is_not_null())
        .order_by_asc(credential::Column::Id)
        .limit(PAGE);
    if let Some(node) = node {
        query = query.filter(credential::Column::ServerId.eq(node.clone()));
    }
    query.all(db).await
}

/// Whether it is a certificate: what is signed has all that is asked for here.
fn write_one(
    index: &mut BufWriter<File>,
    issued: &Path,
    credential: &credential::Model,
    now: DateTime<Utc>,
) -> Result<bool, ExportError> {
    let (Some(certificate), Some(serial), Some(not_after)) =
        (&credential.certificate, &credential.serial, credential.not_after)
    else {
        return Ok(false);
    };
    let listed = Listed {
        common_name: &credential.common_name,
        serial,
        not_after,
        revoked_at: credential.revoked_at,
    };
    index.write_all(index_line(listed, now).as_bytes())?;
    if credential.revoked_at.is_none() {
        let name = format!("{}.crt", credential.common_name);
        new_file(&issued.join(name))?.write_all(certificate.as_bytes())?;
    }
    Ok(true)
}

/// Where OpenSSL goes on to count: a number that nobody has had, below the highest of so many bytes.
fn next_serial() -> String {
    let mut bytes = [0; SERIAL_BYTES];
    rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes[0] &= 0x7f;
    format!("{}\n", HEXUPPER.encode(&bytes))
}
