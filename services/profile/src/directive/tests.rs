use super::*;

/// What is taken, how it is told, and how it stands in a profile, without the end of the last line.
const TAKEN: &[(&str, &str, &str)] = &[
    ("auth-nocache", "auth-nocache", "auth-nocache"),
    ("block-outside-dns", "block-outside-dns", "setenv opt block-outside-dns"),
    (
        "setenv opt block-outside-dns",
        "block-outside-dns",
        "setenv opt block-outside-dns",
    ),
    ("connect-retry 1 10", "connect-retry 1 10", "connect-retry 1 10"),
    ("connect-retry 2 30", "connect-retry 2 30", "connect-retry 2 30"),
    ("connect-retry 2 2", "connect-retry 2 2", "connect-retry 2 2"),
    ("disable-dco", "disable-dco", "setenv opt disable-dco"),
    ("setenv opt disable-dco", "disable-dco", "setenv opt disable-dco"),
    ("float", "float", "float"),
    ("mssfix 576", "mssfix 576", "mssfix 576"),
    ("mssfix 1500", "mssfix 1500", "mssfix 1500"),
    ("mute 1", "mute 1", "mute 1"),
    ("mute 9999", "mute 9999", "mute 9999"),
    (
        "pull-filter ignore dns",
        "pull-filter ignore dns",
        "pull-filter ignore dhcp-option\npull-filter ignore dns\npull-filter ignore block-outside-dns",
    ),
    ("rcvbuf 10000", "rcvbuf 10000", "rcvbuf 10000"),
    ("sndbuf 9999999", "sndbuf 9999999", "sndbuf 9999999"),
    (
        "server-poll-timeout 2",
        "server-poll-timeout 2",
        "server-poll-timeout 2",
    ),
    (
        "server-poll-timeout 5",
        "server-poll-timeout 5",
        "server-poll-timeout 5",
    ),
    ("verb 0", "verb 0", "verb 0"),
    ("verb 4", "verb 4", "verb 4"),
];

#[test]
fn each_directive_of_the_list_is_taken_and_written_anew() {
    for (text, told, lines) in TAKEN {
        let directive: ClientDirective = text.parse().expect(text);
        assert_eq!(directive.to_string(), *told);
        assert_eq!(directive.lines(), format!("{lines}\n"));
        assert_eq!(told.parse::<ClientDirective>(), Ok(directive), "{told}");
        assert!(text.len() <= ClientDirective::MOST_LENGTH);
    }
}

#[test]
fn what_is_no_line_of_words_is_refused_before_it_is_looked_at() {
    let long = "x".repeat(65);
    for text in [
        "",
        " ",
        " float",
        "float ",
        "mssfix  1400",
        "mssfix\t1400",
        "float\n",
        "float\nup /bin/evil",
        "float\r\nup /bin/evil",
        "float\0",
        "float\u{b}",
        "float\u{85}",
        "float\u{2028}up",
        "fl\u{200b}oat",
        "\u{feff}float",
        "\"float\"",
        "'float'",
        "pull-filter ignore \"dns\"",
        "mssfix 14\\00",
        "</ca>",
        "<ca>",
        "float # comment",
        "float ;",
        "#float",
        "up `id`",
        long.as_str(),
    ] {
        assert_eq!(
            text.parse::<ClientDirective>(),
            Err(InvalidDirective::NotWords),
            "{text:?}"
        );
    }
}

const PAUSES: &str = "connect-retry takes the first pause (1 or 2 seconds) and the longest one (1 to 30 seconds)";
const OWN_DNS: &str = "pull-filter takes `ignore dns` alone: with it clients keep their own DNS, and leave out dhcp-option, dns and \
                       block-outside-dns";

#[test]
fn arguments_out_of_bounds_are_refused_with_what_is_taken() {
    for (text, said) in [
        ("auth-nocache 1", "auth-nocache takes no argument"),
        ("block-outside-dns yes", "block-outside-dns takes no argument"),
        ("disable-dco 1", "disable-dco takes no argument"),
        ("float float", "float takes no argument"),
        ("mssfix", "mssfix takes 576 to 1500 bytes"),
        ("mssfix 0", "mssfix takes 576 to 1500 bytes"),
        ("mssfix 575", "mssfix takes 576 to 1500 bytes"),
        ("mssfix 1501", "mssfix takes 576 to 1500 bytes"),
        ("mssfix 01400", "mssfix takes 576 to 1500 bytes"),
        ("mssfix +1400", "mssfix takes 576 to 1500 bytes"),
        ("mssfix 1400 mtu", "mssfix takes 576 to 1500 bytes"),
        ("mute 0", "mute takes 1 to 9999 messages"),
        ("mute 10000", "mute takes 1 to 9999 messages"),
        ("rcvbuf 9999", "rcvbuf takes 10000 to 9999999 bytes"),
        ("sndbuf 10000000", "sndbuf takes 10000 to 9999999 bytes"),
        ("sndbuf 9223372036854775808", "sndbuf takes 10000 to 9999999 bytes"),
        ("server-poll-timeout 1", "server-poll-timeout takes 2 to 5 seconds"),
        ("server-poll-timeout 6", "server-poll-timeout takes 2 to 5 seconds"),
        ("verb 5", "verb takes a level from 0 to 4"),
        ("verb -1", "verb takes a level from 0 to 4"),
        ("connect-retry 2", PAUSES),
        ("connect-retry 0 10", PAUSES),
        ("connect-retry 3 10", PAUSES),
        ("connect-retry 1 31", PAUSES),
        ("pull-filter accept dns", OWN_DNS),
        ("pull-filter ignore route", OWN_DNS),
        ("pull-filter ignore dhcp-option", OWN_DNS),
        ("pull-filter ignore block-outside-dns", OWN_DNS),
        ("pull-filter ignore dns server", OWN_DNS),
        (
            "connect-retry 2 1",
            "the longest pause (1 s) is shorter than the first one (2 s)",
        ),
    ] {
        let refused = text.parse::<ClientDirective>().expect_err(text);
        assert_eq!(refused.to_string(), said, "{text}");
    }
}

#[test]
fn what_is_not_on_the_list_is_refused_with_the_reason() {
    for (text, said) in [
        ("up /bin/evil", "up: it has programs run"),
        ("plugin /lib/evil.so", "plugin: it has programs run"),
        ("script-security 2", "script-security: it has programs run"),
        ("register-dns", "register-dns: it has programs run"),
        ("auth-user-pass /etc/passwd", "auth-user-pass: it names files"),
        ("config /etc/passwd", "config: it names files"),
        ("log /etc/passwd", "log: it names files"),
        ("remote evil.example 1194", "remote: profiles say themselves"),
        (
            "verify-x509-name evil name",
            "verify-x509-name: profiles say themselves",
        ),
        ("cipher none", "cipher: profiles say themselves"),
        ("tls-version-min 1.0", "tls-version-min: profiles say themselves"),
        ("ca /etc/evil.pem", "ca: profiles say themselves"),
        ("route-nopull", "route-nopull: what users reach"),
        ("redirect-gateway def1", "redirect-gateway: what users reach"),
        ("keepalive 10 60", "keepalive: the servers tell"),
        ("connect-retry-max 1", "connect-retry-max: clients would stop"),
        ("persist-tun", "persist-tun: clients could not reach the next server"),
        ("tun-mtu 1400", "tun-mtu: it must be the same"),
        ("connect-timeout 3", "connect-timeout: OpenVPN 3 knows it"),
        ("http-proxy 10.0.0.1 8080", "http-proxy: OpenVPN refuses"),
        ("socks-proxy 10.0.0.1 1080", "socks-proxy: OpenVPN 3 refuses"),
        ("ignore-unknown-option up", "ignore-unknown-option: there is no need"),
        ("setenv PATH /tmp", "setenv: of variables"),
        ("setenv opt up", "setenv: of variables"),
        ("setenv opt block-outside-dns now", "setenv: of variables"),
        ("setenv opt disable-dco now", "setenv: of variables"),
        ("setenv FRIENDLY_NAME x", "setenv: of variables"),
        ("setenv GENERIC_CONFIG", "setenv: of variables"),
    ] {
        let refused = text.parse::<ClientDirective>().expect_err(text).to_string();
        assert!(
            refused.starts_with(&format!("a pool may not have {said}")),
            "{text}: {refused}"
        );
    }
    for exception in [
        "route 192.168.7.0 255.255.255.0 net_gateway",
        "route-ipv6 fd00::/8 net_gateway_ipv6",
        "redirect-gateway def1 block-local",
    ] {
        let refused = exception.parse::<ClientDirective>().expect_err(exception).to_string();
        assert!(
            refused.contains("there are no exceptions from it (`net_gateway`)"),
            "{refused}"
        );
    }
    for text in ["--float", "FLOAT", "floats", "mssfix=1400", "unheard-of 1", "x"] {
        assert_eq!(
            text.parse::<ClientDirective>(),
            Err(InvalidDirective::Unknown),
            "{text}"
        );
    }
}

#[test]
fn what_profiles_say_themselves_is_within_the_bounds() {
    for own in [
        ClientDirective::OWN_POLL_TIMEOUT,
        ClientDirective::OWN_RETRY,
        ClientDirective::OWN_VERB,
    ] {
        assert_eq!(own.to_string().parse::<ClientDirective>(), Ok(own));
    }
}

#[test]
fn no_directive_is_taken_and_refused() {
    for (text, ..) in TAKEN {
        let directive: ClientDirective = text.parse().expect(text);
        assert_eq!(refused::reason_against(directive.name()), None, "{text}");
    }
}

#[test]
fn two_of_one_kind_clash_and_so_do_those_that_ask_the_dns_of_the_tunnel_alone_and_never() {
    let read = |text: &str| text.parse::<ClientDirective>().expect(text);
    assert!(read("verb 1").clashes_with(&read("verb 2")));
    assert!(read("float").clashes_with(&read("float")));
    assert!(!read("rcvbuf 20000").clashes_with(&read("sndbuf 20000")));
    let (kept, blocked) = (read("pull-filter ignore dns"), read("block-outside-dns"));
    assert!(kept.clashes_with(&blocked) && blocked.clashes_with(&kept));
    assert!(kept.clashes_with(&kept) && blocked.clashes_with(&blocked));
    assert!(!kept.clashes_with(&read("float")) && !read("float").clashes_with(&blocked));
}

proptest::proptest! {
    /// Whatever text is read, what is written is plain lines.
    #[test]
    fn what_is_written_is_always_plain_lines(
        text in "(auth-nocache|block-outside-dns|connect-retry|disable-dco|float|mssfix|mute|pull-filter|rcvbuf|verb|setenv opt)?[ -~\n]{0,24}",
    ) {
        if let Ok(directive) = text.parse::<ClientDirective>() {
            let lines = directive.lines();
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
            proptest::prop_assert!(lines.ends_with('\n') && !lines.contains("\n\n"), "{lines}");
            proptest::prop_assert!(lines.lines().all(|line| line.bytes().all(is_plain)), "{lines}");
        }
    }
}
