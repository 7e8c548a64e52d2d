use std::collections::BTreeMap;

use super::*;
use crate::security::claims::{AccountClaims, AccountLimits, OperatorClaims, SigningKey, UserClaims};

fn user() -> Claims<UserClaims> {
    Claims::new("n1", KeyPair::new_user().public_key(), UserClaims::default())
}

#[test]
fn what_is_signed_is_read_back() {
    let operator = KeyPair::new_operator();
    let body = AccountClaims {
        limits: AccountLimits::with_jetstream(),
        signing_keys: vec![SigningKey::Plain(KeyPair::new_account().public_key())],
        revocations: BTreeMap::from([("U1".to_owned(), 7)]),
        ..AccountClaims::default()
    };
    let mut written = Claims::new("VPN", KeyPair::new_account().public_key(), body);
    written.expires_at = Some(DateTime::from_timestamp(2_000_000_000, 0).unwrap());
    let token = written.sign(&operator).unwrap();

    let read = Claims::<AccountClaims>::verify(&token, &[&operator.public_key()]).unwrap();

    written.issuer = operator.public_key();
    written.issued_at = DateTime::from_timestamp(written.issued_at.timestamp(), 0).unwrap();
    assert_eq!(read, written);
}

#[test]
fn another_fleets_issuer_is_refused() {
    let token = user().sign(&KeyPair::new_account()).unwrap();
    let ours = KeyPair::new_account().public_key();
    assert!(matches!(
        Claims::<UserClaims>::verify(&token, &[&ours]),
        Err(JwtError::Issuer)
    ));
}

#[test]
fn any_changed_part_breaks_the_signature() {
    let token = user().sign(&KeyPair::new_account()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
    let renamed = BASE64URL_NOPAD.encode(claims.replace("\"n1\"", "\"n2\"").as_bytes());
    let forged = format!("{}.{renamed}.{}", parts[0], parts[2]);
    assert!(matches!(
        Claims::<UserClaims>::verify_signature(&forged),
        Err(JwtError::Signature(_))
    ));
    let cut = format!("{}.{}.{}", parts[0], parts[1], &parts[2][..40]);
    assert!(Claims::<UserClaims>::verify_signature(&cut).is_err());
}

#[test]
fn what_is_no_such_token_is_refused() {
    let token = user().sign(&KeyPair::new_account()).unwrap();
    assert!(matches!(
        Claims::<AccountClaims>::verify_signature(&token),
        Err(JwtError::Kind { .. })
    ));
    for broken in ["", "a.b", "a.b.c.d", "é.b.c", "e30.e30.e30"] {
        assert!(Claims::<UserClaims>::verify_signature(broken).is_err(), "{broken:?}");
    }
    let unsigned = token.replacen(
        token.split('.').next().unwrap(),
        &BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#),
        1,
    );
    assert!(matches!(
        Claims::<UserClaims>::verify_signature(&unsigned),
        Err(JwtError::Kind { .. })
    ));
}

#[test]
fn only_the_right_type_of_key_signs() {
    assert!(matches!(
        user().sign(&KeyPair::new_operator()),
        Err(JwtError::Signer { what: "user" })
    ));
    assert!(matches!(
        user().sign(&KeyPair::new_user()),
        Err(JwtError::Signer { .. })
    ));
    let public_only = KeyPair::from_public_key(&KeyPair::new_account().public_key()).unwrap();
    assert!(matches!(user().sign(&public_only), Err(JwtError::Signer { .. })));
    let operator = Claims::new("O", "O", OperatorClaims::default());
    assert!(matches!(
        operator.sign(&KeyPair::new_account()),
        Err(JwtError::Signer { .. })
    ));
}

/// Tokens as other releases and other tools wrote them still decode; fields that we do not know survive a new signature.
#[test]
fn golden_account_token_decodes_and_keeps_unknown_fields() {
    let golden = include_str!("../../golden/account.jwt");
    let operator = KeyPair::new_operator();

    let claims = Claims::<AccountClaims>::verify_signature(golden).unwrap();
    let again = Claims::<AccountClaims>::verify_signature(&claims.sign(&operator).unwrap()).unwrap();

    assert_eq!(claims.name, "NODES");
    assert_eq!(claims.issued_at.timestamp(), 1_780_000_000);
    assert_eq!(claims.body.other["description"], "written by another tool");
    assert_eq!(claims.body.revocations.values().collect::<Vec<_>>(), [&1_770_000_000]);
    assert!(matches!(
        claims.body.signing_keys.as_slice(),
        [SigningKey::Scoped(_), SigningKey::Plain(_)]
    ));
    assert_eq!(again.body, claims.body);
}

#[test]
fn golden_user_token_decodes() {
    let claims = Claims::<UserClaims>::verify_signature(include_str!("../../golden/user.jwt")).unwrap();
    assert_eq!(claims.name, "n1");
    assert_eq!(claims.expires_at.map(|at| at.timestamp()), Some(4_000_000_000));
    assert_eq!(claims.body.permissions.publish.allow, ["vpn.>"]);
    assert_eq!(claims.body.permissions.subs, -1);
}
