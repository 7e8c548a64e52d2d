//! Which certificate a node gets for a credential.

use vpnmanager_entities::credential;
use vpnmanager_nats::{
    ids::NodeId,
    sign::{SignRefusal, SignedCertificate},
};

/// What follows from one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new certificate.
    Sign,
    /// The certificate that was signed for this key before.
    Repeat(SignedCertificate),
    /// None.
    Refuse(SignRefusal),
}

/// Decides for a credential (`None`: there is none of that name), the node that asks, and the SHA-256 of the public key in its request
/// (`None`: the request is invalid). Asking again with the same key gives the same certificate.
pub fn decide(credential: Option<&credential::Model>, node: &NodeId, key: Option<&[u8]>) -> Decision {
    let Some(credential) = credential.filter(|credential| credential.server_id == *node) else {
        return Decision::Refuse(SignRefusal::Unknown);
    };
    if credential.revoked_at.is_some() {
        return Decision::Refuse(SignRefusal::Revoked);
    }
    let Some(key) = key else {
        return Decision::Refuse(SignRefusal::InvalidCsr);
    };
    match &credential.public_key_sha256 {
        None => Decision::Sign,
        Some(signed_for) if signed_for.as_slice() != key => Decision::Refuse(SignRefusal::AlreadyIssued),
        Some(_) => signed_before(credential).map_or(Decision::Sign, Decision::Repeat),
    }
}

fn signed_before(credential: &credential::Model) -> Option<SignedCertificate> {
    Some(SignedCertificate {
        common_name: credential.common_name.clone(),
        certificate: credential.certificate.clone()?,
        serial: credential.serial.clone()?,
        not_before: credential.not_before?,
        not_after: credential.not_after?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn a_certificate_is_for_the_home_and_for_one_key() {
        let now = Utc::now();
        let node = |id: &str| -> NodeId { id.parse().expect("a valid id") };
        let fresh = credential::Model {
            id: 1,
            user_id: Some(1),
            device: "default".parse().expect("the name of a device"),
            common_name: "alice.rcikzj5wfmjtj6yy".parse().expect("a common name"),
            server_id: node("node-1"),
            serial: None,
            public_key_sha256: None,
            certificate: None,
            not_before: None,
            not_after: None,
            created_at: now,
            revoked_at: None,
            profile_checksum: None,
            last_access: None,
        };
        let signed = credential::Model {
            serial: Some("01".to_owned()),
            public_key_sha256: Some(vec![1; 32]),
            certificate: Some("PEM".to_owned()),
            not_before: Some(now),
            not_after: Some(now),
            ..fresh.clone()
        };
        let revoked = credential::Model {
            revoked_at: Some(now),
            ..signed.clone()
        };
        let half = credential::Model {
            certificate: None,
            ..signed.clone()
        };
        let (ours, other) = ([1; 32], [2; 32]);
        let refuse = Decision::Refuse;
        let again = signed_before(&signed).expect("signed");
        let cases = [
            (
                "no such credential",
                None,
                "node-1",
                Some(&ours),
                refuse(SignRefusal::Unknown),
            ),
            (
                "an invalid request for no such credential",
                None,
                "node-1",
                None,
                refuse(SignRefusal::Unknown),
            ),
            (
                "homed elsewhere",
                Some(&fresh),
                "node-2",
                Some(&ours),
                refuse(SignRefusal::Unknown),
            ),
            (
                "an invalid request",
                Some(&fresh),
                "node-1",
                None,
                refuse(SignRefusal::InvalidCsr),
            ),
            (
                "revoked",
                Some(&revoked),
                "node-1",
                Some(&ours),
                refuse(SignRefusal::Revoked),
            ),
            ("never signed", Some(&fresh), "node-1", Some(&ours), Decision::Sign),
            (
                "signed for this key",
                Some(&signed),
                "node-1",
                Some(&ours),
                Decision::Repeat(again),
            ),
            (
                "signed for another key",
                Some(&signed),
                "node-1",
                Some(&other),
                refuse(SignRefusal::AlreadyIssued),
            ),
            (
                "the certificate was not recorded",
                Some(&half),
                "node-1",
                Some(&ours),
                Decision::Sign,
            ),
        ];
        for (what, credential, id, key, expected) in cases {
            let decided = decide(credential, &node(id), key.map(<[u8; 32]>::as_slice));
            assert_eq!(decided, expected, "{what}");
        }
    }
}
