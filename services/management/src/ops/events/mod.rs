//! Events: the entries of the audit trail as they come, for whoever listens.
//!
//! One task follows the trail ([`follow`](follow::Follower)) and hands what is new to all listeners at once ([`Feed`](feed::Feed)). A listener that asks for what was
//! before, or is slow, reads the trail by itself and then joins the others ([`Listener`](listener::Listener)). Both go in the order of ids, and both
//! rest on one rule: an id is passed only when no entry with a smaller one can come any more (`tail.rs`).

pub mod event;
pub mod feed;
pub mod filter;
pub mod follow;
pub mod listener;
pub mod places;
mod read;
mod tail;
