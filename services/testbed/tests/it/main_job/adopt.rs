//! A fleet of old servers is adopted as docs/adopt.md says, word for word, while their clients are connected.

mod old_server;
mod page;
mod pki;
mod scene;
mod story;
