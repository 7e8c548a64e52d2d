//! The operator and its three accounts: SYS (the server's own), VPN (management), NODES (agents).

use std::path::Path;

use chrono::{TimeDelta, Utc};
use nkeys::KeyPair;
use secrecy::ExposeSecret as _;
use vpnmanager_secret_file as secret_file;

use super::{init_error::BusInitError, names};
use crate::{
    permissions,
    security::{
        claims::{AccountClaims, OperatorClaims, UserClaims, UserPermissions},
        creds::Credentials,
        jwt::{Claims, JwtError},
        keys::AccountKey,
    },
};

/// A fresh fleet. The accounts' own keys are dropped once they have signed management's and the system's user:
/// the operator can always give an account another signing key, and what does not exist cannot be stolen.
pub(super) struct NewAccounts {
    operator: KeyPair,
    operator_signing: KeyPair,
    nodes_signing: KeyPair,
    management: Credentials,
    system: Credentials,
    tokens: Accounts,
}

/// The tokens that the server's configuration holds.
pub(super) struct Accounts {
    /// Public key of the operator.
    pub(super) operator: String,
    pub(super) operator_jwt: String,
    pub(super) system: Account,
    pub(super) vpn: Account,
    pub(super) nodes: Account,
}

/// One account.
pub(super) struct Account {
    pub(super) key: String,
    pub(super) jwt: String,
}

impl NewAccounts {
    pub(super) fn generate() -> Result<Self, BusInitError> {
        Self::sign().map_err(BusInitError::Accounts)
    }

    fn sign() -> Result<Self, JwtError> {
        let (operator, operator_signing) = (KeyPair::new_operator(), KeyPair::new_operator());
        let (system, vpn, nodes) = (KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_account());
        let nodes_signing = KeyPair::new_account();

        let body = OperatorClaims {
            signing_keys: vec![operator_signing.public_key()],
            system_account: Some(system.public_key()),
        };
        let operator_jwt = Claims::new("vpnmanager", operator.public_key(), body).sign(&operator)?;
        let account = |name: &str, key: &KeyPair, body| {
            let key = key.public_key();
            let jwt = Claims::new(name, &key, body).sign(&operator_signing)?;
            Ok::<_, JwtError>(Account { key, jwt })
        };
        let tokens = Accounts {
            operator: operator.public_key(),
            operator_jwt,
            system: account("SYS", &system, AccountClaims::default())?,
            vpn: account("VPN", &vpn, permissions::vpn_account(&AccountKey::of(&nodes)))?,
            nodes: account(
                "NODES",
                &nodes,
                permissions::nodes_account(&AccountKey::of(&vpn), &AccountKey::of(&nodes_signing)),
            )?,
        };
        Ok(Self {
            management: user("management", &vpn)?,
            system: user("sys", &system)?,
            operator,
            operator_signing,
            nodes_signing,
            tokens,
        })
    }

    /// Names and contents of the files.
    pub(super) fn files(&self) -> Result<Vec<(&'static str, String)>, BusInitError> {
        let seed = |key: &KeyPair| key.seed().map(|seed| seed + "\n").map_err(BusInitError::Key);
        let creds = |creds: &Credentials| creds.to_file_text().map_err(BusInitError::Credentials);
        Ok(vec![
            (names::OPERATOR_KEY, seed(&self.operator)?),
            (names::OPERATOR_SIGNING_KEY, seed(&self.operator_signing)?),
            (names::NODES_SIGNING_KEY, seed(&self.nodes_signing)?),
            (names::MANAGEMENT_CREDS, creds(&self.management)?),
            (names::SYSTEM_CREDS, creds(&self.system)?),
            (names::OPERATOR_JWT, self.tokens.operator_jwt.clone()),
            (names::SYSTEM_JWT, self.tokens.system.jwt.clone()),
            (names::VPN_JWT, self.tokens.vpn.jwt.clone()),
            (names::NODES_JWT, self.tokens.nodes.jwt.clone()),
        ])
    }
}

impl Accounts {
    /// Signs the account of management again where an earlier release made it. Keys, users and what others wrote into it stay.
    pub(super) fn renew(&mut self, dir: &Path) -> Result<(), BusInitError> {
        let mut claims = Claims::<AccountClaims>::verify_signature(&self.vpn.jwt).map_err(BusInitError::Accounts)?;
        if !permissions::forget_requests_in_time(&mut claims.body) {
            return Ok(());
        }
        let path = dir.join(names::OPERATOR_SIGNING_KEY);
        let seed = secret_file::read(&path)?;
        let operator = KeyPair::from_seed(seed.expose_secret().trim());
        let operator = operator.map_err(|source| BusInitError::Seed { path, source })?;
        // Of two tokens the server keeps the one that was issued later, in whole seconds.
        claims.issued_at = Utc::now().max(claims.issued_at + TimeDelta::seconds(1));
        self.vpn.jwt = claims.sign(&operator).map_err(BusInitError::Accounts)?;
        Ok(secret_file::write(&dir.join(names::VPN_JWT), &self.vpn.jwt)?)
    }
}

/// A user with every right in its account.
fn user(name: &str, account: &KeyPair) -> Result<Credentials, JwtError> {
    let key = KeyPair::new_user();
    let body = UserClaims {
        issuer_account: None,
        permissions: UserPermissions::unlimited(),
    };
    let jwt = Claims::new(name, key.public_key(), body).sign(account)?;
    Ok(Credentials { jwt, key })
}

/// The accounts of an existing folder, checked to belong together.
pub(super) fn read(dir: &Path) -> Result<Accounts, BusInitError> {
    let text = |name: &str| secret_file::read(&dir.join(name)).map(|text| text.expose_secret().trim().to_owned());
    let operator_jwt = text(names::OPERATOR_JWT)?;
    let operator = Claims::<OperatorClaims>::verify_signature(&operator_jwt).map_err(BusInitError::Accounts)?;
    let mut trusted = vec![operator.subject.as_str()];
    trusted.extend(operator.body.signing_keys.iter().map(String::as_str));
    let account = |name: &str| {
        let jwt = text(name)?;
        let claims = Claims::<AccountClaims>::verify(&jwt, &trusted).map_err(BusInitError::Accounts)?;
        Ok::<_, BusInitError>(Account {
            key: claims.subject,
            jwt,
        })
    };
    Ok(Accounts {
        system: account(names::SYSTEM_JWT)?,
        vpn: account(names::VPN_JWT)?,
        nodes: account(names::NODES_JWT)?,
        operator: operator.subject.clone(),
        operator_jwt,
    })
}
