//! The names of other machines in the settings.

use vpnmanager_runtime::doctor::host_names::{Named, host_and_port};

use crate::{config::Config, reach::Reach};

/// Each with the variable of its setting. A folder of PostgreSQL's socket is none.
pub(super) fn of(config: &Config) -> Vec<Named> {
    let database = Reach::to(&config.database.connection_url()).ok();
    let database = database.map(|reach| ("the database", reach.place().to_owned()));
    let bus = config.bus.url.iter().map(|url| ("NATS_URL", url.clone()));
    let told = config.bus.public_urls.iter().flatten();
    let told = told.map(|url| ("BUS_PUBLIC_URLS", url.clone()));
    let places = database.into_iter().chain(bus).chain(told);
    let named = |(setting, place): (&'static str, String)| {
        let is_folder = place.starts_with('/');
        let (host, _) = host_and_port(&place).filter(|_| !is_folder)?;
        Some(Named { setting, host })
    };
    places.filter_map(named).collect()
}
