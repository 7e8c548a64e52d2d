//! Secrets that systemd gives to a unit.

use secrecy::ExposeSecret as _;

use super::{Given, KEY, load, message};

/// What systemd puts into the folder of a unit's credentials.
fn with_credentials<T>(
    credentials: &[(&str, &str)],
    env: &[(&str, &str)],
    act: impl FnOnce(&[(&str, &str)]) -> T,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in credentials {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let env: Vec<(&str, &str)> = env.iter().copied().chain([("CREDENTIALS_DIRECTORY", path)]).collect();
    act(&env)
}

#[test]
fn a_credential_of_the_unit_gives_a_secret_that_nothing_else_gives() {
    let key_of = |credentials: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>| {
        with_credentials(credentials, env, |env| {
            load(&Given { args: &[], env, file }).map(|config| config.api_key.expose_secret().to_owned())
        })
    };
    assert_eq!(
        key_of(&[("api-key", "of the unit\n")], &[], None).unwrap(),
        "of the unit"
    );
    assert_eq!(key_of(&[("api-key", "of the unit")], &[KEY], None).unwrap(), KEY.1);
    let file = Some(r#"{"api_key": "of the file"}"#);
    assert_eq!(key_of(&[("api-key", "of the unit")], &[], file).unwrap(), "of the file");
    // What is no secret comes from nowhere but the layers.
    let host = with_credentials(&[("db-host", "elsewhere")], &[KEY], |env| {
        load(&Given {
            args: &[],
            env,
            file: None,
        })
        .unwrap()
        .database
        .host
    });
    assert_eq!(host, None);
}

#[test]
fn an_empty_credential_and_one_of_another_name_give_nothing() {
    for credentials in [&[("api-key", "\n")][..], &[("API_KEY", "k")], &[]] {
        let said = with_credentials(credentials, &[], |env| {
            message(&Given {
                args: &[],
                env,
                file: None,
            })
        });
        assert!(said.contains("api_key is missing"), "{said}");
    }
}
