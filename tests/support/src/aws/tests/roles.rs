//! Roles: who may assume them, how long their sessions last, and what they may do.

use super::*;

const ASSUME: [(&str, &str); 3] =
    [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleSessionName", "story")];

/// Doug with story (a)'s policy, and roles; the server's clock has just entered a step.
fn world(roles: impl IntoIterator<Item = Role>) -> (Aws, Client) {
    let doug = User::doug().policy(policy::stop_only_with_mfa());
    let aws = Aws::start(World { roles: roles.into_iter().collect(), ..World::of(doug.clone()) });
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    let client = Client::of(&aws, &doug);
    (aws, client)
}

fn arn(role: &str) -> String {
    Role::named(role).arn()
}

fn doug() -> String {
    User::doug().arn()
}

/// The root of the account: everybody whose own policies allow it.
fn account() -> String {
    format!("arn:aws:iam::{ACCOUNT}:root")
}

impl Client {
    fn assume(&self, role: &str, more: &[(&str, &str)]) -> Answer {
        let arn = arn(role);
        self.call(&[&ASSUME[..], &[("RoleArn", &arn)], more].concat())
    }
}

fn denied(who: &str, action: &str, role: &str) -> String {
    format!("User: {who} is not authorized to perform: {action} on resource: {}", arn(role))
}

#[test]
fn a_role_that_trusts_the_user_is_assumed_and_its_session_is_the_roles() {
    let reader = Role::named("reader").trust(policy::trust(&doug())).policy(policy::everything());
    let (aws, keys) = world([reader]);
    let made = keys.assume("reader", &[]);
    let session = keys.session(&made);
    assert!(session.key.starts_with("ASIA"));
    let role_session = "arn:aws:sts::123456789012:assumed-role/reader/story";
    assert_eq!(made.tag("Arn"), role_session);
    assert!(made.tag("AssumedRoleId").starts_with("AROA") && made.tag("AssumedRoleId").ends_with(":story"));
    let left = clock::instant(made.tag("Expiration")).unwrap() as i64 - aws.now();
    assert!((3590..=3600).contains(&left), "{left}");
    let identity = session.call(&IDENTITY);
    assert_eq!((identity.tag("Arn"), identity.tag("Account")), (role_session, ACCOUNT));
    assert_eq!(identity.tag("UserId"), made.tag("AssumedRoleId"));
    // What the user may not, the role may.
    assert_eq!(keys.call(&STOP).status, 403);
    assert_eq!(session.call(&STOP).status, 200);

    let seen = aws.requests();
    assert_eq!(
        (seen[0].role_arn.as_deref(), seen[0].role_session_name.as_deref()),
        (Some(arn("reader").as_str()), Some("story"))
    );
    assert_eq!((seen[0].code_given, seen[0].issued.as_deref()), (false, Some(session.key.as_str())));
    assert_eq!(seen[0].caller.as_deref(), Some(doug().as_str()));
    assert_eq!(seen[1].caller.as_deref(), Some(role_session));
}

#[test]
fn a_role_that_does_not_trust_the_caller_and_one_that_is_not_there_are_refused_alike() {
    let other = Role::named("other").trust(policy::trust("arn:aws:iam::123456789012:user/anna"));
    let (_aws, keys) = world([Role::named("closed"), other]);
    for role in ["closed", "other", "nothing"] {
        let message = denied(&doug(), "sts:AssumeRole", role);
        assert_eq!(keys.assume(role, &[]).told(), (403, "AccessDenied", message.as_str()));
    }
}

#[test]
fn trusting_the_account_leaves_the_decision_to_the_users_policies() {
    let shared = Role::named("shared").trust(policy::trust(&account()));
    let (_aws, keys) = world([shared.clone()]);
    let refused = keys.assume("shared", &[]);
    let wanted = format!(
        "{} because no identity-based policy allows the sts:AssumeRole action",
        denied(&doug(), "sts:AssumeRole", "shared")
    );
    assert_eq!(refused.told(), (403, "AccessDenied", wanted.as_str()));

    let anna = User::named("anna").policy(policy::everything());
    let aws = Aws::start(World::of(anna.clone()).role(shared));
    assert_eq!(Client::of(&aws, &anna).assume("shared", &[]).status, 200);

    // A role of another account needs both sides, also where the user is named.
    let abroad = Role::named("abroad").account("210987654321").trust(policy::trust(&doug()));
    let there = abroad.arn();
    let (_aws, keys) = world([abroad]);
    let refused = keys.call(&[&ASSUME[..], &[("RoleArn", &there)]].concat());
    assert_eq!(refused.tag("Code"), "AccessDenied");
    assert!(refused.tag("Message").contains("because no identity-based policy allows"), "{}", refused.body);
}

#[test]
fn an_explicit_deny_of_the_users_wins_over_a_trust_policy() {
    let deny = json!({ "Version": "2012-10-17",
        "Statement": { "Effect": "Deny", "Action": "sts:*", "Resource": "*" } });
    let doug = User::doug().policy(policy::everything()).policy(deny);
    let role = Role::named("reader").trust(policy::trust(&doug.arn()));
    let aws = Aws::start(World::of(doug.clone()).role(role));
    let told = Client::of(&aws, &doug).assume("reader", &[]);
    assert!(
        told.tag("Message").ends_with("with an explicit deny in an identity-based policy"),
        "{}",
        told.body
    );
}

#[test]
fn a_trust_policy_that_demands_mfa_takes_it_from_the_call_or_from_the_session() {
    let admin = Role::named("admin").trust(policy::trust_with_mfa(&doug())).policy(policy::everything());
    let (aws, keys) = world([admin]);
    let refused = denied(&doug(), "sts:AssumeRole", "admin");
    assert_eq!(keys.assume("admin", &[]).told(), (403, "AccessDenied", refused.as_str()));
    let without = keys.session(&keys.call(&TOKEN));
    assert_eq!(without.assume("admin", &[]).told(), (403, "AccessDenied", refused.as_str()));

    let code = |steps| aws.code(SERIAL, steps).unwrap();
    let (first, second) = (code(-1), code(0));
    assert_eq!(keys.assume("admin", &[("SerialNumber", SERIAL), ("TokenCode", &first)]).status, 200);
    // The code is used up, for GetSessionToken too.
    let again = keys.assume("admin", &[("SerialNumber", SERIAL), ("TokenCode", &first)]);
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    assert_eq!(again.told(), (403, "AccessDenied", message));
    assert_eq!(keys.session_token(&first).told(), (403, "AccessDenied", message));

    let session = keys.session(&keys.session_token(&second));
    assert_eq!(session.assume("admin", &[]).status, 200);
    let steps: Vec<_> = aws.requests().iter().filter_map(|seen| seen.code_step).collect();
    let now = u64::try_from(aws.now().div_euclid(30)).unwrap();
    assert_eq!(steps, [now - 1, now - 1, now - 1, now]);
}

#[test]
fn a_serial_counts_only_for_a_users_own_call() {
    let trust = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": [doug(), arn("first")] } } });
    let roles = ["first", "second"].map(|name| Role::named(name).trust(trust.clone()));
    let (aws, keys) = world(roles.map(|role| role.policy(policy::everything())));
    let session = keys.session(&keys.call(&TOKEN));
    let role = keys.session(&keys.assume("first", &[]));
    let code = aws.code(SERIAL, 0).unwrap();
    let mfa = [("SerialNumber", SERIAL), ("TokenCode", code.as_str())];
    let message = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number \
                   is valid and associated with this user.";
    for client in [session, role] {
        assert_eq!(client.assume("second", &mfa).told(), (403, "AccessDenied", message));
        assert_eq!(client.assume("second", &[]).status, 200);
    }
    // The code was not used up.
    assert_eq!(keys.assume("second", &mfa).status, 200);
    for half in [mfa[0], mfa[1]] {
        let message =
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
        assert_eq!(keys.assume("second", &[half]).told(), (403, "AccessDenied", message));
    }
}

#[test]
fn mfa_is_not_carried_into_a_roles_session() {
    let admin = Role::named("admin").trust(policy::trust_with_mfa(&doug()));
    let strict = admin.clone().policy(policy::everything_only_with_mfa());
    let open = Role { name: "open".into(), ..admin }.policy(policy::everything());
    let next = Role::named("next").trust(policy::trust_with_mfa(&arn("open")));
    let (aws, keys) = world([strict, open, next]);
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(session.call(&STOP).status, 200);
    let role = session.session(&session.assume("admin", &[]));
    let refused = role.call(&DESCRIBE);
    assert_eq!((refused.status, refused.tag("Code")), (403, "UnauthorizedOperation"));
    assert!(refused.tag("Message").contains("arn:aws:sts::123456789012:assumed-role/admin/story"));
    // Neither by a role in front that demands it.
    let open = session.session(&session.assume("open", &[]));
    assert_eq!(open.call(&STOP).status, 200);
    let message = denied("arn:aws:sts::123456789012:assumed-role/open/story", "sts:AssumeRole", "next");
    assert_eq!(open.assume("next", &[]).told(), (403, "AccessDenied", message.as_str()));
}

#[test]
fn the_age_of_the_code_and_the_external_id_count_in_trust_policies() {
    let young =
        policy::trust_when(&doug(), json!({ "NumericLessThan": { "aws:MultiFactorAuthAge": "3600" } }));
    let known = policy::trust_when(&doug(), json!({ "StringEquals": { "sts:ExternalId": "42-a" } }));
    let (aws, keys) = world([Role::named("young").trust(young), Role::named("known").trust(known)]);
    assert_eq!(keys.assume("known", &[]).status, 403);
    assert_eq!(keys.assume("known", &[("ExternalId", "43")]).status, 403);
    assert_eq!(keys.assume("known", &[("ExternalId", "42-a")]).status, 200);

    assert_eq!(keys.assume("young", &[]).status, 403);
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, -1).unwrap()));
    assert_eq!(session.assume("young", &[]).status, 200);
    let shift = -(clock::machine().rem_euclid(30));
    aws.shift_clock(shift + 3600);
    let later = Client { ahead: 3600, ..session };
    assert_eq!(later.assume("young", &[]).status, 403);
    let code = aws.code(SERIAL, 0).unwrap();
    let fresh = Client { ahead: 3600, ..keys };
    assert_eq!(fresh.assume("young", &[("SerialNumber", SERIAL), ("TokenCode", &code)]).status, 200);
}

#[test]
fn durations_keep_the_limits_of_sts_of_the_role_and_of_chaining() {
    let trust = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": [doug(), arn("long")] } } });
    let long = Role::named("long").trust(trust.clone()).max_session(Duration::from_secs(43_200));
    let (aws, keys) = world([long, Role::named("short").trust(trust)]);
    let ask =
        |client: &Client, role: &str, seconds: &str| client.assume(role, &[("DurationSeconds", seconds)]);
    let left = |answer: &Answer| clock::instant(answer.tag("Expiration")).unwrap() as i64 - aws.now();
    assert!((43_190..=43_200).contains(&left(&ask(&keys, "long", "43200"))));
    assert!((890..=900).contains(&left(&ask(&keys, "short", "900"))));
    assert!((3590..=3600).contains(&left(&keys.assume("long", &[]))));
    let refused = |answer: &Answer, message: &str| {
        assert_eq!((answer.status, answer.tag("Code")), (400, "ValidationError"));
        assert_eq!(answer.tag("Message"), message);
    };
    refused(
        &ask(&keys, "short", "3601"),
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
    let at = |value: &str, limit: &str| {
        format!(
            "1 validation error detected: Value '{value}' at 'durationSeconds' failed to satisfy constraint: Member \
             must have value {limit}"
        )
    };
    refused(&ask(&keys, "long", "899"), &at("899", "greater than or equal to 900"));
    refused(&ask(&keys, "long", "43201"), &at("43201", "less than or equal to 43200"));
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    let role = keys.session(&keys.assume("long", &[]));
    for client in [session, role] {
        refused(
            &ask(&client, "long", "3601"),
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        );
        assert!((3590..=3600).contains(&left(&ask(&client, "long", "3600"))));
    }
    aws.shorten_sessions(Duration::from_secs(60));
    assert!((50..=60).contains(&left(&keys.assume("long", &[]))));
}

#[test]
fn names_tags_and_arns_keep_their_limits() {
    let (_aws, keys) = world([Role::named("reader").trust(policy::trust(&doug()))]);
    let long = "x".repeat(65);
    let unmet = |pairs: &[(&str, &str)], part: &str| {
        let refused = keys.call(pairs);
        assert_eq!((refused.status, refused.tag("Code")), (400, "ValidationError"), "{}", refused.body);
        assert!(refused.tag("Message").contains(part), "{} lacks {part}", refused.tag("Message"));
    };
    let arn = arn("reader");
    for (name, part) in [
        ("x", "Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater"),
        (long.as_str(), "Member must have length less than or equal to 64"),
        ("a b", "Member must satisfy regular expression pattern: [\\w+=,.@-]*"),
    ] {
        unmet(&[ASSUME[0], ASSUME[1], ("RoleArn", &arn), ("RoleSessionName", name)], part);
    }
    unmet(&[ASSUME[0], ASSUME[1], ("RoleArn", &arn)], "Value null at 'roleSessionName'");
    unmet(&ASSUME, "Value null at 'roleArn'");
    unmet(&[ASSUME[0], ASSUME[1], ASSUME[2], ("RoleArn", "reader")], "greater than or equal to 20");
    unmet(
        &[ASSUME[0], ASSUME[1], ASSUME[2], ("RoleArn", "arn:aws:iam::123456789012:user/doug")],
        "is invalid",
    );
    let with = |more: &[(&str, &str)]| keys.assume("reader", more);
    assert_eq!(with(&[("ExternalId", "x")]).tag("Code"), "ValidationError");
    assert_eq!(with(&[("SourceIdentity", "x")]).tag("Code"), "ValidationError");
    assert_eq!(
        with(&[("Tags.member.1.Key", ""), ("Tags.member.1.Value", "v")]).tag("Code"),
        "ValidationError"
    );
    assert_eq!(with(&[("Policy", "{}")]).tag("Code"), "UnknownParameter");
    let twice = [("Tags.member.1.Key", "a"), ("Tags.member.2.Key", "A")];
    assert_eq!(with(&twice).tag("Code"), "InvalidParameterValue");
    assert_eq!(with(&[("TransitiveTagKeys.member.1", "a")]).tag("Code"), "InvalidParameterValue");
}

#[test]
fn tags_and_source_identity_need_their_own_permission_and_travel_down_a_chain() {
    let bare = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": doug() } } });
    let by_team = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "ec2:*",
        "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalTag/team": "red" } } } });
    let tagged =
        policy::trust_when(&doug(), json!({ "StringEquals": { "aws:RequestTag/team": ["red", "blue"] } }));
    let (_aws, keys) = world([
        Role::named("bare").trust(bare),
        Role::named("first").trust(tagged).policy(by_team.clone()),
        Role::named("second").trust(policy::trust(&arn("first"))).policy(by_team),
    ]);
    let team = |value| [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", value)];
    let message = denied(&doug(), "sts:TagSession", "bare");
    assert_eq!(keys.assume("bare", &team("red")).told(), (403, "AccessDenied", message.as_str()));
    let message = denied(&doug(), "sts:SetSourceIdentity", "bare");
    assert_eq!(
        keys.assume("bare", &[("SourceIdentity", "doug@home")]).told(),
        (403, "AccessDenied", message.as_str())
    );
    assert_eq!(keys.assume("first", &[]).status, 403);
    assert_eq!(keys.assume("first", &team("green")).status, 403);
    let blue = keys.session(&keys.assume("first", &team("blue")));
    assert_eq!(blue.call(&STOP).status, 403);

    let more = [("TransitiveTagKeys.member.1", "team"), ("SourceIdentity", "doug@home")];
    let made = keys.assume("first", &[&team("red")[..], &more].concat());
    assert_eq!(made.tag("SourceIdentity"), "doug@home");
    let red = keys.session(&made);
    assert_eq!(red.call(&STOP).status, 200);
    let made = red.assume("second", &[]);
    assert_eq!(made.tag("SourceIdentity"), "doug@home");
    assert_eq!(red.session(&made).call(&STOP).status, 200);
    assert_eq!(red.assume("second", &[("SourceIdentity", "anna")]).tag("Code"), "ValidationError");
    assert_eq!(red.assume("second", &team("blue")).tag("Code"), "InvalidParameterValue");
    // Without being transitive, a tag stays where it was set.
    let red = keys.session(&keys.assume("first", &team("red")));
    assert_eq!(red.session(&red.assume("second", &[])).call(&STOP).status, 403);
}

#[test]
fn a_session_makes_no_session_and_root_assumes_no_role() {
    let reader = Role::named("reader").trust(policy::trust(&doug()));
    let (_aws, keys) = world([reader.clone()]);
    let role = keys.session(&keys.assume("reader", &[]));
    assert_eq!(
        role.call(&TOKEN).told(),
        (403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
    );
    let root = User::root();
    let aws = Aws::start(World::of(root.clone()).role(reader));
    let told = Client::of(&aws, &root).assume("reader", &[]);
    assert_eq!(told.told(), (403, "AccessDenied", "Roles may not be assumed by root accounts."));
}

#[test]
fn one_session_or_all_of_one_name_can_be_ended_or_revoked() {
    const ENDED: &str = "ExpiredToken";
    const UNKNOWN: &str = "InvalidClientTokenId";
    let (aws, keys) = world([Role::named("reader").trust(policy::trust(&doug()))]);
    let token = || keys.session(&keys.call(&TOKEN));
    let role = || keys.session(&keys.assume("reader", &[]));
    let code = |client: &Client| client.call(&IDENTITY).tag("Code").to_owned();
    let (first, second, third) = (token(), token(), token());
    let (early, late) = (role(), role());
    aws.end_session(&first.key);
    aws.revoke_session(&early.key);
    assert_eq!([&first, &second, &early, &late].map(code), [ENDED, "", UNKNOWN, ""]);
    assert_eq!(first.assume("reader", &[]).tag("Code"), ENDED);
    aws.revoke_sessions_of("doug");
    assert_eq!([&second, &third, &late].map(code), [UNKNOWN, UNKNOWN, ""]);
    assert_eq!(second.assume("reader", &[]).tag("Code"), UNKNOWN);
    aws.revoke_sessions_of("reader");
    assert_eq!(code(&late), UNKNOWN);
    assert_eq!(code(&token()), "");
}

#[test]
fn a_web_identity_that_the_role_trusts_gets_a_session_without_a_signature() {
    let github = "token.actions.githubusercontent.com";
    let known = WebIdentity::of(github, "repo:a/b");
    let other = WebIdentity::of(github, "repo:a/c");
    let late = WebIdentity { ended: true, ..WebIdentity::of(github, "repo:a/b") };
    let trust = policy::trust_web(&known.provider_arn(), github, "repo:a/b");
    let ci = Role::named("ci").trust(trust).policy(policy::everything());
    let mut world = World::of(User::doug()).role(ci);
    for token in [&known, &other, &late] {
        world = world.web_identity(token.clone());
    }
    let aws = Aws::start(world);
    let ask = |token: &str| {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15")])
            .extend_pairs([("RoleArn", arn("ci").as_str()), ("RoleSessionName", "ci-1")])
            .append_pair("WebIdentityToken", token)
            .finish();
        let headers = [("host", "x"), ("content-type", "application/x-www-form-urlencoded")];
        send(aws.server.address, "POST / HTTP/1.1", &headers, &body).unwrap()
    };
    let made = ask(&known.token);
    assert_eq!(made.tag("SubjectFromWebIdentityToken"), "repo:a/b");
    let session = Client::of(&aws, &User::doug()).session(&made);
    assert_eq!(session.call(&STOP).status, 200);
    assert_eq!(session.call(&IDENTITY).tag("Arn"), "arn:aws:sts::123456789012:assumed-role/ci/ci-1");
    let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    assert_eq!(ask(&other.token).told(), (403, "AccessDenied", message));
    assert_eq!(ask(&late.token).tag("Code"), "ExpiredTokenException");
    for bad in ["", "abc", "a.b.c!", &WebIdentity::of(github, "repo:a/b").token] {
        assert_eq!((ask(bad).status, ask(bad).tag("Code")), (400, "InvalidIdentityToken"), "{bad}");
    }
    assert!(!format!("{known:?} {:?}", aws.requests()).contains(&known.token));
}

#[test]
fn a_trust_policy_that_is_not_understood_does_not_start() {
    let start = |trust| {
        let world = World::of(User::doug()).role(Role::named("odd").trust(trust));
        Aws::start_with(world, Options::default()).unwrap_err().to_string()
    };
    let trust = |principal: serde_json::Value| {
        json!({ "Version": "2012-10-17", "Statement":
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal } })
    };
    assert!(start(policy::everything()).starts_with("role odd: "));
    for (principal, part) in [
        (json!({ "AWS": "arn:aws:iam::123456789012:user/d*" }), "Invalid principal in policy"),
        (json!({ "AWS": "doug" }), "Invalid principal in policy"),
        (json!({ "Service": "ec2.amazonaws.com" }), "unknown kind of Principal"),
        (json!("doug"), "neither an object"),
    ] {
        let told = start(trust(principal));
        assert!(told.contains(part), "{told}");
    }
}
