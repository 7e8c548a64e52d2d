//! Signing.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use vpnmanager_nats::sign::{CertificateRequest, SignRequest};

    use super::*;

    shapes!(|request: &SignRequest| request.requests.as_slice() => {
        [] => "none",
        [_] => "one",
        [_, _, ..] => "batch",
    });

    #[test]
    fn sign_requests() {
        let wanted = |common_name| CertificateRequest {
            common_name,
            csr: "-----BEGIN CERTIFICATE REQUEST-----\nMIH0\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
        };
        let request = |requests| {
            Envelope::new(SignRequest {
                node: fixed::node(),
                requests,
            })
        };
        let samples = vec![
            request(vec![]),
            request(vec![wanted(fixed::credential())]),
            request(vec![wanted(fixed::credential()), wanted(fixed::older_credential())]),
        ];
        Family {
            folder: "sign_requests",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}

mod answers {
    use vpnmanager_nats::sign::{SignAnswer, SignRefusal, SignResult, SignedCertificate};

    use super::*;

    shapes!(|answer: &SignAnswer| answer.results.as_slice() => {
        [] => "none",
        [SignResult::Signed(_)] => "signed",
        [SignResult::Unavailable { .. }] => "unavailable",
        [SignResult::Refused { reason: SignRefusal::Unknown, .. }] => "refused_unknown",
        [SignResult::Refused { reason: SignRefusal::Revoked, .. }] => "refused_revoked",
        [SignResult::Refused { reason: SignRefusal::AlreadyIssued, .. }] => "refused_already_issued",
        [SignResult::Refused { reason: SignRefusal::InvalidCsr, .. }] => "refused_invalid_csr",
        [_, _, ..] => "batch",
    });

    #[test]
    fn sign_answers() {
        let signed = SignResult::Signed(SignedCertificate {
            common_name: fixed::credential(),
            certificate: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned(),
            serial: "5f3a9c0e7b".to_owned(),
            not_before: fixed::at("2027-03-01T07:30:00Z"),
            not_after: fixed::at("2029-06-03T08:30:00Z"),
        });
        let unavailable = SignResult::Unavailable {
            common_name: fixed::credential(),
        };
        let refused = |reason| SignResult::Refused {
            common_name: fixed::credential(),
            reason,
        };
        let answer = |results| Envelope::new(SignAnswer { results });
        let samples = vec![
            answer(vec![]),
            answer(vec![signed.clone()]),
            answer(vec![unavailable.clone()]),
            answer(vec![refused(SignRefusal::Unknown)]),
            answer(vec![refused(SignRefusal::Revoked)]),
            answer(vec![refused(SignRefusal::AlreadyIssued)]),
            answer(vec![refused(SignRefusal::InvalidCsr)]),
            answer(vec![signed, refused(SignRefusal::Revoked), unavailable]),
        ];
        Family {
            folder: "sign_answers",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}
