//! Signing requests: the most certificate requests that one message holds, 500 times.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::attack::{
    flood::Flood,
    scene::{STOLEN, Scene},
    size::Size,
    thief::messages::{payload, subject},
};

/// What one message may hold.
const REQUESTS: u64 = 64;

/// 500 messages of 64 good requests each, for common names that nobody has.
pub(in crate::attack) fn full(_scene: &Scene, size: Size) -> Flood {
    let csr = request().unwrap_or_default();
    let messages = (0..20).map(|number| {
        let requests: Vec<Value> = (0..REQUESTS)
            .map(|at| json!({ "common_name": name(number, at), "csr": csr }))
            .collect();
        (subject("sign"), payload(&body(&requests)))
    });
    Flood::at_once(messages.collect(), size.count(500, 50)).with_answers()
}

/// Messages with more requests than are allowed.
pub(in crate::attack) fn overfull(_scene: &Scene, size: Size) -> Flood {
    let requests: Vec<Value> = (0..4_000)
        .map(|at| json!({ "common_name": name(0, at), "csr": "-" }))
        .collect();
    Flood::at_once(vec![(subject("sign"), payload(&body(&requests)))], size.count(500, 50)).with_answers()
}

fn body(requests: &[Value]) -> Value {
    json!({ "v": 1, "type": "sign", "node": STOLEN, "requests": requests })
}

/// A common name as management gives them: 16 characters of base32 at the end.
fn name(number: u64, at: u64) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut rest = number * REQUESTS + at;
    let digits = std::iter::repeat_with(|| {
        let digit = DIGITS[(rest % 32) as usize];
        rest /= 32;
        char::from(digit)
    });
    format!("nobody.{}", digits.take(16).collect::<String>())
}

fn request() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    CertificateParams::default().serialize_request(&key)?.pem()
}
