//! The old listener: the server that was there before VPN Manager goes on to serve the certificates of its own authority, and those alone.
//!
//! It is an OpenVPN of its own, with its own port, keys and network, and with an allow-list that knows no credential of the fleet. So an old
//! common name never passes for a credential, nor the other way. Whom it lets in follows from the journal as all else does: refused first, cut
//! second.

mod carried;
mod clients;
mod conf;
mod entries;
mod external;
mod inspect;
mod listener;
mod render;
mod revoked;

pub use self::{
    clients::OldClients,
    conf::OldConf,
    external::{ExternalCheck, ExternalPlaces},
    inspect::{NodeSide, obstacles},
    listener::{Looked, OldHealth, OldListener, OldParts},
    render::{Ours, RenderError, Rendered, block_files, render},
    revoked::{OwnRefusals, RevokedFolder},
};
