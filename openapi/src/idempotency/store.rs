//! Where answers are kept.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;

use poem::Response;

use crate::problem::ApiError;

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose it is: [`Named::name`](crate::auth::Named::name).
    pub caller: String,
    /// SHA-256 of the `Idempotency-Key`, which itself is stored nowhere.
    pub key_hash: [u8; 32],
    /// SHA-256 of what is asked: method, path, query, type of the body, and the body as it was read.
    pub fingerprint: [u8; 32],
}

/// A request that this process works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The request.
    pub request: KeyedRequest,
    /// Tells this claim from a later one of the same key.
    pub id: i64,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is new: whoever asked works on it, and nobody else does.
    New(Claim),
    /// It was answered with this, sealed; `None`: the answer was too long to be kept.
    Answered(Option<Vec<u8>>),
    /// Somebody works on it.
    UnderWay,
    /// Somebody began to work on it and has not been heard of since.
    Unknown,
    /// The key was given to another request.
    Another,
}

/// What becomes of the claim when the request was worked on.
#[derive(Clone, PartialEq, Eq)]
pub enum Kept {
    /// This answer is kept, sealed.
    Answer(Vec<u8>),
    /// That it was answered is kept, without the answer.
    TooLarge,
    /// Nothing: whoever repeats the request has it worked on again.
    Nothing,
}

/// A request that was worked on.
#[derive(Debug)]
pub struct Done {
    /// The answer, for the caller.
    pub response: Response,
    /// What is kept of it.
    pub kept: Kept,
}

/// The work on a request.
pub type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What an [`AnswerStore`] gives.
pub type Storing<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// Keeps the answers to requests with an `Idempotency-Key` for a day, for all replicas of a service.
pub trait AnswerStore: Debug + Send + Sync {
    /// Looks a request up, and claims it if it is new.
    fn claim(&self, request: KeyedRequest) -> Storing<'_, Claimed>;

    /// Has the work of a claim done to its end, also when its caller is gone, then settles the claim and gives the answer.
    fn work(&self, claim: Claim, work: Work) -> Storing<'_, Response>;
}

impl Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(_) => "Answer",
            Self::TooLarge => "TooLarge",
            Self::Nothing => "Nothing",
        })
    }
}
