//! The wire: golden files of every message, and the bus against a real nats-server: streams, consumers, publishing,
//! settling, connecting, what `bus-init` renders, and what nodes can and cannot do there.

#[cfg(test)]
mod bare;
#[cfg(test)]
mod fixture;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile_json;
#[cfg(test)]
mod parsing;

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod node_consumers;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tombstones;

#[cfg(test)]
mod forging;
#[cfg(test)]
mod node_requests;
#[cfg(test)]
mod one_account;
#[cfg(test)]
mod reply_subjects;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod tls;
