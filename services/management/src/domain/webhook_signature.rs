//! Signatures of messages to webhooks: the Standard Webhooks specification, "Symmetric", version `v1`.

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use secrecy::SecretString;

/// The bytes of a secret: the specification asks for 24 to 64.
pub const SECRET_BYTES: usize = 32;

/// Whoever finds a secret recognises it by this.
const PREFIX: &str = "whsec_";

/// A secret as its receiver gets it.
pub fn shown(secret: &[u8]) -> SecretString {
    format!("{PREFIX}{}", BASE64.encode(secret)).into()
}

/// The signature of a message with this id, sent at this time (seconds since 1970).
pub fn signature(secret: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signed = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(signed.as_ref()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// The example of the libraries of the specification.
    #[test]
    fn the_published_example_is_signed_as_it_was() {
        let secret = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        assert_eq!(
            signature(
                &secret,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(shown(&secret).expose_secret(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }
}
