//! `doctor`: looks at everything that management needs, each thing after those that it needs itself.
//!
//! It changes nothing. To see that something can be written it writes: a file that it removes again, and one message on the bus that no node
//! reads, as the running service does.

mod audit;
mod authority;
mod bus;
mod bus_files;
mod clock;
mod database;
mod examine;
mod listening;
mod names;
mod nodes;
mod service;
mod streams;

pub(crate) use examine::examine;
