//! How this node stands with management, asked over HTTP when the bus refuses its credential. The answer is believed by its signature
//! alone: management holds the key of the CA whose certificate the node got at enrolment.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use reqwest::StatusCode;
use vpnmanager_nats::{
    endpoint::BusPlace,
    security::standing::{Question, Standing},
};
use vpnmanager_openapi::contract::scalars::{BusKeyText, SignatureText};
use vpnmanager_openapi::contract::standing::{StandingAnswer, StandingBus, StandingQuestion};

use crate::{
    enrol::base_of,
    identity::Identity,
    management::{ManagementPlace, WayError},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What management said, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingReply {
    /// How the node stands.
    pub standing: Standing,
    /// A fresh bus credential.
    pub bus_jwt: Option<String>,
    /// Where the bus is.
    pub bus: Option<BusPlace>,
}

/// Nothing is known then, and nothing follows.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The node's key cannot sign.
    #[error("signing the question failed")]
    Sign(#[from] nkeys::error::Error),
    /// Nobody can be believed to be management.
    #[error("there is no way to management")]
    Way(#[from] WayError),
    /// Management is away, or something else answers there.
    #[error("management cannot be asked")]
    Request(#[from] reqwest::Error),
    /// It redirects, which would turn the question into another request.
    #[error("management is somewhere else: set MANAGEMENT_URL to {0}")]
    Moved(String),
    /// It did not answer the question.
    #[error("management did not answer the question (status {0})")]
    Status(StatusCode),
    /// Whoever answered is not the fleet's management.
    #[error("the answer is not signed by the fleet's CA")]
    Forged,
}

/// Asks once.
pub async fn ask_standing(
    place: &ManagementPlace,
    question: &Question,
    key: &KeyPair,
    identity: &Identity,
) -> Result<StandingReply, StandingError> {
    let asked = StandingQuestion {
        bus_public_key: BusKeyText::from(&question.key),
        at: question.at.into(),
        signature: SignatureText::encode(&question.sign(key)?),
    };
    let url = format!(
        "{}/api/endnodes/{}/standing",
        place.url.trim_end_matches('/'),
        question.node
    );
    let client = place.trust_of(identity)?.client(place, REQUEST_TIMEOUT)?;
    let response = client.post(url).json(&asked).send().await?;
    if response.status().is_redirection() {
        return Err(StandingError::Moved(base_of(&response)));
    }
    if !response.status().is_success() {
        return Err(StandingError::Status(response.status()));
    }
    verify(question, response.json().await?, &identity.ca)
}

fn verify(question: &Question, answered: StandingAnswer, ca_pem: &str) -> Result<StandingReply, StandingError> {
    let standing = Standing::from(answered.standing);
    let text = question.answer_text(standing, answered.bus_jwt.as_deref());
    let signature = BASE64URL_NOPAD.decode(answered.signature.as_bytes());
    let is_signed = signature.is_ok_and(|signature| is_signed_by(ca_pem, text.as_bytes(), &signature) == Some(true));
    if !is_signed {
        return Err(StandingError::Forged);
    }
    let bus = answered
        .bus
        .map(|told| verify_place(question, told, ca_pem))
        .transpose()?;
    Ok(StandingReply {
        standing,
        bus_jwt: answered.bus_jwt,
        bus,
    })
}

fn verify_place(question: &Question, told: StandingBus, ca_pem: &str) -> Result<BusPlace, StandingError> {
    let signature = BASE64URL_NOPAD.decode(told.signature.as_bytes());
    let place = BusPlace {
        urls: told.urls,
        ca: told.ca,
    };
    let text = question.bus_text(&place);
    match signature.map(|signature| is_signed_by(ca_pem, text.as_bytes(), &signature)) {
        Ok(Some(true)) => Ok(place),
        Ok(Some(false) | None) | Err(_) => Err(StandingError::Forged),
    }
}

/// By one of these authorities. `None` when none of their certificates can be read.
fn is_signed_by(authorities: &str, text: &[u8], signature: &[u8]) -> Option<bool> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(authorities.as_bytes()).filter_map(Result::ok);
    let verified = blocks.filter_map(|pem| {
        let certificate = pem.parse_x509().ok()?;
        let key = UnparsedPublicKey::new(
            &ECDSA_P256_SHA256_ASN1,
            &certificate.public_key().subject_public_key.data,
        );
        Some(key.verify(text, signature).is_ok())
    });
    verified.max()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, SigningKey as _};
    use vpnmanager_nats::security::keys::NodePublicKey;
    use vpnmanager_openapi::contract::standing::StandingWord;

    use super::*;

    struct Ca {
        key: rcgen::KeyPair,
        pem: String,
    }

    impl Ca {
        fn new() -> Self {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let pem = CertificateParams::default().self_signed(&key).unwrap().pem();
            Self { key, pem }
        }

        fn answers(&self, question: &Question, standing: Standing, bus_jwt: Option<&str>) -> StandingAnswer {
            let signature = self.key.sign(question.answer_text(standing, bus_jwt).as_bytes());
            StandingAnswer {
                standing: standing.into(),
                bus_jwt: bus_jwt.map(str::to_owned),
                signature: BASE64URL_NOPAD.encode(&signature.unwrap()),
                bus: None,
            }
        }

        fn places(&self, question: &Question, place: &BusPlace) -> StandingBus {
            let signature = self.key.sign(question.bus_text(place).as_bytes());
            StandingBus {
                urls: place.urls.clone(),
                ca: place.ca.clone(),
                signature: BASE64URL_NOPAD.encode(&signature.unwrap()),
            }
        }
    }

    fn question() -> Question {
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        Question::new("n1".parse().unwrap(), key)
    }

    #[test]
    fn only_the_fleets_ca_answers_and_only_this_question() {
        let (ca, other, question) = (Ca::new(), Ca::new(), question());
        for (standing, bus_jwt) in [(Standing::Deregistered, None), (Standing::Registered, Some("a token"))] {
            let answer = ca.answers(&question, standing, bus_jwt);
            let told = verify(&question, answer, &ca.pem).unwrap();
            assert_eq!((told.standing, told.bus_jwt.as_deref()), (standing, bus_jwt));
        }

        let honest = ca.answers(&question, Standing::Registered, Some("a token"));
        let forged = [
            other.answers(&question, Standing::Deregistered, None),
            ca.answers(&self::question(), Standing::Deregistered, None),
            StandingAnswer {
                standing: StandingWord::Deregistered,
                ..honest.clone()
            },
            StandingAnswer {
                bus_jwt: Some("another".to_owned()),
                ..honest.clone()
            },
            StandingAnswer {
                signature: "?".to_owned(),
                ..honest
            },
        ];
        for answer in forged {
            let verified = verify(&question, answer.clone(), &ca.pem);
            assert!(matches!(verified, Err(StandingError::Forged)), "{answer:?}");
        }
        let place = BusPlace {
            urls: vec!["tls://bus:4222".to_owned()],
            ca: Some("a CA".to_owned()),
        };
        let with = |bus| StandingAnswer {
            bus: Some(bus),
            ..ca.answers(&question, Standing::Registered, None)
        };
        let honest = ca.places(&question, &place);
        assert_eq!(
            verify(&question, with(honest.clone()), &ca.pem).unwrap().bus,
            Some(place.clone())
        );
        let elsewhere = StandingBus {
            urls: vec!["tls://evil:4222".to_owned()],
            ..honest.clone()
        };
        let other_ca = StandingBus {
            ca: None,
            ..honest.clone()
        };
        for forged in [
            elsewhere,
            other_ca,
            other.places(&question, &place),
            ca.places(&self::question(), &place),
        ] {
            let verified = verify(&question, with(forged.clone()), &ca.pem);
            assert!(matches!(verified, Err(StandingError::Forged)), "{forged:?}");
        }
        let unreadable = verify(&question, ca.answers(&question, Standing::Deregistered, None), "no PEM");
        assert!(matches!(unreadable, Err(StandingError::Forged)));
    }
}
