//! Subjects, ids, names, keys, credentials files and tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::text::{is_subject, prints_as_read};
use vpnmanager_nats::{
    bounded::{TEXT, shortened},
    commands::{Host, Protocol, Role},
    ids::{CommonName, NodeId, UserKey},
    listeners::{Listener, Listeners},
    security::{
        claims::{AccountClaims, OperatorClaims, UserClaims},
        creds::Credentials,
        jwt::Claims,
        keys::{AccountKey, NodePublicKey},
    },
    subjects::{self, FromNode},
    sync::StateDigest,
    topology::check_version,
    username::Username,
};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    of_subjects(text);
    if let Some(node) = prints_as_read::<NodeId>(text) {
        is_subject(&subjects::health(&node), 3);
        assert!(text.len() <= NodeId::MAX_LENGTH && !text.contains('/'));
    }
    if let Some(username) = prints_as_read::<Username>(text) {
        let credential = CommonName::for_user(&username);
        assert!(prints_as_read::<CommonName>(credential.as_str()).is_some());
        // A common name does not give its user away to another one: the rest of it is random.
        assert_ne!(CommonName::for_user(&username), credential);
    }
    if let Some(name) = prints_as_read::<CommonName>(text) {
        // It names a file.
        let name = name.as_str();
        assert!(name.len() <= CommonName::MAX_LENGTH && !name.starts_with('.') && !name.contains(['/', '\0', '\n']));
    }
    if let Some(host) = prints_as_read::<Host>(text) {
        // It stands in a line of a configuration.
        assert!(!host.as_str().contains([' ', '\t', '\n', '"', '\'', '#', ';', '\\']));
    }
    prints_as_read::<StateDigest>(text);
    prints_as_read::<Protocol>(text);
    prints_as_read::<Role>(text);
    prints_as_read::<Listener>(text);
    if let Ok(listeners) = text.parse::<Listeners>() {
        assert!((1..=Listeners::MOST).contains(&listeners.len()));
        assert_eq!(listeners.to_string().parse(), Ok(listeners));
    }
    if let Some(key) = prints_as_read::<NodePublicKey>(text) {
        assert!(key.as_str().len() == 56 && key.as_str().starts_with('U'));
        assert!(!key.has_signed("a text", input));
    }
    prints_as_read::<AccountKey>(text);
    if let Ok(key) = text.parse::<UserKey>() {
        assert_eq!(key.to_string().parse::<UserKey>().ok(), Some(key));
    }
    drop(check_version(text));
    let short = shortened(text, TEXT);
    assert!(short.chars().count() <= TEXT && !short.chars().any(char::is_control));
    assert_eq!(shortened(&short, TEXT), short);
    of_credentials(text);
    of_tokens(text);
});

/// A subject that parses names the node in its third token, and is built from what was read.
fn of_subjects(text: &str) {
    let Some(parsed) = FromNode::parse(text) else { return };
    assert_eq!(text.split('.').nth(2), Some(parsed.node().as_str()));
    let built = match &parsed {
        FromNode::Ack(node, user) => subjects::ack(node, *user),
        // Whatever the last token is: the body says which event it is.
        FromNode::Event(_) => return,
        FromNode::Sessions(node) => subjects::sessions(node),
        FromNode::Health(node) => subjects::health(node),
        FromNode::Sync(node) => subjects::sync(node),
        FromNode::Sign(node) => subjects::sign(node),
        FromNode::Intent(node) => subjects::intent(node),
    };
    assert_eq!(FromNode::parse(&built), Some(parsed));
}

fn of_credentials(text: &str) {
    let Ok(read) = Credentials::parse(text) else { return };
    let written = read.to_file_text().expect("it has a seed");
    let again = Credentials::parse(&written).expect("what was written is read");
    assert_eq!((&again.jwt, again.key.public_key()), (&read.jwt, read.key.public_key()));
    assert!(!format!("{read:?}").contains(&read.key.seed().expect("a seed")));
}

/// Only what its issuer signed is read.
fn of_tokens(text: &str) {
    let issuers = [
        Claims::<AccountClaims>::verify_signature(text)
            .ok()
            .map(|claims| claims.issuer),
        Claims::<UserClaims>::verify_signature(text)
            .ok()
            .map(|claims| claims.issuer),
        Claims::<OperatorClaims>::verify_signature(text)
            .ok()
            .map(|claims| claims.issuer),
    ];
    for issuer in issuers.into_iter().flatten() {
        assert_eq!(issuer.len(), 56);
    }
}
