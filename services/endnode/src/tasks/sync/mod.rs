//! The handshake: at each connection, every half minute and whenever management asks for it, the node says what it holds, and
//! management says whether that is all.

mod error;

mod arrival;
mod catch_up;
mod handshake;
mod run;

pub use self::run::run;
