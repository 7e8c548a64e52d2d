//! `Idempotency-Key`: the first answer to a POST is kept for a day and given again to who repeats the request, as
//! draft-ietf-httpapi-idempotency-key-header-07 has it.
//!
//! This module has the words; the flow is in `middleware/repeats.rs`, and a service says where answers are kept ([`AnswerStore`]).

mod answer;
mod description;
mod key;
pub(crate) mod refusals;
mod seal;
mod store;

pub use description::with_idempotency_key;
pub use key::IdempotencyKey;
pub use store::{AnswerStore, Claim, Claimed, Done, Kept, KeyedRequest, Storing, Work};

pub(crate) use answer::{LARGEST, decode, encode, is_final};
pub(crate) use description::only_where_it_counts;
pub(crate) use seal::Seal;
