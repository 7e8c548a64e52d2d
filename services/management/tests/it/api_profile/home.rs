//! The home of a user's profile, which says what a test gave it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use poem::{http::StatusCode, test::TestResponse};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use secrecy::ExposeSecret as _;
use vpnmanager_entities::credential;
use vpnmanager_management::ops::credentials::sign::{SigningRequest, sign_batch};
use vpnmanager_nats::{
    connect::Bus,
    envelope::Envelope,
    ids::CommonName,
    node_requests::{NodeAnswer, NodeRequest, ProfileParts},
    sign::{CertificateRequest, SignResult},
};

use crate::bus_node::{answer_requests, connect_as};
use crate::stack::{Stack, WithKey as _, problem_of};

pub(crate) const HOME: &str = "node-1";

/// A home node that answers each request with what a test gave it.
pub(crate) struct Home {
    pub(crate) stack: Stack,
    says: Arc<Mutex<Bytes>>,
}

impl Home {
    /// Enrols the node and lets it answer.
    pub(crate) async fn start() -> Self {
        Box::pin(Self::start_with(&[])).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let stack = Box::pin(Stack::start_with(settings)).await;
        let bus = connect_as(&stack, HOME).await;
        let home = Self {
            stack,
            says: Arc::default(),
        };
        home.listen(bus).await;
        home
    }

    async fn listen(&self, bus: Bus) {
        let says = Arc::clone(&self.says);
        answer_requests(&self.stack, HOME, bus, move |request| {
            // What ends access is asked directly.
            if matches!(request, NodeRequest::Apply { .. }) {
                return Envelope::new(NodeAnswer::Done).encode();
            }
            assert!(
                matches!(request, NodeRequest::Profile { .. } | NodeRequest::Sync),
                "{request:?}"
            );
            says.lock().expect("unpoisoned").clone()
        })
        .await;
    }

    pub(crate) fn answers(&self, answer: NodeAnswer) {
        self.says_bytes(Envelope::new(answer).encode());
    }

    pub(crate) fn says_bytes(&self, payload: Bytes) {
        *self.says.lock().expect("unpoisoned") = payload;
    }

    /// Creates a user whose certificate is signed and whose home has acked a profile, and gives what that home holds.
    pub(crate) async fn issued(&self, username: &str) -> ProfileParts {
        self.stack.create_user(username).await;
        let credential = credential::Entity::find()
            .filter(credential::Column::CommonName.starts_with(format!("{username}.")))
            .order_by_asc(credential::Column::Id)
            .one(&self.stack.app.db)
            .await
            .expect("read")
            .expect("a credential");
        let parts = self.certify(credential.common_name).await;
        let acked = format!(
            "UPDATE credentials SET profile_checksum = 'c0ffee' WHERE id = {}",
            credential.id
        );
        self.stack.app.db.execute_unprepared(&acked).await.expect("updated");
        parts
    }

    pub(crate) async fn certify(&self, common_name: CommonName) -> ProfileParts {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let request = rcgen::CertificateParams::default()
            .serialize_request(&key)
            .expect("a request");
        let asked = SigningRequest {
            node: HOME.parse().expect("a server id"),
            request: CertificateRequest {
                common_name: common_name.clone(),
                csr: request.pem().expect("PEM"),
            },
        };
        let pki = &self.stack.app.pki;
        let signed = sign_batch(&self.stack.app.db, pki, vec![asked]).await.pop();
        let Some(SignResult::Signed(signed)) = signed else {
            panic!("{signed:?}")
        };
        let client_key = pki.tls_crypt_v2_server_key().new_client_key(common_name.as_str());
        ProfileParts {
            certificate: signed.certificate,
            key: key.serialize_pem(),
            tls_crypt_v2: client_key.expect("a client key").expose_secret().to_owned(),
        }
    }

    pub(crate) async fn profile_of(&self, username: &str) -> TestResponse {
        let path = format!("/api/users/{username}/profile");
        self.stack.client().get(&path).admin().send().await
    }

    /// The text of a profile that is handed out.
    pub(crate) async fn handed_out(&self, username: &str) -> String {
        let response = self.profile_of(username).await;
        response.assert_status_is_ok();
        response.0.into_body().into_string().await.expect("a text")
    }

    /// Checks that what the home says is not handed out, and gives the reason.
    pub(crate) async fn refused(&self, username: &str) -> String {
        let (problem, _) = problem_of(self.profile_of(username).await, StatusCode::BAD_GATEWAY).await;
        let detail = problem["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(HOME), "{detail}");
        assert!(!problem.to_string().contains("/bin/sh"), "{problem}");
        assert!(!problem.to_string().contains("PRIVATE KEY"), "{problem}");
        detail
    }
}
