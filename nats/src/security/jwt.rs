//! NATS JWTs, version 2: `base64url(header).base64url(claims).base64url(signature)`, signed with an NKey (Ed25519).

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

use super::claims::ClaimBody;

const ALGORITHM: &str = "ed25519-nkey";
const VERSION: u8 = 2;

/// A verified or to-be-signed token.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims<T> {
    /// A name for people; for nodes it is the node id that the permissions are bound to.
    pub name: String,
    /// Public key of the bearer.
    pub subject: String,
    /// Public key of the signer. Set when the token is signed.
    pub issuer: String,
    /// When it was signed; whole seconds on the wire.
    pub issued_at: DateTime<Utc>,
    /// After this the server drops the bearer.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the bearer is and may do.
    pub body: T,
}

/// Why a token could not be signed or verified. Does not hold the token.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// The text is not three parts of base64url.
    #[error("the token is not header.claims.signature in base64url")]
    Form,
    /// Header or claims are not JSON of the expected shape.
    #[error("the token's JSON is not what was expected")]
    Json(#[source] serde_json::Error),
    /// The token has another algorithm, type or version.
    #[error("the token is not a version {VERSION} {expected} token signed with {ALGORITHM}")]
    Kind {
        /// The type of claims wanted.
        expected: &'static str,
    },
    /// A time outside the calendar.
    #[error("the token holds a time that does not exist")]
    Time,
    /// The signature is not the issuer's.
    #[error("the token's signature is not by its issuer")]
    Signature(#[source] nkeys::error::Error),
    /// The signer is not trusted for this token.
    #[error("the token was issued by a key of another fleet")]
    Issuer,
    /// The key has no seed, or may not sign claims of this type.
    #[error("this key cannot sign {what} claims")]
    Signer {
        /// The type of claims.
        what: &'static str,
    },
}

impl<T: ClaimBody> Claims<T> {
    /// Claims about `subject`, issued at this moment, without expiry.
    pub fn new(name: impl Into<String>, subject: impl Into<String>, body: T) -> Self {
        Self {
            name: name.into(),
            subject: subject.into(),
            issuer: String::new(),
            issued_at: Utc::now(),
            expires_at: None,
            body,
        }
    }

    /// Signs with `signer`, which becomes the issuer.
    pub fn sign(&self, signer: &KeyPair) -> Result<String, JwtError> {
        let refused = JwtError::Signer { what: T::TYPE };
        let expected = if T::TYPE == "user" {
            KeyPairType::Account
        } else {
            KeyPairType::Operator
        };
        if signer.key_pair_type() != expected {
            return Err(refused);
        }
        let mut wire = Wire {
            jti: String::new(),
            iat: self.issued_at.timestamp(),
            iss: signer.public_key(),
            name: self.name.clone(),
            sub: self.subject.clone(),
            exp: self.expires_at.map(|at| at.timestamp()),
            nats: WireBody {
                body: &self.body,
                kind: T::TYPE.to_owned(),
                version: VERSION,
            },
        };
        let unnamed = serde_json::to_vec(&wire).map_err(JwtError::Json)?;
        wire.jti = BASE32_NOPAD.encode(digest::digest(&digest::SHA512_256, &unnamed).as_ref());

        let header = Header {
            typ: "JWT".to_owned(),
            alg: ALGORITHM.to_owned(),
        };
        let signed = format!("{}.{}", encode_part(&header)?, encode_part(&wire)?);
        let signature = signer.sign(signed.as_bytes()).map_err(|_| refused)?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    /// The claims of a token, after checking its signature and that its issuer is one of `trusted`.
    /// Does not check the expiry: the caller does, with the current time.
    pub fn verify(token: &str, trusted: &[&str]) -> Result<Self, JwtError> {
        let claims = Self::verify_signature(token)?;
        if trusted.contains(&claims.issuer.as_str()) {
            Ok(claims)
        } else {
            Err(JwtError::Issuer)
        }
    }

    /// The claims of a token after checking its signature only, not its signer: for tokens that we stored ourselves.
    pub fn verify_signature(token: &str) -> Result<Self, JwtError> {
        let mut parts = token.trim().split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Form);
        };
        let expected = T::TYPE;
        let parsed: Header = decode_part(header)?;
        if !parsed.alg.eq_ignore_ascii_case(ALGORITHM) || !parsed.typ.eq_ignore_ascii_case("jwt") {
            return Err(JwtError::Kind { expected });
        }
        let tagged: Wire<Tag> = decode_part(claims)?;
        if tagged.nats.kind != expected || tagged.nats.version != VERSION {
            return Err(JwtError::Kind { expected });
        }
        let wire: Wire<WireBody<T>> = decode_part(claims)?;
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .map_err(|_| JwtError::Form)?;
        let signed = format!("{header}.{claims}");
        KeyPair::from_public_key(&wire.iss)
            .and_then(|issuer| issuer.verify(signed.as_bytes(), &signature))
            .map_err(JwtError::Signature)?;

        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(JwtError::Time);
        Ok(Self {
            name: wire.name,
            subject: wire.sub,
            issuer: wire.iss,
            issued_at: time(wire.iat)?,
            expires_at: wire.exp.map(time).transpose()?,
            body: wire.nats.body,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

#[derive(Serialize, Deserialize)]
struct Wire<N> {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    jti: String,
    iat: i64,
    iss: String,
    #[serde(default)]
    name: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    nats: N,
}

#[derive(Serialize, Deserialize)]
struct WireBody<T> {
    #[serde(rename = "type")]
    kind: String,
    version: u8,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: String,
    version: u8,
}

fn encode_part<P: Serialize>(part: &P) -> Result<String, JwtError> {
    serde_json::to_vec(part)
        .map(|json| BASE64URL_NOPAD.encode(&json))
        .map_err(JwtError::Json)
}

fn decode_part<P: for<'de> Deserialize<'de>>(part: &str) -> Result<P, JwtError> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwtError::Form)?;
    serde_json::from_slice(&json).map_err(JwtError::Json)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
