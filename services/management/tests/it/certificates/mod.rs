//! The certificates of the fleet.

mod ends;
mod figures;
mod inventory;
mod nodes;
mod rollover;

use vpnmanager_management::ops::credentials::sign::{SigningRequest, sign_batch};
use vpnmanager_nats::sign::{CertificateRequest, SignResult};

use crate::database::until;
use crate::ops::{create, node, only_credential};
use crate::stack::{Stack, csr};

/// A management that has recorded its own certificates: its authority, and two of the bus.
async fn started() -> Stack {
    let stack = Stack::start().await;
    let recorded = "SELECT (count(*) = 3)::int FROM certificates WHERE kind IN ('ca', 'bus')";
    until(&stack.app.db, "its own certificates are recorded", recorded).await;
    stack
}

/// Creates a user whose home is that node, and signs the certificate of her device.
async fn certified(stack: &Stack, id: &str, username: &str) {
    let user = create(stack, username).await;
    let request = CertificateRequest {
        common_name: only_credential(stack, user.user.id).await,
        csr: csr(),
    };
    let asked = SigningRequest {
        node: node(id),
        request,
    };
    let signed = sign_batch(&stack.app.db, &stack.app.pki, vec![asked]).await;
    assert!(matches!(signed[..], [SignResult::Signed(_)]), "{signed:?}");
}
