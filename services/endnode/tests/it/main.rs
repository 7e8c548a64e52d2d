//! The agent against a real nats-server, and its parts against a VPN server in memory.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod fake_management;
#[cfg(test)]
mod parts;

#[cfg(test)]
mod api;
#[cfg(test)]
mod apply;
#[cfg(test)]
mod bus;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod enrol;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod https;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod lost_journal;
#[cfg(test)]
mod members;
#[cfg(test)]
mod network;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod old_server;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod resync;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod session_reports;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod unheld;
