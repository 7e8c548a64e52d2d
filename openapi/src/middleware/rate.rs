//! How much one caller with a key may ask, told as draft-ietf-httpapi-ratelimit-headers-10 has it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use poem::Request;
use poem::http::{HeaderMap, HeaderValue};
use tracing::warn;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::auth;
use crate::problem::ApiError;

/// The time that a budget is for.
const WINDOW: Duration = Duration::from_secs(10);

/// Callers that are kept in mind at once; those whose budget is whole again are forgotten where there are more.
const MOST_CALLERS: usize = 4096;

static PUT_OFF: LogLimit = LogLimit::new("a request with a key was put off");

type Limiter = DefaultKeyedRateLimiter<String, StateInformationMiddleware>;

/// A bucket of requests for each caller: as many as it may send in [`WINDOW`], filled again at that pace.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    caller: fn(&Request) -> Option<String>,
    limiter: Arc<Limiter>,
    most: NonZeroU32,
}

/// What is left of a caller's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    most: u32,
    requests: u32,
    /// Seconds: until all of it is there again, or until the next request is taken.
    after: u64,
}

impl Rate {
    pub(super) fn of<Identity: Clone + auth::Named + Send + Sync + 'static>(most: NonZeroU32) -> Self {
        let limiter: DefaultKeyedRateLimiter<String> = RateLimiter::keyed(quota(most));
        Self {
            caller: auth::name_of::<Identity>,
            limiter: Arc::new(limiter.with_middleware::<StateInformationMiddleware>()),
            most,
        }
    }

    /// Counts a request of a caller with a key; `None` for one without.
    pub(super) fn spend(&self, request: &Request) -> Option<(Left, Result<(), ApiError>)> {
        let caller = (self.caller)(request)?;
        if self.limiter.len() > MOST_CALLERS {
            self.limiter.retain_recent();
        }
        let most = self.most.get();
        Some(match self.limiter.check_key(&caller) {
            Ok(state) => {
                let requests = state.remaining_burst_capacity();
                let after = time_of(most.saturating_sub(requests), most);
                let left = Left {
                    most,
                    requests,
                    after: whole_seconds(after),
                };
                (left, Ok(()))
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                if let Some(times) = PUT_OFF.admit() {
                    warn!(
                        client.key = caller,
                        times, "A request was put off: this API key asks more than one may"
                    );
                }
                let left = Left {
                    most,
                    requests: 0,
                    after: whole_seconds(wait).max(1),
                };
                let refusal = ApiError::too_many_requests(
                    "this key asks more than one key may: wait as long as Retry-After says",
                    wait,
                );
                (left, Err(refusal))
            }
        })
    }
}

impl Left {
    /// Tells the caller, in structured fields (RFC 9651).
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let Self { most, requests, after } = self;
        let policy = format!("\"key\";q={most};w={}", WINDOW.as_secs());
        let now = format!("\"key\";r={requests};t={after}");
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            // Digits and the letters above.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

fn quota(most: NonZeroU32) -> Quota {
    let period = (WINDOW / most.get()).max(Duration::from_nanos(1));
    Quota::with_period(period)
        .expect("the period is not 0")
        .allow_burst(most)
}

/// How long it takes until so many requests of a bucket are there again.
fn time_of(requests: u32, most: u32) -> Duration {
    WINDOW.mul_f64(f64::from(requests) / f64::from(most))
}

/// Rounded up, as `Retry-After` is.
fn whole_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_structured_fields() {
        let mut headers = HeaderMap::new();
        let left = Left {
            most: 20_000,
            requests: 19_999,
            after: 1,
        };
        left.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"key\";q=20000;w=10");
        assert_eq!(headers["ratelimit"], "\"key\";r=19999;t=1");
    }

    #[test]
    fn a_bucket_is_full_again_after_its_window() {
        for most in [1, 7, 20_000, u32::MAX] {
            assert_eq!(time_of(most, most), WINDOW);
            let most = NonZeroU32::new(most).unwrap();
            assert_eq!(quota(most).burst_size(), most);
        }
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(1)), 1);
        assert_eq!(whole_seconds(time_of(1, 20_000)), 1);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
    }
}
