//! The configuration of an old server, and what it says of single clients.

mod clients;
mod conf;
mod facts;
mod left_over;

pub use self::clients::client_file_name;
pub(crate) use self::{
    clients::{ClientFolders, apply_client_files},
    conf::ServerConf,
    facts::facts_of,
    left_over::note_left_over,
};
