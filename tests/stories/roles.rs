//! Roles: one MFA session for all of them, and what happens where AWS or a program in between refuses.

use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use onetap_support::aws::{Aws, Options, Role, Seen, User, WebIdentity, World, policy};
use onetap_support::home::{Home, Said, said};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
    config: String,
}

/// Doug's home, roles in his account, and profiles beside his own.
fn bench(roles: impl IntoIterator<Item = Role>, profiles: &str, touch: &str) -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World { roles: roles.into_iter().collect(), ..World::of(doug.clone()) });
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    let config = home.read(".aws/config");
    home.private(".aws/config", &format!("{config}\n{profiles}"));
    Bench { aws, home, doug, config }
}

impl Bench {
    fn ask(&self, profile: &str) -> Said {
        self.home.run(&["credential-process", profile])
    }

    fn gives(&self, profile: &str) -> String {
        let said = self.ask(profile);
        assert_eq!(said.status, 0, "{profile}: {}", said.stderr);
        let id = said.stdout.split_once("\"AccessKeyId\":\"").unwrap().1;
        id.split_once('"').unwrap().0.to_owned()
    }

    /// Twenty processes at once.
    fn twenty(&self, arguments: &[&str]) -> Vec<Said> {
        let start =
            |_| self.home.onetap(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let children: Vec<_> = (0..20).map(start).collect();
        children.into_iter().map(|child| Said::from(child.wait_with_output().unwrap())).collect()
    }

    fn calls(&self) -> Vec<String> {
        let call = |seen: Seen| {
            let code = if seen.code_given { " with a code" } else { "" };
            format!("{} {}{code}: {}", seen.action, seen.duration.unwrap_or_default(), seen.outcome)
        };
        let calls = self.aws.requests().into_iter().filter(|seen| seen.action != "GetCallerIdentity");
        calls.map(call).collect()
    }
}

/// A profile of a role.
fn role(name: &str, source: &str, more: &str) -> String {
    let arn = Role::named(name).arn();
    format!("[profile {name}]\nrole_arn = {arn}\n{source}\n{more}\n\n")
}

fn of_doug(name: &str, more: &str) -> String {
    role(name, "source_profile = doug", more)
}

fn trusts_doug_with_mfa(name: &str) -> Role {
    Role::named(name).trust(policy::trust_with_mfa(&User::doug().arn()))
}

fn one_line(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    let last = said.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} lacks in {}", said.stderr);
    }
}

#[test]
fn two_roles_and_their_user_share_one_touch_and_one_mfa_session() {
    let roles = [trusts_doug_with_mfa("reader"), trusts_doug_with_mfa("writer")];
    let bench = bench(roles, &(of_doug("reader", "") + &of_doug("writer", "duration_seconds = 900")), "");
    let ids = ["reader", "writer", "doug"].map(|profile| bench.gives(profile));
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    assert_eq!(["reader", "writer", "doug"].map(|profile| bench.gives(profile)), ids, "all are kept");
    let calls = ["GetSessionToken 43200 with a code: ok", "AssumeRole 3600: ok", "AssumeRole 900: ok"];
    assert_eq!((bench.home.touches(), bench.calls()), (1, calls.map(String::from).to_vec()));
    let names: Vec<_> = bench.aws.requests().into_iter().filter_map(|seen| seen.role_session_name).collect();
    assert_eq!(names, ["onetap-doug", "onetap-doug"]);
}

#[test]
fn a_role_of_more_than_an_hour_is_asked_for_with_a_code_of_its_own_and_the_person_is_told_why() {
    let long = trusts_doug_with_mfa("long").max_session(Duration::from_secs(43_200));
    let bench = bench([long], &of_doug("long", "duration_seconds = 7200"), "");
    let made = bench.ask("long");
    assert_eq!(made.status, 0, "{}", made.stderr);
    assert!(made.stderr.contains("for more than 1 h AWS wants MFA on AssumeRole itself"), "{}", made.stderr);
    assert_eq!(bench.ask("long").stderr, "", "kept: not a word");
    assert_eq!(
        (bench.home.touches(), bench.calls()),
        (1, vec!["AssumeRole 7200 with a code: ok".to_owned()])
    );
}

#[test]
fn a_chain_of_three_with_external_id_tags_and_source_identity_is_walked_once() {
    let demands = json!({
        "Bool": { "aws:MultiFactorAuthPresent": "true" },
        "StringEquals": {
            "sts:ExternalId": "x-42",
            "aws:RequestTag/team": "red",
            "sts:SourceIdentity": "doug",
        },
    });
    let first = Role::named("first").trust(policy::trust_when(&User::doug().arn(), demands));
    // A transitive tag and the source identity go on to the next roles, MFA does not.
    let tagged = json!({ "StringEquals": { "aws:PrincipalTag/team": "red", "aws:SourceIdentity": "doug" } });
    let second = Role::named("second").trust(policy::trust_when(&first.arn(), tagged.clone()));
    let third = Role::named("third").trust(policy::trust_when(&second.arn(), tagged));
    let profiles = of_doug(
        "first",
        "external_id = x-42\nsession_tags = team=red,cost=low\ntransitive_session_tags = team\nsource_identity = doug",
    ) + &role("second", "source_profile = first", "")
        + &role("third", "source_profile = second", "role_session_name = me@work");
    let bench = bench([first, second, third], &profiles, "");
    bench.gives("third");
    bench.gives("third");
    bench.gives("second");
    let calls = ["GetSessionToken 43200 with a code: ok"].into_iter().chain(["AssumeRole 3600: ok"; 3]);
    assert_eq!(bench.calls(), calls.collect::<Vec<_>>());
    assert_eq!(bench.home.touches(), 1);
    let names: Vec<_> = bench.aws.requests().into_iter().filter_map(|seen| seen.role_session_name).collect();
    assert_eq!(names, ["onetap-doug", "onetap-doug", "me@work"]);
}

#[test]
fn credentials_in_the_environment_assume_a_role_and_a_session_there_is_no_user() {
    let roles =
        [trusts_doug_with_mfa("with-mfa"), Role::named("plain").trust(policy::trust(&User::doug().arn()))];
    let serial = "mfa_serial = arn:aws:iam::123456789012:mfa/doug";
    let env = "credential_source = Environment";
    let bench = bench(roles, &(role("with-mfa", env, serial) + &role("plain", env, "")), "");
    one_line(&bench.ask("plain"), 4, &["AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"]);
    let keys = |profile: &str| {
        let mut command = bench.home.onetap(&["credential-process", profile]);
        command.env("AWS_ACCESS_KEY_ID", &bench.doug.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &bench.doug.secret_access_key);
        command
    };
    for profile in ["plain", "with-mfa"] {
        let made = said(&mut keys(profile));
        assert_eq!(made.status, 0, "{}", made.stderr);
    }
    let calls = ["AssumeRole 3600: ok", "GetSessionToken 43200 with a code: ok", "AssumeRole 3600: ok"];
    assert_eq!(bench.calls(), calls);
    let refused = said(keys("with-mfa").arg("--renew").env("AWS_SESSION_TOKEN", "a token"));
    one_line(&refused, 3, &["a session's, and an MFA device counts only for a user's own key"]);
    assert_eq!(bench.calls().len(), 3, "and nothing was asked of AWS");
}

#[test]
fn another_program_s_credentials_are_a_source_long_term_or_a_session() {
    let user = User::doug().arn();
    let roles = [trusts_doug_with_mfa("with-mfa"), Role::named("plain").trust(policy::trust(&user))];
    let own = "source_profile = helper";
    let serial = "mfa_serial = arn:aws:iam::123456789012:mfa/doug";
    let bench = bench(roles, "", "");
    let helper = bench.home.path("helper.sh");
    let profiles = format!(
        "{}{}{}[profile helper]\ncredential_process = sh {}\n",
        bench.config,
        role("with-mfa", own, serial),
        role("plain", own, ""),
        helper.display()
    );
    bench.home.private(".aws/config", &profiles);
    let User { access_key_id, secret_access_key, .. } = &bench.doug;
    let key = format!(
        "\"Version\":1,\"AccessKeyId\":\"{access_key_id}\",\"SecretAccessKey\":\"{secret_access_key}\""
    );
    bench.home.private("helper.sh", &format!("echo run >> \"$HOME/runs\"\necho '{{{key}}}'\n"));
    bench.gives("with-mfa");
    bench.gives("with-mfa");
    bench.gives("plain");
    let calls = ["GetSessionToken 43200 with a code: ok", "AssumeRole 3600: ok", "AssumeRole 3600: ok"];
    assert_eq!(bench.calls(), calls);
    assert!(bench.home.read("runs").lines().count() <= 3, "not run for what is kept");

    // The same program, now with a session: doug's own.
    let session = bench.ask("doug").stdout;
    bench.home.private("helper.sh", &format!("echo '{}'\n", session.trim()));
    assert_eq!(bench.home.run(&["clear"]).status, 0);
    let touches = bench.home.touches();
    bench.gives("plain");
    one_line(&bench.ask("with-mfa"), 3, &["an MFA device counts only for a user's own key"]);
    assert_eq!(bench.home.touches(), touches, "no touch for a code that cannot count");

    bench.home.private("helper.sh", "echo nothing\n");
    one_line(
        &bench.home.run(&["--renew", "credential-process", "plain"]),
        4,
        &["credential_process of profile \"helper\" printed no credentials"],
    );
}

#[test]
fn a_program_that_calls_onetap_for_what_it_is_run_for_is_refused_at_once() {
    let plain = Role::named("plain").trust(policy::trust(&User::doug().arn()));
    let bench = bench([plain], "", "");
    let wrapper = bench.home.private("wrapper.sh", &format!("exec {BINARY} credential-process $1\n"));
    for asked in ["helper", "plain"] {
        let profiles = format!(
            "{}{}[profile helper]\nmfa_serial = arn:aws:iam::123456789012:mfa/doug\ncredential_process = sh {} {asked}\n",
            bench.config,
            role("plain", "source_profile = helper", ""),
            wrapper.display()
        );
        bench.home.private(".aws/config", &profiles);
        for profile in ["helper", "plain"] {
            let began = std::time::Instant::now();
            let refused = bench.ask(profile);
            one_line(&refused, 4, &["credential_process of profile \"helper\" failed"]);
            assert!(refused.stderr.contains("is being asked for already"), "{}", refused.stderr);
            assert!(began.elapsed() < Duration::from_secs(30), "{asked} {profile}: waited for itself");
        }
    }
    assert_eq!((bench.home.touches(), bench.calls()), (0, vec![]));
}

#[test]
fn a_program_for_codes_that_asks_onetap_for_the_same_device_is_refused_at_once() {
    let more = format!("mfa_process = {BINARY} code doug");
    let bench = bench([trusts_doug_with_mfa("reader")], &of_doug("reader", &more), "");
    let began = std::time::Instant::now();
    let refused = bench.ask("reader");
    one_line(&refused, 5, &["mfa_process of profile \"reader\" failed"]);
    let why = "the MFA device arn:aws:iam::123456789012:mfa/doug is being asked for already, by a program that runs on its behalf; \
               remove mfa_process: onetap asks the device itself";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    assert!(began.elapsed() < Duration::from_secs(30), "waited for itself");
    assert_eq!((bench.home.touches(), bench.calls()), (0, vec![]));
}

#[test]
fn a_web_identity_s_token_assumes_a_role_without_key_or_touch() {
    let doug = User::doug();
    let token = WebIdentity::of("token.actions.githubusercontent.com", "repo:doug/x");
    let build =
        Role::named("build").trust(policy::trust_web(&token.provider_arn(), &token.provider, &token.subject));
    let next = Role::named("next").trust(policy::trust(&build.arn()));
    let aws = Aws::start(World::of(doug).role(build).role(next).web_identity(token.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let file = home.path("token.jwt");
    let web = format!("web_identity_token_file = {}", file.display());
    let profiles = role("build", &web, "region = eu-west-1") + &role("next", "source_profile = build", "");
    home.private(".aws/config", &profiles);
    let ask = || home.run(&["credential-process", "next"]);
    one_line(&ask(), 3, &["the web identity token of profile \"build\"", "No such file"]);
    home.private("token.jwt", &format!("{}\n", token.token));
    for _ in ["cold", "kept"] {
        let made = ask();
        assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    }
    let calls: Vec<_> = aws.requests().into_iter().map(|seen| (seen.action, seen.outcome)).collect();
    let calls: Vec<_> = calls.iter().map(|(action, outcome)| (action.as_str(), outcome.as_str())).collect();
    assert_eq!(calls, [("AssumeRoleWithWebIdentity", "ok"), ("AssumeRole", "ok")]);
}

#[test]
fn mfa_process_gives_the_code_and_include_profile_lends_its_keys() {
    let bench = bench([trusts_doug_with_mfa("reader")], "", "");
    let code = "oathtool --totp --base32 -";
    bench.home.private("seed", &bench.doug.devices[0].seed_base32);
    let profiles = format!(
        "{}mfa_process = {code} < {}\n\n[profile common]\nregion = eu-west-3\nduration_seconds = 900\n\n{}",
        bench.config.trim_end().to_owned() + "\n",
        bench.home.path("seed").display(),
        of_doug("reader", "include_profile = common"),
    );
    bench.home.private(".aws/config", &profiles);
    let made = bench.home.run(&["exec", "reader", "--", "printenv", "AWS_REGION"]);
    assert_eq!((made.status, made.stdout.as_str()), (0, "eu-west-3\n"), "{}", made.stderr);
    assert_eq!(bench.calls(), ["GetSessionToken 43200 with a code: ok", "AssumeRole 900: ok"]);
    assert_eq!(bench.home.touches(), 0, "the program was asked, not the token");
}

#[test]
fn an_mfa_session_that_aws_has_revoked_is_dropped_and_made_anew_once() {
    for how in ["InvalidClientTokenId", "ExpiredToken"] {
        let roles = [trusts_doug_with_mfa("reader"), trusts_doug_with_mfa("writer")];
        let bench = bench(roles, &(of_doug("reader", "") + &of_doug("writer", "")), "");
        bench.gives("reader");
        if how == "ExpiredToken" {
            bench.aws.end_sessions()
        } else {
            bench.aws.revoke_sessions_of("doug")
        }
        bench.gives("writer");
        bench.gives("writer");
        let calls = [
            "GetSessionToken 43200 with a code: ok".to_owned(),
            "AssumeRole 3600: ok".into(),
            format!("AssumeRole 3600: {how}"),
            "GetSessionToken 43200 with a code: ok".into(),
            "AssumeRole 3600: ok".into(),
        ];
        assert_eq!((bench.home.touches(), bench.calls()), (2, calls.to_vec()));
    }
}

#[test]
fn a_chain_whose_kept_parts_are_all_revoked_is_made_anew_from_its_beginning() {
    let first = trusts_doug_with_mfa("first");
    let second = Role::named("second").trust(policy::trust(&first.arn()));
    let profiles = of_doug("first", "") + &role("second", "source_profile = first", "");
    let bench = bench([first, second], &profiles, "");
    bench.gives("first");
    bench.aws.end_sessions();
    bench.gives("second");
    let calls = bench.calls().into_iter().skip(2).collect::<Vec<_>>();
    let again = ["GetSessionToken 43200 with a code: ok", "AssumeRole 3600: ok", "AssumeRole 3600: ok"];
    let expired = ["AssumeRole 3600: ExpiredToken"; 2];
    assert_eq!(calls, expired.into_iter().chain(again).collect::<Vec<_>>());
    assert_eq!(bench.home.touches(), 2);
}

#[test]
fn a_session_that_aws_takes_at_no_time_is_an_error_after_the_second_and_no_loop() {
    let doug = User::doug();
    let reader = trusts_doug_with_mfa("reader");
    let world = World::of(doug.clone()).role(reader);
    // Every MFA session is revoked as soon as it is made.
    let aws = Arc::new_cyclic(|aws: &Weak<Aws>| {
        let aws = aws.clone();
        let revoke = move |seen: &Seen| {
            if let (Some(aws), "GetSessionToken", Some(id)) = (aws.upgrade(), &*seen.action, &seen.issued) {
                aws.revoke_session(id);
            }
        };
        Aws::start_with(world, Options { watch: Some(Box::new(revoke)), ..Options::default() }).unwrap()
    });
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    home.private(".aws/config", &format!("{}\n{}", home.read(".aws/config"), of_doug("reader", "")));
    let refused = home.run(&["--timeout", "200", "credential-process", "reader"]);
    one_line(&refused, 8, &["AWS no longer takes the session that signs the request"]);
    let counts = (home.touches(), aws.count("GetSessionToken"), aws.count("AssumeRole"));
    assert_eq!(counts, (2, 2, 2));
}

#[test]
fn a_role_that_aws_refuses_is_one_line_and_the_touch_before_it_is_not_repeated() {
    let bench = bench([Role::named("closed")], &of_doug("closed", ""), "");
    let words = ["AccessDenied", "sts:AssumeRole", "role/closed"];
    one_line(&bench.ask("closed"), 8, &words);
    one_line(&bench.ask("closed"), 8, &words);
    assert_eq!(bench.home.touches(), 1, "the MFA session is good for other roles");
    for said in bench.twenty(&["credential-process", "closed"]) {
        one_line(&said, 8, &words);
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn a_long_role_that_aws_refuses_costs_twenty_who_wait_one_touch_and_those_who_come_later_their_own() {
    let open = trusts_doug_with_mfa("open").max_session(Duration::from_secs(43_200));
    let profiles = of_doug("closed", "duration_seconds = 7200") + &of_doug("open", "duration_seconds = 7200");
    let bench = bench([Role::named("closed"), open], &profiles, "fault touch-after 3000");
    for said in bench.twenty(&["credential-process", "closed"]) {
        one_line(&said, 8, &["AccessDenied", "role/closed"]);
    }
    assert_eq!(bench.calls(), ["AssumeRole 7200 with a code: AccessDenied"]);
    assert_eq!(bench.home.touches(), 1);
    one_line(&bench.ask("closed"), 8, &["AccessDenied"]);
    assert_eq!(bench.home.touches(), 2, "who comes later is asked");
    bench.gives("open");
    assert_eq!(bench.home.touches(), 3);
}

#[test]
fn status_and_clear_know_a_role_s_session_from_its_user_s() {
    let roles = [trusts_doug_with_mfa("reader"), trusts_doug_with_mfa("writer")];
    let bench = bench(roles, &(of_doug("reader", "") + &of_doug("writer", "")), "");
    for profile in ["doug", "reader", "writer"] {
        bench.gives(profile);
    }
    let table = bench.home.run(&["status"]).stdout;
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(row("doug").contains("11 h 59 min left, with MFA"), "{table}");
    assert!(row("reader").contains("0 h 59 min left, MFA at sign-in"), "{table}");
    assert_eq!(bench.home.run(&["status", "--prompt", "writer"]).stdout, "writer 0h59m\n");
    let json = bench.home.run(&["status", "reader", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let session = &json["profiles"][0]["session"];
    assert_eq!((&session["mfa"], &session["role"]), (&json!(true), &json!(true)));

    assert!(bench.home.run(&["clear", "reader"]).stdout.starts_with("Forgot 1 session."));
    assert!(bench.home.run(&["status", "reader"]).stdout.lines().last().unwrap().ends_with(" -"));
    bench.gives("writer");
    assert_eq!(bench.aws.count("AssumeRole"), 2, "the other role's session is still there");
    assert!(bench.home.run(&["clear", "doug"]).stdout.starts_with("Forgot 2 sessions."));
}

#[test]
fn a_role_s_session_opens_the_console() {
    let bench = bench([trusts_doug_with_mfa("reader")], &of_doug("reader", ""), "");
    let shown = bench.home.run(&["login", "reader", "--url", "--service", "ec2"]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    let begin = format!("{}/federation?Action=login&", bench.aws.endpoint());
    assert!(shown.stdout.starts_with(&begin) && shown.stdout.contains("&SigninToken="), "{}", shown.stdout);
    assert!(shown.stdout.contains("Destination=https%3A%2F%2F"), "{}", shown.stdout);
    assert_eq!((bench.home.touches(), bench.aws.count("AssumeRole")), (1, 1));
    assert_eq!(bench.home.run(&["login", "doug", "--url"]).status, 3, "a user's own session does not");
}

#[test]
fn a_child_with_several_profiles_gets_roles_from_onetap_and_not_from_its_sdk() {
    let roles = [trusts_doug_with_mfa("reader"), trusts_doug_with_mfa("writer")];
    let more = format!("mfa_serial = {}", User::doug().devices[0].serial);
    let bench = bench(roles, &(of_doug("reader", &more) + &of_doug("writer", &more)), "");
    let script = "import boto3\nfor name in ('reader', 'other'):\n    \
                  print(boto3.Session(profile_name=name).client('sts').get_caller_identity()['Arn'])";
    let other = format!("other={}", Role::named("writer").arn());
    let python = onetap_support::home::python_tool("python3");
    let python = python.to_str().unwrap();
    let line = ["exec", "doug", "--also", "reader=reader", "--also", &other, "--", python, "-c", script];
    let said = bench.home.run(&line);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(
        said.stdout.contains("assumed-role/reader/") && said.stdout.contains("assumed-role/writer/"),
        "{}",
        said.stdout
    );
    assert_eq!(bench.home.touches(), 1, "{}", said.stderr);
}
