//! Indexes as people publish them: the forms of their lines, not their names.

use super::*;

fn read(text: &str) -> Index {
    Index::read(Path::new("index.txt"), text.as_bytes()).expect("an index")
}

fn only(text: &str) -> Entry {
    let index = read(text);
    assert!(index.remarks.is_empty(), "{text:?}: {index:?}");
    let [entry] = index.entries.as_slice() else {
        panic!("one entry of {text:?}: {index:?}")
    };
    entry.clone()
}

#[test]
fn lines_of_public_authorities_are_read() {
    // The subject as easy-rsa 2, easy-rsa 3, and other programs write it; serial numbers counted and drawn; two and four digits for the year.
    let cases = [
        (
            "V\t310224084130Z\t\t01\tunknown\t/C=TW/ST=KS/L=Kaohsiung/O=Example/OU=lis/CN=server/name=vpn",
            ("server", "1", "2031-02-24T08:41:30+00:00"),
        ),
        (
            "V\t271221114013Z\t\t02\tunknown\t/C=DE/ST=NRW/L=Aachen/O=Home/OU=X/CN=igor001/name=X/emailAddress=a@example.com",
            ("igor001", "2", "2027-12-21T11:40:13+00:00"),
        ),
        (
            "V\t220128085543Z\t\tD2E1D3C7CDADFE909A357C08642F5250\tunknown\t/CN=ola",
            (
                "ola",
                "280310441326488153695980267789167317584",
                "2022-01-28T08:55:43+00:00",
            ),
        ),
        (
            "V\t21200722093832Z\t\tC3F06F32813B8D2C19371D6302DB3410\tunknown\t/CN=phone-1",
            (
                "phone-1",
                "260447865772976644453182187831524275216",
                "2120-07-22T09:38:32+00:00",
            ),
        ),
        (
            "V\t190902104047Z\t\t01\tunknown\t/C=XX/ST=nowhere/O=anonymous organization/OU=bla/CN=bla bla/emailAddress=a@b.com",
            ("bla bla", "1", "2019-09-02T10:40:47+00:00"),
        ),
        (
            "E\t080218155453Z\t\t5D\tunknown\t/CN=laptop01\r",
            ("laptop01", "93", "2008-02-18T15:54:53+00:00"),
        ),
        (
            "V\t991231235959Z\t\t0A\tunknown\t/CN=last/century",
            ("last/century", "10", "1999-12-31T23:59:59+00:00"),
        ),
        (
            "V\t491231235959Z\t\t0B\tunknown\t/CN=a/CN=b",
            ("b", "11", "2049-12-31T23:59:59+00:00"),
        ),
        (
            "V\t251124223004Z\t\t0C\tunknown\t/CN=Jos\\xC3\\xA9/2.5.4.42=x",
            ("José", "12", "2025-11-24T22:30:04+00:00"),
        ),
        (
            "V\t251124223004Z\t\t0D\talice.pem\t/O=a/b/CN=alice",
            ("alice", "13", "2025-11-24T22:30:04+00:00"),
        ),
    ];
    for (line, (name, serial, end)) in cases {
        let entry = only(line);
        assert_eq!(entry.common_name, name, "{line:?}");
        assert_eq!(entry.not_after.to_rfc3339(), end, "{line:?}");
        assert!(!entry.is_revoked, "{line:?}");
        assert_eq!(entry.serial, serial, "{line:?}");
    }
}

#[test]
fn a_certificate_is_revoked_whatever_stands_for_the_time_and_the_reason() {
    for field in [
        "130414141857Z",
        "100201142709Z,superseded",
        "20600201142709Z,keyTime,20100201142709Z",
        "",
    ] {
        let entry = only(&format!(
            "R\t230410143952Z\t{field}\t01\tunknown\t/O=x/OU=hosts/CN=h01.hosts.example.net"
        ));
        assert!(entry.is_revoked, "{field:?}");
        assert_eq!(entry.common_name, "h01.hosts.example.net");
    }
}

#[test]
fn what_is_no_entry_is_said_with_its_line() {
    let index = read(
        "# a comment\n\nV 310224084130Z  01 unknown /CN=blanks\nX\t310224084130Z\t\t01\tunknown\t/CN=a\n\
         V\t3102240841Z\t\t01\tunknown\t/CN=a\nV\t310231084130Z\t\t01\tunknown\t/CN=a\nV\t310224084130Z\t\t-1\tunknown\t/CN=a\n\
         V\t310224084130Z\t\t01\tunknown\t/O=a\nV\t310224084130Z\t\t01\tunknown\t/CN=\nV\t310224084130Z\t\t01\tunknown\tCN=a\n\
         V\t310224084130Z\t\t01\tunknown\t/CN=good\n",
    );
    let lines: Vec<_> = index.remarks.iter().map(|remark| remark.place.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10].map(Some));
    assert_eq!(index.entries.len(), 1);
    assert_eq!(index.entries[0].place.to_string(), "index.txt:11");
}

#[test]
fn bytes_that_are_no_text_disturb_nothing_else() {
    let mut bytes =
        b"V\t310224084130Z\t\t01\tunknown\t/CN=\xff\nV\t310224084130Z\t\t02\tunknown\t/CN=b\\xZZ\\x".to_vec();
    bytes.push(b'\n');
    let index = Index::read(Path::new("index.txt"), &bytes).expect("an index");
    let names: Vec<_> = index.entries.iter().map(|entry| entry.common_name.as_str()).collect();
    assert_eq!(names, ["\u{fffd}", "b\\xZZ\\x"]);
}
