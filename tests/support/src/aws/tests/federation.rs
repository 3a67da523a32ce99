//! The federation endpoint: sessions of roles sign in to the console, users' own do not.

use super::*;

fn ask(aws: &Aws, parameters: &[(&str, &str)]) -> Answer {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    send(aws.server.address, &format!("GET /federation?{query} HTTP/1.1"), &[("host", "x")], "").unwrap()
}

fn session(client: &Client) -> String {
    let Client { key, secret, token, .. } = client;
    json!({ "sessionId": key, "sessionKey": secret, "sessionToken": token }).to_string()
}

fn signin(aws: &Aws, client: &Client, more: &[(&str, &str)]) -> Answer {
    let session = session(client);
    let first = [("Action", "getSigninToken"), ("SessionType", "json"), ("Session", session.as_str())];
    ask(aws, &[&first[..], more].concat())
}

fn assumed(client: &Client, arn: &str) -> Client {
    let assume = [("Action", "AssumeRole"), TOKEN[1], ("RoleSessionName", "story"), ("RoleArn", arn)];
    client.session(&client.call(&assume))
}

#[test]
fn a_roles_session_signs_in_once_and_a_users_session_or_key_never() {
    let doug = User::doug();
    let role = Role::named("viewer").trust(policy::trust(&doug.arn()));
    let arn = role.arn();
    let aws = Aws::start(World::of(doug.clone()).role(role));
    let keys = Client::of(&aws, &doug);
    let role = assumed(&keys, &arn);
    let given = signin(&aws, &role, &[("SessionDuration", "43200")]);
    let body: serde_json::Value = serde_json::from_str(&given.body).unwrap();
    let token = body["SigninToken"].as_str().unwrap().to_owned();
    assert_eq!((given.status, given.headers["content-type"].as_str()), (200, "application/json"));
    let console = "https://console.aws.amazon.com/ec2/home?region=eu-west-1";
    let login =
        [("Action", "login"), ("Issuer", "onetap"), ("Destination", console), ("SigninToken", &token)];
    let signed_in = ask(&aws, &login);
    assert_eq!((signed_in.status, signed_in.headers["location"].as_str()), (302, console));
    assert_eq!(ask(&aws, &login).status, 400);

    let user = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    let refused = signin(&aws, &user, &[]);
    let message = "Only federation tokens or assume role tokens may be used for federated login.";
    assert_eq!((refused.status, refused.body.as_str()), (400, message));
    assert_eq!(signin(&aws, &keys, &[]).status, 400);
    assert_eq!(signin(&aws, &Client { secret: "wrong".into(), ..role.clone() }, &[]).status, 400);

    let seen: Vec<_> = aws.requests();
    let told = &seen[1];
    assert_eq!((told.action.as_str(), told.outcome.as_str()), ("getSigninToken", "ok"));
    assert_eq!((&told.access_key_id, told.duration.as_deref()), (&role.key, Some("43200")));
    let shown = format!("{aws:?} {seen:?}");
    for secret in [&token, &role.secret, role.token.as_ref().unwrap()] {
        assert!(!shown.contains(secret.as_str()));
    }
}

#[test]
fn durations_sessions_and_tokens_that_are_over_are_refused() {
    let doug = User::doug();
    let first = Role::named("first").trust(policy::trust(&doug.arn()));
    let second = Role::named("second").trust(policy::trust(&first.arn()));
    let (first_arn, second_arn) = (first.arn(), second.arn());
    let aws = Aws::start(World::of(doug.clone()).role(first).role(second));
    let role = assumed(&Client::of(&aws, &doug), &first_arn);
    let chained = assumed(&role, &second_arn);
    assert_eq!(signin(&aws, &chained, &[]).status, 200);
    assert_eq!(signin(&aws, &chained, &[("SessionDuration", "3600")]).status, 400);
    for duration in ["899", "43201", "1h"] {
        assert_eq!(signin(&aws, &role, &[("SessionDuration", duration)]).status, 400, "{duration}");
    }
    assert_eq!(signin(&aws, &role, &[("Duration", "3600")]).body, "Unknown parameter");
    assert_eq!(ask(&aws, &[("Action", "getSigninToken"), ("Session", "{}")]).status, 400);
    assert_eq!(ask(&aws, &[("Action", "logout")]).status, 400);
    let given = signin(&aws, &role, &[]);
    let body: serde_json::Value = serde_json::from_str(&given.body).unwrap();
    let token = body["SigninToken"].as_str().unwrap();
    aws.shift_clock(901);
    let login = [("Action", "login"), ("Destination", "https://example.com/"), ("SigninToken", token)];
    assert_eq!(ask(&aws, &login).body, "SigninToken is over");
    aws.end_sessions();
    assert_eq!(signin(&aws, &role, &[]).body, "The session is over");
}
