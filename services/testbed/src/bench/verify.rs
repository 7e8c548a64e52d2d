//! Checks that everything that was counted exists: in the database, as a certificate, and as files on the nodes.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use serde::Serialize;
use vpnmanager_testbed::stack::Stack;

use super::load::Creator;

/// Users checked together.
const PAGE: usize = 5000;
/// The most problems that are printed.
const TOLD: usize = 5;

const USERS: &str = "
    SELECT u.id, u.username, u.synced, u.checksum, u.server_id, c.common_name, c.serial, c.certificate, c.profile_checksum,
        (SELECT string_agg(p.server_id, ' ') FROM placements p
          WHERE p.user_id = u.id AND p.wanted_present AND p.applied_revision = p.wanted_revision) AS applied,
        (SELECT count(*) FROM placements p WHERE p.user_id = u.id) AS placements
    FROM users u LEFT JOIN credentials c ON c.user_id = u.id
    WHERE u.username LIKE $1 || '%' AND u.id > $2 ORDER BY u.id, c.id LIMIT $3";

/// The number of things that were checked and correct.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Verified {
    pub(super) users: usize,
    pub(super) distinct_certificates: usize,
    pub(super) whole_profiles: usize,
    pub(super) allow_list_entries: usize,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: i64,
    username: String,
    synced: bool,
    checksum: Option<String>,
    server_id: String,
    common_name: Option<String>,
    serial: Option<String>,
    certificate: Option<String>,
    profile_checksum: Option<String>,
    applied: Option<String>,
    placements: i64,
}

/// Checks every user whose create was answered.
///
/// # Errors
/// When one of them is not synced, shares a certificate, is not in the inventory, or lacks a whole profile on its home or
/// its entry on an allow-list.
pub(super) async fn verify(stack: &Stack, db: &DatabaseConnection, created: u64) -> anyhow::Result<Verified> {
    let unsynced = stack.api().users("?synced=false&limit=1").await?.expect(200)?;
    ensure!(
        unsynced.items().is_empty(),
        "the API lists users that are not synced: {}",
        unsynced.text
    );

    let nodes: BTreeMap<String, PathBuf> = stack.nodes().map(|node| (node.id(), node.dir())).collect();
    let mut inspection = Inspection {
        nodes,
        ..Inspection::default()
    };
    let mut after = 0;
    loop {
        let values = [Creator::PREFIX.into(), after.into(), i64::try_from(PAGE)?.into()];
        let statement = Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, USERS, values);
        let rows = Row::find_by_statement(statement)
            .all(db)
            .await
            .context("cannot read the inventory")?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        inspection = tokio::task::spawn_blocking(move || {
            rows.iter().for_each(|row| inspection.look(row));
            inspection
        })
        .await?;
    }
    inspection.conclude(usize::try_from(created)?)
}

#[derive(Debug, Default)]
struct Inspection {
    nodes: BTreeMap<String, PathBuf>,
    users: HashSet<i64>,
    serials: HashSet<String>,
    certificates: HashSet<String>,
    whole_profiles: usize,
    allow_list_entries: usize,
    problems: usize,
    told: Vec<String>,
}

impl Inspection {
    fn look(&mut self, row: &Row) {
        if let Err(problem) = self.check(row) {
            self.problems += 1;
            if self.told.len() < TOLD {
                self.told.push(format!("{}: {problem:#}", row.username));
            }
        }
    }

    fn check(&mut self, row: &Row) -> anyhow::Result<()> {
        ensure!(self.users.insert(row.id), "has more than one credential");
        ensure!(row.synced, "is not synced");
        let name = row.common_name.as_ref().context("has no credential")?;
        let serial = row.serial.as_ref().context("has no certificate in the inventory")?;
        let certificate = row
            .certificate
            .as_ref()
            .context("has no certificate in the inventory")?;
        ensure!(self.serials.insert(serial.clone()), "shares the serial number {serial}");
        ensure!(self.certificates.insert(certificate.clone()), "shares its certificate");

        let checksum = row
            .profile_checksum
            .as_ref()
            .context("has no checksum of its profile in the inventory")?;
        ensure!(
            row.checksum.as_ref() == Some(checksum),
            "has another checksum than its credential"
        );
        let home = self
            .nodes
            .get(&row.server_id)
            .context("lives on a node that is not there")?;
        let path = home.join("profiles").join(format!("{name}.ovpn"));
        let profile = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, profile.as_bytes());
        ensure!(
            HEXLOWER.encode(digest.as_ref()) == *checksum,
            "the profile is not the one that was recorded"
        );
        well_formed(&profile, certificate, usize::try_from(row.placements)?)?;
        self.whole_profiles += 1;

        let applied: Vec<&str> = row.applied.as_deref().unwrap_or_default().split_whitespace().collect();
        ensure!(i64::try_from(applied.len())? == row.placements, "is pending on a node");
        for node in applied {
            let dir = self.nodes.get(node).context("is placed on a node that is not there")?;
            ensure!(
                dir.join("allow").join(name).is_file(),
                "is not on the allow-list of {node}"
            );
            self.allow_list_entries += 1;
        }
        Ok(())
    }

    fn conclude(self, created: usize) -> anyhow::Result<Verified> {
        if self.problems > 0 {
            bail!(
                "{} of {} users are not in order; {}",
                self.problems,
                created,
                self.told.join("; ")
            );
        }
        ensure!(
            self.users.len() == created,
            "{created} users were created, {} are in the inventory",
            self.users.len()
        );
        Ok(Verified {
            users: self.users.len(),
            distinct_certificates: self.certificates.len(),
            whole_profiles: self.whole_profiles,
            allow_list_entries: self.allow_list_entries,
        })
    }
}

/// Checks that the profile has each part once, the certificate of the inventory, and one address for each node.
fn well_formed(profile: &str, certificate: &str, nodes: usize) -> anyhow::Result<()> {
    let remotes = profile.lines().filter(|line| line.starts_with("remote ")).count();
    ensure!(remotes == nodes, "the profile names {remotes} nodes, not {nodes}");
    for tag in ["ca", "cert", "key", "tls-crypt-v2"] {
        let text = block(profile, tag).with_context(|| format!("the profile has no <{tag}>"))?;
        let is_pem = text.contains("-----BEGIN ") && text.contains("-----END ");
        ensure!(is_pem, "<{tag}> of the profile is not PEM");
    }
    let held = block(profile, "cert").unwrap_or_default();
    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    ensure!(
        bare(held) == bare(certificate),
        "the profile holds another certificate than the inventory"
    );
    Ok(())
}

fn block<'t>(profile: &'t str, tag: &str) -> Option<&'t str> {
    let (_, rest) = profile.split_once(&format!("<{tag}>\n"))?;
    let (text, after) = rest.split_once(&format!("</{tag}>\n"))?;
    (!after.contains(&format!("<{tag}>"))).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(certificate: &str) -> String {
        let pem = "-----BEGIN X-----\nAA==\n-----END X-----\n";
        format!(
            "client\nremote a 1194\n<ca>\n{pem}</ca>\n<cert>\n{certificate}</cert>\n<key>\n{pem}</key>\n\
             <tls-crypt-v2>\n{pem}</tls-crypt-v2>\n"
        )
    }

    #[test]
    fn a_profile_that_lacks_something_or_holds_another_certificate_is_found_out() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let whole = profile(certificate);
        well_formed(&whole, certificate, 1).unwrap();
        assert!(well_formed(&whole, certificate, 2).is_err());
        assert!(well_formed(&whole, &certificate.replace("AA", "BB"), 1).is_err());
        for (part, without) in [("<key>", ""), ("</tls-crypt-v2>\n", ""), ("-----BEGIN X-----", "")] {
            assert!(
                well_formed(&whole.replace(part, without), certificate, 1).is_err(),
                "{part}"
            );
        }
    }
}
