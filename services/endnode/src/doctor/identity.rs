//! Who the node is, and how long its certificate is still valid.

use std::time::SystemTime;

use chrono::SecondsFormat;
use vpnmanager_nats::connect::NodeJwt;
use vpnmanager_runtime::{
    doctor::{
        Check, Seen, Trouble,
        certificates::{life_of_pem, validity},
    },
    error_chain::chain,
};

use crate::{
    config::Config,
    enrolled::Enrolled,
    identity::{Identity, IdentityError, NodeKeys},
    state_dir::StateDir,
};

pub(super) const IDENTITY: Check =
    Check::new("identity", "The node has enrolled, and its keys are its own").after(&["configuration"]);
pub(super) const CERTIFICATE: Check =
    Check::new("certificate", "The certificate of the node's OpenVPN has not ended").after(&["identity"]);

/// Reads it. Nothing is made where nothing is: enrolling does that.
pub(super) async fn look(config: &Config) -> Seen<Enrolled> {
    let root = match std::path::absolute(&config.state_dir) {
        Ok(root) => root,
        Err(error) => return unusable(config, &error),
    };
    let dir = StateDir::new(root);
    let shown = dir.root().display().to_string();
    for file in [dir.identity(), dir.bus_key(), dir.key()] {
        match file.try_exists() {
            Ok(true) => {}
            Ok(false) => {
                return Seen::failed(Trouble::new(
                    format!("this node has not enrolled: {} is not there", file.display()),
                    "management has not let it in yet; the agent's log says what it waits for",
                    "journalctl -u vpnmanager-endnode -n 50",
                ));
            }
            Err(error) => {
                return Seen::failed(Trouble::new(
                    format!(
                        "whether this node has enrolled cannot be seen: {}: {error}",
                        file.display()
                    ),
                    "the folder is not for this account",
                    "sudo vpnmanager-endnode doctor",
                ));
            }
        }
    }
    let (keys, identity) = match read(&dir, config) {
        Ok((keys, Some(identity))) => (keys, identity),
        Ok((_, None)) => return Seen::skipped("the identity has just gone"),
        Err(error) => return unusable(config, &error),
    };
    if !identity.is_for(&keys) {
        return Seen::failed(Trouble::new(
            format!("identity.json and the keys in {shown} do not belong together"),
            "one of them was restored without the other",
            format!("ls -l --full-time {shown}"),
        ));
    }
    let found = format!(
        "{} enrolled at {}",
        identity.server_id,
        identity.enrolled_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    let enrolled = Enrolled {
        jwt: NodeJwt::from(identity.bus_jwt.clone()),
        identity,
        keys,
        dir,
    };
    Seen::fine(found, enrolled)
}

fn read(dir: &StateDir, config: &Config) -> Result<(NodeKeys, Option<Identity>), IdentityError> {
    let keys = NodeKeys::load_or_make(dir, &config.server_id)?;
    Ok((keys, Identity::load(dir, &config.server_id)?))
}

fn unusable<T>(config: &Config, error: &(dyn std::error::Error + 'static)) -> Seen<T> {
    let shown = config.state_dir.display();
    Seen::failed(Trouble::new(
        format!("the identity in {shown} cannot be used"),
        chain(error).to_string(),
        format!("ls -l {shown}; ${{EDITOR:-vi}} /etc/vpnmanager/endnode-config.json"),
    ))
}

/// Looks at the end of the certificate, which the agent renews long before: where it did not, its log says why.
pub(super) async fn certificate(enrolled: &Enrolled) -> Seen {
    let mend = "systemctl restart vpnmanager-endnode; journalctl -u vpnmanager-endnode -n 50";
    match life_of_pem(enrolled.identity.certificate.as_bytes()) {
        Ok(life) => validity(life, SystemTime::now(), mend).into(),
        Err(error) => Seen::failed(Trouble::new(
            "the certificate in identity.json cannot be read",
            chain(&error).to_string(),
            mend,
        )),
    }
}
