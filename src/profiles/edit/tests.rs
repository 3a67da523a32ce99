use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::EnvConfigSections;
use aws_runtime::env_config::source;
use aws_types::os_shim_internal::{Env, Fs};
use proptest::prelude::*;

use super::*;

const KEYS: [(&str, &str); 2] =
    [("region", "eu-west-1"), ("mfa_serial", "arn:aws:iam::123456789012:mfa/doug")];

/// What AWS's own parser makes of a config file; `None` where it refuses the whole of it.
fn parsed(content: &[u8]) -> Option<EnvConfigSections> {
    let text = std::str::from_utf8(content).ok()?;
    let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, text).build();
    let (env, fs) = (Env::from_slice(&[]), Fs::from_slice(&[]));
    let Poll::Ready(source) =
        pin!(source::load(&env, &fs, &files)).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("in-memory contents are there at once");
    };
    EnvConfigSections::parse(source.unwrap()).ok()
}

fn set_text(content: &str, section: &str, keys: &[(&str, &str)]) -> String {
    String::from_utf8(set(content.as_bytes(), section, keys).unwrap()).unwrap()
}

#[test]
fn values_are_replaced_added_and_their_section_made() {
    for (what, before, after) in [
        ("an empty file", "", "[profile doug]\nregion = eu\nk = v\n"),
        ("replace and add", "[profile doug]\nregion=x\n", "[profile doug]\nregion=eu\nk = v\n"),
        (
            "comments, blanks and order stay",
            "# top\n[profile doug]\n\tignored = 1\nREGION  =  x  # why\n; end\n\n[profile b]\nregion = x\n",
            "# top\n[profile doug]\n\tignored = 1\nREGION  =  eu  # why\nk = v\n; end\n\n[profile b]\nregion = x\n",
        ),
        ("CRLF", "[profile doug]\r\nregion = x\r\n", "[profile doug]\r\nregion = eu\r\nk = v\r\n"),
        (
            "a new section, CRLF",
            "[a]\r\nx = 1\r\n",
            "[a]\r\nx = 1\r\n\r\n[profile doug]\r\nregion = eu\r\nk = v\r\n",
        ),
        ("no final line end", "[profile doug]\nregion = x", "[profile doug]\nregion = eu\nk = v"),
        (
            "no final line end, new section",
            "[a]\nx = 1",
            "[a]\nx = 1\n\n[profile doug]\nregion = eu\nk = v\n",
        ),
        (
            "a blank line before the new section is enough",
            "[a]\n\n",
            "[a]\n\n[profile doug]\nregion = eu\nk = v\n",
        ),
        ("byte order mark", "\u{feff}[profile doug]\n", "\u{feff}[profile doug]\nregion = eu\nk = v\n"),
        ("blanks in the header", "[ profile\tdoug ] # me\n", "[ profile\tdoug ] # me\nregion = eu\nk = v\n"),
        (
            "a section in two parts: every definition is replaced, new keys go to the last",
            "[profile doug]\nregion = x\n[b]\n[ profile doug ]\nregion = y\n",
            "[profile doug]\nregion = eu\n[b]\n[ profile doug ]\nregion = eu\nk = v\n",
        ),
        (
            "nested keys of others stay, those of a replaced value go",
            "[profile doug]\ns3 =\n  region = 1\nregion = x\n  more\n# c\n  and more\n",
            "[profile doug]\ns3 =\n  region = 1\nregion = eu\n# c\nk = v\n",
        ),
        (
            "a header is no prefix of another",
            "[profile doug2]\nregion = x\n",
            "[profile doug2]\nregion = x\n\n[profile doug]\nregion = eu\nk = v\n",
        ),
        (
            "a broken header ends a section",
            "[profile doug]\nk = 1\n[oops\nregion = x\n",
            "[profile doug]\nk = v\nregion = eu\n[oops\nregion = x\n",
        ),
    ] {
        assert_eq!(set_text(before, "profile doug", &[("region", "eu"), ("k", "v")]), after, "{what}");
    }
}

#[test]
fn bytes_that_are_not_text_stay() {
    let before = b"[profile doug]\n# caf\xe9\nname = \xff\xfe # \xe9\nregion = x\n";
    let after = set(before, "profile doug", &[("region", "eu"), ("name", "n")]).unwrap();
    assert_eq!(after, b"[profile doug]\n# caf\xe9\nname = n # \xe9\nregion = eu\n");
}

#[test]
fn the_default_profile_is_edited_where_it_counts() {
    let keys = [("region", "eu")];
    assert_eq!(set_text("[default]\n", "profile default", &keys), "[default]\nregion = eu\n");
    let both = "[default]\nregion = x\n[profile default]\nregion = y\n";
    assert_eq!(set_text(both, "default", &keys), both.replace('y', "eu"));
    assert_eq!(locate(both.as_bytes(), "default", Some("region")), Some(4));
    assert_eq!(set_text("", "default", &keys), "[default]\nregion = eu\n");
}

#[test]
fn a_section_whose_name_stands_in_quotes_is_found_and_not_doubled() {
    let content = b"\n[profile \"doug\"]\nregion = x\n";
    assert_eq!(set(content, "profile doug", &KEYS), Err(EditError::QuotedHeader { line: 2 }));
    assert_eq!(locate(content, "profile doug", Some("region")), Some(3));
    assert_eq!(unset(content, "profile doug", &["region"]), b"\n[profile \"doug\"]\n");
}

#[test]
fn what_would_not_be_read_back_is_refused() {
    for value in ["a\nb", "a\rb", " a", "a\t", "a # b", "a\t;b", "#a", ";", "a\0", "a\u{a0}#b", "a\u{a0}"] {
        let refused = set(b"", "profile doug", &[("k", value)]);
        assert_eq!(refused, Err(EditError::Value { key: "k".into() }), "{value:?}");
    }
    for value in ["", "a#b", "a=b", "a ] [", "\"x\" 'y' $(z)", "é"] {
        assert!(set(b"", "profile doug", &[("k", value)]).is_ok(), "{value:?}");
    }
    for key in ["", "a b", "a=", "a:b", "#a", "[a", "a\n"] {
        assert_eq!(set(b"", "profile doug", &[(key, "v")]), Err(EditError::Key(key.into())));
    }
    for section in ["", "profile a b", "profile a]", "profile \"a\"", "profile #a", "a\nb"] {
        assert_eq!(set(b"", section, &[]), Err(EditError::Section(section.into())));
    }
}

#[test]
fn what_is_unset_is_gone_with_its_continuation_and_nothing_else_is() {
    let content =
        b"[profile doug]\r\nregion = x\r\n  more\r\n\r\nREGION = y\r\nk = v\r\n[b]\r\nregion = z\r\n";
    let expected = b"[profile doug]\r\n\r\nk = v\r\n[b]\r\nregion = z\r\n";
    assert_eq!(unset(content, "profile doug", &["region", "absent"]), expected);
    assert_eq!(unset(content, "profile nobody", &["region"]), content);
}

#[test]
fn the_line_that_counts_is_found() {
    let content =
        b"\xef\xbb\xbf[profile doug]\nregion = x\n\n[b]\n[profile doug]\nRegion = y\ns3 =\n  k = v\n";
    let line = |key| locate(content, "profile doug", key);
    assert_eq!((line(None), line(Some("region")), line(Some("s3"))), (Some(5), Some(6), Some(7)));
    assert_eq!((line(Some("k")), locate(content, "doug", None)), (None, None));
}

/// Files that hold much of what people write, whole and broken.
fn files() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[profile doug]",
        "[profile other]",
        "[default]",
        "[profile default]",
        "[services s]",
        "[oops",
        "region = a",
        "Region=b # c",
        "mfa_serial =",
        "output = json",
        "s3 =",
        "  max = 1",
        "\tregion = 3",
        "# comment",
        "; region = 9",
        "",
        "  ",
        "é = ü\u{a0}# x",
        "no equals sign",
    ]);
    let lines = prop::collection::vec(line, 0..14);
    let spelling = prop::sample::select(vec!["[profile doug]", "[ profile  doug ]", "[profile\tdoug] ; me"]);
    (lines, spelling, prop::sample::select(vec!["\n", "\r\n"]), any::<bool>()).prop_map(
        |(lines, spelling, end, ended)| {
            // One spelling a file: AWS's parser merges sections of different spellings in no certain order.
            let lines = lines.into_iter().map(|line| if line == "[profile doug]" { spelling } else { line });
            let text = lines.collect::<Vec<_>>().join(end);
            if ended { text + end } else { text }
        },
    )
}

/// The lines that are neither a definition of one of `KEYS` nor a blank-led line that may continue it.
fn foreign(text: &str) -> Vec<&str> {
    let ours = |line: &str| KEYS.iter().any(|(key, _)| line.to_ascii_lowercase().starts_with(key));
    text.split_inclusive('\n').filter(|line| !ours(line) && !line.starts_with([' ', '\t'])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_set_is_read_by_aws_and_all_else_is_as_it_was(
        before in files(), section in prop::sample::select(vec!["profile doug", "default", "profile default"]),
    ) {
        let after = set_text(&before, section, &KEYS);
        prop_assert_eq!(&set_text(&after, section, &KEYS), &after, "twice is once");

        // Lines may be added at one place only: what was there is a subsequence, and the rest is a header.
        let (old, new) = (foreign(before.trim_end()), foreign(&after));
        let mut rest = new.iter();
        for line in &old {
            prop_assert!(rest.any(|kept| kept.trim_end() == line.trim_end()), "{:?} of {:?} in {:?}", line, before, after);
        }
        let added = new.iter().filter(|line| !line.trim().is_empty()).count()
            - old.iter().filter(|line| !line.trim().is_empty()).count();
        prop_assert!(added <= 1, "{:?} became {:?}", before, after);

        if let Some(was) = parsed(before.as_bytes()) {
            let is = parsed(after.as_bytes()).expect("a file that AWS's parser reads goes on being read");
            let name = section.trim_start_matches("profile ");
            for (key, value) in KEYS {
                prop_assert_eq!(is.get_profile(name).and_then(|profile| profile.get(key)), Some(value));
                prop_assert!(locate(after.as_bytes(), section, Some(key)).is_some());
            }
            for other in was.profiles().filter(|other| *other != name) {
                for key in ["region", "mfa_serial", "output", "s3"] {
                    let of = |sections: &EnvConfigSections| {
                        sections.get_profile(other).and_then(|profile| profile.get(key)).map(str::to_owned)
                    };
                    prop_assert_eq!(of(&was), of(&is), "{} of {}", key, other);
                }
            }
            let gone = unset(after.as_bytes(), section, &["region", "mfa_serial"]);
            let gone = parsed(&gone).expect("and after the keys are gone too");
            prop_assert_eq!(gone.get_profile(name).and_then(|profile| profile.get("region")), None);
        }
    }

    #[test]
    fn any_bytes_at_all_are_taken(before in prop::collection::vec(any::<u8>(), 0..200)) {
        let after = set(&before, "profile doug", &KEYS).unwrap();
        prop_assert!(after.starts_with(&before) || locate(&before, "profile doug", None).is_some());
        prop_assert_eq!(set(&after, "profile doug", &KEYS).unwrap(), after);
        let _ = unset(&before, "profile doug", &["region"]);
    }
}
