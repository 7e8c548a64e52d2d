//! The places where the bus may be: the one that worked last, and those that management names.

use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind};
use tracing::{error, info, warn};
use vpnmanager_nats::{attempt::attempt, connect::BusAddress, endpoint::BusPlace, permissions::inbox_prefix};
use vpnmanager_runtime::{
    error_chain::chain,
    secret_file::{self, SecretFileError},
};

use crate::{enrolled::Enrolled, identity::IdentityError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a place is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("what management says is no address of a bus")]
    Unusable,
    #[error("it is not encrypted, and the bus was: to use it all the same, enrol this node again")]
    Plain,
    #[error("the CA that management names for it cannot be saved")]
    Ca(#[source] SecretFileError),
    #[error("connecting to it failed")]
    Connect(#[source] ConnectError),
}

impl PlaceError {
    /// Why the connection failed, if that was tried.
    pub(crate) fn kind(&self) -> Option<ConnectErrorKind> {
        match self {
            Self::Connect(error) => Some(error.kind()),
            Self::Unusable | Self::Plain | Self::Ca(_) => None,
        }
    }
}

/// Opens a connection where the bus was last, beside the client's own, only to learn why that one fails.
pub(crate) async fn try_present(enrolled: &Enrolled) -> Result<(), PlaceError> {
    let ca = enrolled.identity.bus_ca.is_some().then(|| enrolled.dir.bus_ca());
    connect(enrolled, &enrolled.identity.bus_place(), ca).await
}

/// Tries another place. If the bus lets this node in there, that is where it is from now on; `true`: the agent has to start anew.
pub(super) async fn try_other(enrolled: &mut Enrolled, place: BusPlace) -> bool {
    match reach(enrolled, &place).await {
        Ok(()) => keep(enrolled, place),
        Err(error) => {
            warn!(
                node.id = %enrolled.identity.server_id,
                bus = place.shown(),
                error = %chain(&error),
                "Management says that the bus is somewhere else, and it cannot be used there"
            );
            false
        }
    }
}

async fn reach(enrolled: &Enrolled, place: &BusPlace) -> Result<(), PlaceError> {
    if !place.is_usable() {
        return Err(PlaceError::Unusable);
    }
    // Or else whoever answers for management once could read everything from then on.
    if enrolled.identity.bus_place().is_encrypted() && !place.is_encrypted() {
        return Err(PlaceError::Plain);
    }
    let ca = match &place.ca {
        Some(pem) => {
            let file = enrolled.dir.tried_bus_ca();
            secret_file::write(&file, pem).map_err(PlaceError::Ca)?;
            Some(file)
        }
        None => None,
    };
    connect(enrolled, place, ca).await
}

async fn connect(enrolled: &Enrolled, place: &BusPlace, ca_file: Option<std::path::PathBuf>) -> Result<(), PlaceError> {
    let options = enrolled.jwt.options(enrolled.keys.bus.clone());
    let options = options.custom_inbox_prefix(inbox_prefix(&enrolled.identity.server_id));
    let address = BusAddress {
        urls: place.urls.clone(),
        ca_file,
    };
    attempt(options, &address, CONNECT_TIMEOUT)
        .await
        .map_err(PlaceError::Connect)
}

fn keep(enrolled: &mut Enrolled, place: BusPlace) -> bool {
    let shown = place.shown();
    let before = enrolled.identity.clone();
    enrolled.identity.bus_urls = place.urls;
    enrolled.identity.bus_ca = place.ca;
    enrolled.identity.told_bus = None;
    // Another bus may have needed another credential, which management gave.
    enrolled.identity.bus_jwt = enrolled.jwt.text();
    match save(enrolled) {
        Ok(()) => {
            info!(node.id = %before.server_id, was = before.bus_place().shown(), bus = shown, "The bus has moved: the agent starts anew to use it. OpenVPN goes on");
            true
        }
        Err(error) => {
            error!(node.id = %before.server_id, bus = shown, error = %chain(&error), "The bus has moved, and that could not be saved; trying again");
            enrolled.identity = before;
            false
        }
    }
}

/// Notes where management says that the bus is, for when it cannot be reached where it is.
pub(super) fn note_told(enrolled: &mut Enrolled, told: BusPlace) {
    let elsewhere = Some(told).filter(|told| *told != enrolled.identity.bus_place());
    if elsewhere == enrolled.identity.told_bus {
        return;
    }
    if let Some(place) = &elsewhere {
        info!(node.id = %enrolled.identity.server_id, bus = place.shown(), "Management says that the bus is somewhere else; it is tried there once it cannot be reached here");
    }
    let before = std::mem::replace(&mut enrolled.identity.told_bus, elsewhere);
    if let Err(error) = save(enrolled) {
        warn!(error = %chain(&error), "Where management says that the bus is could not be saved; trying again");
        enrolled.identity.told_bus = before;
    }
}

fn save(enrolled: &Enrolled) -> Result<(), IdentityError> {
    enrolled.identity.save(&enrolled.dir, &enrolled.keys)
}
