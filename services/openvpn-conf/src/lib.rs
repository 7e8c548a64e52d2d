#![doc = include_str!("../README.md")]

mod directives;
mod listeners;
mod place;
mod pushed_dns;
mod pushed_routes;
mod server_network;
mod words;

pub use self::{
    directives::{Directive, Directives, Origin, Source},
    listeners::{Listener, protocol_of},
    place::is_same_place,
    pushed_dns::{dns_domains, dns_servers},
    pushed_routes::{PushedRoutes, Redirected},
    server_network::{masked_network, server_network},
    words::{BadLine, words},
};
