//! One TLS provider in the whole process: aws-lc-rs.

/// Makes aws-lc-rs the provider of every rustls user in this process. Call it first in `main`; calling it again is harmless.
pub fn install_crypto_provider() {
    // The error only says that a provider is already installed, and there is only one in the tree.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
