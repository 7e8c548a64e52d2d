//! The handshake: at each connection, every 30 s and whenever management asks for it, the node tells management what it holds, and
//! management answers whether that is everything.

mod error;

mod arrival;
mod catch_up;
mod handshake;
mod run;

pub use self::run::run;
