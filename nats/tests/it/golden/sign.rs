//! Signing.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use vpnmanager_nats::sign::{CertificateRequest, Fingerprint, RunningServer, ServerRequest, SignRequest};

    use super::*;

    shapes!(|request: &SignRequest| (request.requests.as_slice(), &request.server) => {
        ([], None) => "none",
        ([_], None) => "one",
        ([_, _, ..], None) => "batch",
        (_, Some(ServerRequest { running: None, .. })) => "server",
        (_, Some(ServerRequest { running: Some(_), .. })) => "server_running",
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
                server: None,
            })
        };
        let of_server = |running| {
            Envelope::new(SignRequest {
                node: fixed::node(),
                requests: vec![],
                server: Some(ServerRequest {
                    csr: wanted(fixed::credential()).csr,
                    running,
                }),
            })
        };
        let fingerprint = |digits: &str| Fingerprint::try_from(digits.repeat(32)).expect("a fingerprint");
        let running = RunningServer {
            trusted: vec![fingerprint("0a"), fingerprint("f9")],
            signed_by: Some(fingerprint("0a")),
        };
        let samples = vec![
            request(vec![]),
            request(vec![wanted(fixed::credential())]),
            request(vec![wanted(fixed::credential()), wanted(fixed::older_credential())]),
            of_server(None),
            of_server(Some(running)),
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
    use vpnmanager_nats::sign::{ServerRefusal, ServerResult, SignAnswer, SignRefusal, SignResult, SignedCertificate};

    use super::*;

    shapes!(|answer: &SignAnswer| (answer.results.as_slice(), &answer.server) => {
        ([], None) => "none",
        ([SignResult::Signed(_)], None) => "signed",
        ([SignResult::Unavailable { .. }], None) => "unavailable",
        ([SignResult::Refused { reason: SignRefusal::Unknown, .. }], None) => "refused_unknown",
        ([SignResult::Refused { reason: SignRefusal::Revoked, .. }], None) => "refused_revoked",
        ([SignResult::Refused { reason: SignRefusal::AlreadyIssued, .. }], None) => "refused_already_issued",
        ([SignResult::Refused { reason: SignRefusal::InvalidCsr, .. }], None) => "refused_invalid_csr",
        ([_, _, ..], None) => "batch",
        (_, Some(ServerResult::Signed { authorities: None, .. })) => "server_signed",
        (_, Some(ServerResult::Signed { authorities: Some(_), .. })) => "server_signed_authorities",
        (_, Some(ServerResult::Unavailable)) => "server_unavailable",
        (_, Some(ServerResult::Refused { reason: ServerRefusal::OtherKey })) => "server_refused_other_key",
        (_, Some(ServerResult::Refused { reason: ServerRefusal::InvalidCsr })) => "server_refused_invalid_csr",
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
        let answer = |results| Envelope::new(SignAnswer { results, server: None });
        let of_server = |server| {
            Envelope::new(SignAnswer {
                results: vec![],
                server: Some(server),
            })
        };
        let refused_server = |reason| of_server(ServerResult::Refused { reason });
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let signed_server = |authorities| ServerResult::Signed {
            certificate: pem.to_owned(),
            authorities,
        };
        let samples = vec![
            answer(vec![]),
            answer(vec![signed.clone()]),
            answer(vec![unavailable.clone()]),
            answer(vec![refused(SignRefusal::Unknown)]),
            answer(vec![refused(SignRefusal::Revoked)]),
            answer(vec![refused(SignRefusal::AlreadyIssued)]),
            answer(vec![refused(SignRefusal::InvalidCsr)]),
            answer(vec![signed, refused(SignRefusal::Revoked), unavailable]),
            of_server(signed_server(None)),
            of_server(signed_server(Some(pem.repeat(2)))),
            of_server(ServerResult::Unavailable),
            refused_server(ServerRefusal::OtherKey),
            refused_server(ServerRefusal::InvalidCsr),
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
