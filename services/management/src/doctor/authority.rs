//! The fleet's certificate authority.

use std::{io, time::SystemTime};

use sea_orm::{DatabaseConnection, EntityTrait as _};
use vpnmanager_entities::certificate_authority;
use vpnmanager_runtime::{
    doctor::{
        Check, Seen, Trouble, Verdict,
        certificates::{life_of_pem, validity},
    },
    error_chain::chain,
};

use crate::{
    config::Config,
    domain::certificates::authorities::Authorities,
    pki::{self, Pki},
};

pub(super) const AUTHORITY: Check =
    Check::new("authority", "The certificate authority opens, and has not ended").after(&["configuration"]);
pub(super) const FLEET: Check = Check::new(
    "fleet",
    "The certificate authorities that sign are those of the database",
)
.after(&["authority", "database-schema"]);

/// Opens the folder. Nothing is made where nothing is: the first start of the service does that.
pub(super) async fn open(config: &Config) -> Seen<Option<Pki>> {
    let dir = &config.pki.dir;
    let shown = dir.display();
    let looked: io::Result<Vec<bool>> = pki::FILES.iter().map(|file| dir.join(file).try_exists()).collect();
    let is_empty = match looked {
        Ok(there) => !there.contains(&true),
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("{shown} cannot be looked into: {error}"),
                "the folder is not for this account",
                "sudo vpnmanager-management doctor",
            ));
        }
    };
    if is_empty {
        let trouble = Trouble::new(
            format!("{shown} holds no certificate authority"),
            "the first start of management makes one; a further replica needs that of the first",
            "systemctl start vpnmanager-management",
        );
        return Seen::warning(trouble, None);
    }
    let pki = match Pki::open(dir) {
        Ok(pki) => pki,
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("the certificate authority in {shown} cannot be opened"),
                chain(&error).to_string(),
                format!("ls -l {shown}; vpnmanager-management restore --help"),
            ));
        }
    };
    let life = match life_of_pem(pki.ca_pem().as_bytes()) {
        Ok(life) => life,
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("{shown}/ca.pem cannot be read"),
                error.to_string(),
                format!("openssl x509 -noout -text -in {shown}/ca.pem"),
            ));
        }
    };
    let mend = format!("openssl x509 -noout -dates -in {shown}/ca.pem");
    match validity(life, SystemTime::now(), &mend) {
        Verdict::Fine(found) => Seen::fine(format!("the CA {}: {found}", short(pki.ca_fingerprint())), Some(pki)),
        Verdict::Warning(trouble) => Seen::warning(trouble, Some(pki)),
        Verdict::Failed(trouble) => Seen::failed(trouble),
        Verdict::Skipped { why, .. } => Seen::skipped(why),
    }
}

/// Whether the keys of those that sign are here, as they must be at the start of the service.
pub(super) async fn is_of_fleet((config, pki, db): (&Config, &Option<Pki>, &DatabaseConnection)) -> Seen {
    let known = match certificate_authority::Entity::find().all(db).await {
        Ok(known) => Authorities::new(known),
        Err(error) => return super::database::unreadable(&error),
    };
    if known.all().is_empty() {
        return Seen::fine("the database knows none yet", ());
    }
    let is_missing = |authority: &&str| pki.as_ref().is_none_or(|pki| !pki.holds(authority));
    let Some(expected) = [known.of_clients(), known.of_servers()].into_iter().find(is_missing) else {
        return Seen::fine("the database has the same", ());
    };
    let found = pki.as_ref().map(Pki::ca_fingerprint);
    let dir = config.pki.dir.display();
    let mend = format!("rsync -a FIRST_REPLICA:{dir}/ {dir}/");
    Seen::failed(Trouble::new(
        format!(
            "PKI_DIR has {}, and the database the CA {}",
            found.map_or("none".to_owned(), |found| format!("the CA {}", short(found))),
            short(expected)
        ),
        "it is that of another fleet, or another one has taken its place: what this replica signs nobody would take",
        mend,
    ))
}

/// The beginning of a fingerprint, for people.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..16).unwrap_or(fingerprint)
}
