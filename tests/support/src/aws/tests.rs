use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use serde_json::json;

use super::*;

mod directory;
mod federation;
mod roles;
mod time;

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/doug";
const STOP: [(&str, &str); 3] =
    [("Action", "StopInstances"), ("Version", "2016-11-15"), ("InstanceId.1", INSTANCE)];
const DESCRIBE: [(&str, &str); 2] = [("Action", "DescribeInstances"), ("Version", "2016-11-15")];
const IDENTITY: [(&str, &str); 2] = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
const TOKEN: [(&str, &str); 2] = [("Action", "GetSessionToken"), ("Version", "2011-06-15")];

/// A client that signs as it is told and sends plain bytes.
#[derive(Clone)]
struct Client {
    address: SocketAddr,
    key: String,
    secret: String,
    token: Option<String>,
    region: &'static str,
    service: Option<&'static str>,
    /// Seconds that the client's clock is ahead of the machine's.
    ahead: i64,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    /// What stands between the first pair of these tags.
    fn tag(&self, name: &str) -> &str {
        let (_, rest) = self.body.split_once(&format!("<{name}>")).unwrap_or_default();
        rest.split_once(&format!("</{name}>")).unwrap_or_default().0
    }

    fn told(&self) -> (u16, &str, &str) {
        (self.status, self.tag("Code"), self.tag("Message"))
    }
}

impl Client {
    fn of(aws: &Aws, user: &User) -> Self {
        Self {
            address: aws.server.address,
            key: user.access_key_id.clone(),
            secret: user.secret_access_key.clone(),
            token: None,
            region: "eu-central-1",
            service: None,
            ahead: 0,
        }
    }

    fn session(&self, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self {
            key: answer.tag("AccessKeyId").into(),
            secret: answer.tag("SecretAccessKey").into(),
            token: Some(answer.tag("SessionToken").into()),
            ..self.clone()
        }
    }

    fn call(&self, parameters: &[(&str, &str)]) -> Answer {
        self.send(parameters).expect("an answer")
    }

    fn send(&self, parameters: &[(&str, &str)]) -> Option<Answer> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let of_version = |version| parameters.contains(&("Version", version));
        let service = self.service.unwrap_or(match () {
            () if of_version("2016-11-15") => "ec2",
            () if of_version("2010-05-08") => "iam",
            () => "sts",
        });
        let identity: Identity =
            Credentials::new(&self.key, &self.secret, self.token.clone(), None, "test").into();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs((clock::machine() + self.ahead) as u64);
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let host = self.address.to_string();
        let mut headers =
            vec![("host", host.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let signable = SignableRequest::new(
            "POST",
            format!("http://{host}/"),
            headers.clone().into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let (signed, _) = sign(signable.unwrap(), &signing).unwrap().into_parts();
        let signed: Vec<(&str, &str)> = signed.headers().collect();
        headers.extend(signed);
        send(self.address, "POST / HTTP/1.1", &headers, &body)
    }

    fn session_token(&self, code: &str) -> Answer {
        self.call(&[TOKEN[0], TOKEN[1], ("SerialNumber", SERIAL), ("TokenCode", code)])
    }
}

/// `None` if the server closes instead of answering.
fn send(address: SocketAddr, first: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut text = format!("{first}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    if lines.read_line(&mut line).unwrap() == 0 {
        return None;
    }
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    lines.read_exact(&mut body).unwrap();
    Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
}

fn started(user: User) -> (Aws, Client) {
    let aws = Aws::start(World::of(user.clone()));
    let client = Client::of(&aws, &user);
    (aws, client)
}

fn story_a() -> (Aws, Client) {
    started(User::doug().policy(policy::stop_only_with_mfa()))
}

#[test]
fn looking_passes_with_the_long_term_keys_and_stopping_only_with_a_code() {
    let (aws, keys) = story_a();
    assert_eq!(keys.call(&DESCRIBE).status, 200);
    let refused = keys.call(&STOP);
    let resource = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0abc";
    let message = format!(
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/doug is not authorized \
         to perform: ec2:StopInstances on resource: {resource} because no identity-based policy allows the \
         ec2:StopInstances action"
    );
    assert_eq!(refused.told(), (403, "UnauthorizedOperation", message.as_str()));
    assert!(
        refused.body.contains("<Response><Errors><Error>")
            && refused.body.contains("</RequestID></Response>")
    );
    assert!(keys.call(&DESCRIBE).body.contains("<name>running</name>"));

    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert!(session.key.starts_with("ASIA") && session.token.as_ref().unwrap().len() > 300);
    assert_eq!(session.call(&DESCRIBE).status, 200);
    let stopped = session.call(&STOP);
    assert_eq!((stopped.status, stopped.tag("currentState")), (200, "<code>64</code><name>stopping</name>"));
    assert_eq!(session.call(&STOP).tag("previousState"), "<code>64</code><name>stopping</name>");

    // A session made without a code is no better than the keys.
    let without = keys.session(&keys.call(&TOKEN));
    assert_eq!(without.call(&STOP).tag("Code"), "UnauthorizedOperation");
}

#[test]
fn a_boundary_refuses_everything_that_iam_authorizes_until_a_code_is_given() {
    let boundary = policy::everything_only_with_mfa;
    let (aws, keys) = started(User::doug().policy(policy::everything()).boundary(boundary()));
    for action in [&DESCRIBE[..], &STOP] {
        let refused = keys.call(action);
        assert_eq!((refused.status, refused.tag("Code")), (403, "UnauthorizedOperation"));
        assert!(refused.tag("Message").contains("because no permissions boundary allows the ec2:"));
    }
    assert_eq!(keys.call(&IDENTITY).status, 200);
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    for action in [&DESCRIBE[..], &STOP, &IDENTITY] {
        assert_eq!(session.call(action).status, 200);
    }
    // The boundary alone grants nothing.
    let (aws, keys) = started(User::doug().boundary(boundary()));
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert!(
        session
            .call(&DESCRIBE)
            .tag("Message")
            .ends_with("because no identity-based policy allows the ec2:DescribeInstances action")
    );
}

#[test]
fn no_policy_stops_get_session_token_or_get_caller_identity() {
    let deny =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*" } });
    let (aws, keys) = started(User::doug().policy(deny.clone()).boundary(deny));
    let identity = keys.call(&IDENTITY);
    assert_eq!(
        (identity.tag("Arn"), identity.tag("Account")),
        ("arn:aws:iam::123456789012:user/doug", "123456789012")
    );
    assert!(identity.tag("UserId").starts_with("AIDA"));
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(session.call(&IDENTITY).tag("UserId"), identity.tag("UserId"));
}

#[test]
fn a_code_serves_in_its_step_and_its_neighbours_and_only_once() {
    const WRONG: (u16, &str, &str) =
        (403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.");
    let (aws, keys) = story_a();
    // A clock that has just entered a step: the codes asked for below stay where they are.
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    let code = |steps| aws.code(SERIAL, steps).unwrap();
    assert_eq!(keys.session_token(&code(-2)).told(), WRONG);
    assert_eq!(keys.session_token(&code(2)).told(), WRONG);
    assert_eq!(keys.session_token(&code(-1)).status, 200);
    assert_eq!(keys.session_token(&code(-1)).told(), WRONG);
    assert_eq!(keys.session_token(&code(1)).status, 200);
    // Older than the last one used, though never used itself.
    assert_eq!(keys.session_token(&code(0)).told(), WRONG);

    let now = u64::try_from(aws.now().div_euclid(30)).unwrap();
    let steps: Vec<_> = aws.requests().iter().map(|seen| seen.code_step).collect();
    assert_eq!(steps, [None, None, Some(now - 1), Some(now - 1), Some(now + 1), Some(now)]);
}

#[test]
fn codes_follow_the_shifted_clock() {
    let (aws, keys) = story_a();
    let usual = aws.code(SERIAL, 0).unwrap();
    aws.shift_clock(600);
    assert_eq!(keys.session_token(&usual).tag("Code"), "AccessDenied");
    let granted = keys.session_token(&aws.code(SERIAL, 0).unwrap());
    assert_eq!(granted.status, 200);
    let ahead = DateOf(&granted.headers["date"]).seconds() - clock::machine();
    assert!((595..=605).contains(&ahead), "{ahead}");
}

struct DateOf<'a>(&'a str);

impl DateOf<'_> {
    fn seconds(&self) -> i64 {
        let format = aws_smithy_types::date_time::Format::HttpDate;
        aws_smithy_types::DateTime::from_str(self.0, format).unwrap().secs()
    }
}

#[test]
fn a_code_that_was_typed_elsewhere_is_refused_and_the_next_one_serves() {
    let (aws, keys) = story_a();
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    aws.use_code_elsewhere(SERIAL);
    assert_eq!(keys.session_token(&aws.code(SERIAL, 0).unwrap()).tag("Code"), "AccessDenied");
    assert_eq!(keys.session_token(&aws.code(SERIAL, 1).unwrap()).status, 200);
}

#[test]
fn a_device_that_is_not_the_callers_or_makes_no_codes_is_unknown() {
    let mut doug = User::doug();
    doug.devices.push(Device::fido("doug"));
    doug.devices.push(Device::hardware("GAHT12345678"));
    let fido = doug.devices[1].serial.clone();
    let anna = User::named("anna");
    let aws = Aws::start(World { users: vec![doug.clone(), anna.clone()], ..World::default() });
    let keys = Client::of(&aws, &doug);
    let annas = anna.devices[0].serial.clone();
    let code = aws.code(&annas, 0).unwrap();
    for serial in [annas.as_str(), "arn:aws:iam::123456789012:mfa/other", fido.as_str(), "GAHT00000000"] {
        let refused =
            keys.call(&[TOKEN[0], TOKEN[1], ("SerialNumber", serial), ("TokenCode", code.as_str())]);
        let message = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial \
                       number is valid and associated with this user.";
        assert_eq!(refused.told(), (403, "AccessDenied", message), "{serial}");
    }
    let code = aws.code("GAHT12345678", 0).unwrap();
    let hardware = [TOKEN[0], TOKEN[1], ("SerialNumber", "GAHT12345678"), ("TokenCode", code.as_str())];
    assert_eq!(keys.call(&hardware).status, 200);
    assert_eq!(aws.code(&fido, 0), None);
}

#[test]
fn parameters_out_of_their_limits_are_validation_errors() {
    let (_aws, keys) = story_a();
    let token = |pairs: &[(&str, &str)]| keys.call(&[&TOKEN[..], pairs].concat());
    let long = "x".repeat(257);
    for (pairs, message) in [
        (
            vec![("DurationSeconds", "899")],
            "Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or \
             equal to 900",
        ),
        (
            vec![("DurationSeconds", "129601")],
            "Value '129601' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or \
             equal to 129600",
        ),
        (vec![("DurationSeconds", "1h")], "Value '1h' at 'durationSeconds'"),
        (
            vec![("SerialNumber", SERIAL), ("TokenCode", "12345")],
            "Value '12345' at 'tokenCode' failed to satisfy constraint: Member must have length greater than or \
             equal to 6",
        ),
        (
            vec![("SerialNumber", SERIAL), ("TokenCode", "1234567")],
            "Member must have length less than or equal to 6",
        ),
        (vec![("SerialNumber", SERIAL), ("TokenCode", "12345a")], "pattern: [\\d]*"),
        (vec![("SerialNumber", SERIAL), ("TokenCode", "")], "Value '' at 'tokenCode'"),
        (vec![("SerialNumber", "12345678"), ("TokenCode", "123456")], "greater than or equal to 9"),
        (vec![("SerialNumber", long.as_str()), ("TokenCode", "123456")], "less than or equal to 256"),
        (vec![("SerialNumber", "GAHT 2345678"), ("TokenCode", "123456")], "pattern: [\\w+=/:,.@-]*"),
    ] {
        let refused = token(&pairs);
        assert_eq!((refused.status, refused.tag("Code")), (400, "ValidationError"), "{pairs:?}");
        assert!(refused.tag("Message").starts_with("1 validation error detected: "), "{pairs:?}");
        assert!(refused.tag("Message").contains(message), "{} lacks {message}", refused.tag("Message"));
    }
    for half in [("SerialNumber", SERIAL), ("TokenCode", "123456")] {
        let message =
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
        assert_eq!(token(&[half]).told(), (403, "AccessDenied", message));
    }
    assert_eq!(token(&[("TokenCod", "123456")]).tag("Code"), "UnknownParameter");
}

#[test]
fn a_session_lives_as_long_as_was_asked_unless_it_is_shortened() {
    let left = |aws: &Aws, answer: &Answer| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        clock::instant(answer.tag("Expiration")).unwrap() as i64 - aws.now()
    };
    let (aws, keys) = story_a();
    let ask = |client: &Client, seconds| client.call(&[TOKEN[0], TOKEN[1], ("DurationSeconds", seconds)]);
    assert!((43_190..=43_200).contains(&left(&aws, &keys.call(&TOKEN))));
    assert!((890..=900).contains(&left(&aws, &ask(&keys, "900"))));
    assert!((129_590..=129_600).contains(&left(&aws, &ask(&keys, "129600"))));
    aws.shorten_sessions(Duration::from_secs(60));
    assert!((50..=60).contains(&left(&aws, &keys.call(&TOKEN))));

    let (aws, root) = started(User::root());
    assert!((3590..=3600).contains(&left(&aws, &ask(&root, "7200"))));
    assert!((890..=900).contains(&left(&aws, &ask(&root, "900"))));
    assert_eq!(root.call(&IDENTITY).tag("Arn"), "arn:aws:iam::123456789012:root");
    assert_eq!(root.call(&STOP).status, 200);
}

#[test]
fn each_service_refuses_bad_credentials_in_its_own_words() {
    const INVALID: (u16, &str, &str) =
        (403, "InvalidClientTokenId", "The security token included in the request is invalid.");
    const WRONG: (u16, &str, &str) = (
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.",
    );
    const FAILED: (u16, &str, &str) =
        (401, "AuthFailure", "AWS was not able to validate the provided access credentials");
    let (_aws, keys) = story_a();
    let session = keys.session(&keys.call(&TOKEN));
    let other = keys.session(&keys.call(&TOKEN));
    for (client, by_sts) in [
        (Client { key: "AKIAUNKNOWN".into(), ..keys.clone() }, INVALID),
        (Client { secret: "wrong".into(), ..keys.clone() }, WRONG),
        (Client { token: Some("made up".into()), ..keys.clone() }, INVALID),
        (Client { secret: "wrong".into(), ..session.clone() }, WRONG),
        (Client { token: None, ..session.clone() }, INVALID),
        (Client { token: other.token, ..session.clone() }, INVALID),
    ] {
        assert_eq!(client.call(&IDENTITY).told(), by_sts);
        assert_eq!(client.call(&TOKEN).told(), by_sts);
        assert_eq!(client.call(&DESCRIBE).told(), FAILED);
        assert_eq!(client.call(&STOP).told(), FAILED);
    }
    assert_eq!(
        session.call(&TOKEN).told(),
        (403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
    );
    let scoped = Client { service: Some("iam"), ..keys.clone() };
    let message = "Credential should be scoped to correct service: &apos;sts&apos;.".replace("&apos;", "'");
    assert_eq!(scoped.call(&IDENTITY).told(), (403, "SignatureDoesNotMatch", message.as_str()));
    assert_eq!(scoped.call(&DESCRIBE).told(), FAILED);
    let elsewhere = Client { region: "cn-north-1", ..keys };
    let message = "Credential should be scoped to a valid region.";
    assert_eq!(elsewhere.call(&IDENTITY).told(), (403, "SignatureDoesNotMatch", message));
    assert_eq!(elsewhere.call(&DESCRIBE).told(), FAILED);
}

#[test]
fn an_ended_session_is_told_from_a_wrong_one() {
    let (aws, keys) = story_a();
    aws.shorten_sessions(Duration::from_secs(60));
    let session = keys.session(&keys.call(&TOKEN));
    assert_eq!(session.call(&DESCRIBE).status, 200);
    aws.shift_clock(61);
    let ended = (403, "ExpiredToken", "The security token included in the request is expired");
    assert_eq!(session.call(&IDENTITY).told(), ended);
    assert_eq!(session.call(&DESCRIBE).told(), (400, "RequestExpired", "Request has expired."));
    let session = keys.session(&keys.call(&TOKEN));
    aws.end_sessions();
    assert_eq!(session.call(&IDENTITY).told(), ended);
}

#[test]
fn a_clock_more_than_a_quarter_of_an_hour_off_is_refused_on_either_side() {
    let (aws, keys) = story_a();
    for (shift, wanted) in
        [(890, None), (910, Some("expired")), (-890, None), (-910, Some("not yet current"))]
    {
        aws.shift_clock(shift);
        let answer = keys.call(&IDENTITY);
        match wanted {
            None => assert_eq!(answer.status, 200, "{shift}"),
            Some(word) => {
                let (status, code, message) = answer.told();
                assert_eq!((status, code), (403, "SignatureDoesNotMatch"));
                assert!(message.starts_with(&format!("Signature {word}: ")), "{message}");
                assert!(message.contains("15 min.)"), "{message}");
                assert_eq!(keys.call(&DESCRIBE).told(), (400, "RequestExpired", "Request has expired."));
            }
        }
    }
    // A client whose clock was set right again is heard.
    let corrected = Client { ahead: -910, ..keys };
    assert_eq!(corrected.call(&IDENTITY).status, 200);
}

#[test]
fn a_region_can_be_switched_off_for_sts() {
    let doug = User::doug();
    let world = World { disabled_regions: vec!["ap-east-1".into()], ..World::of(doug.clone()) };
    let aws = Aws::start(world);
    let keys = Client { region: "ap-east-1", ..Client::of(&aws, &doug) };
    assert_eq!(keys.call(&TOKEN).tag("Code"), "RegionDisabledException");
    assert_eq!(Client { region: "us-east-1", ..keys }.call(&TOKEN).status, 200);
}

#[test]
fn other_partitions_have_their_own_names_and_regions() {
    let doug = User::doug();
    let aws = Aws::start(World { partition: "aws-cn".into(), ..World::of(doug.clone()) });
    let keys = Client { region: "cn-north-1", ..Client::of(&aws, &doug) };
    assert_eq!(keys.call(&IDENTITY).tag("Arn"), "arn:aws-cn:iam::123456789012:user/doug");
    assert_eq!(Client { region: "us-east-1", ..keys }.call(&IDENTITY).tag("Code"), "SignatureDoesNotMatch");
}

#[test]
fn what_is_not_played_is_an_invalid_action() {
    let (_aws, keys) = story_a();
    for (action, version, message) in [
        (
            "GetFederationToken",
            "2011-06-15",
            "Could not find operation GetFederationToken for version 2011-06-15",
        ),
        (
            "DescribeInstances",
            "2011-06-15",
            "Could not find operation DescribeInstances for version 2011-06-15",
        ),
        (
            "TerminateInstances",
            "2016-11-15",
            "The action TerminateInstances is not valid for this web service.",
        ),
        ("GetSessionToken", "2016-11-15", "The action GetSessionToken is not valid for this web service."),
        ("GetSessionToken", "2011-06-16", "Could not find operation GetSessionToken for version 2011-06-16"),
    ] {
        let refused = keys.call(&[("Action", action), ("Version", version)]);
        assert_eq!(refused.told(), (400, "InvalidAction", message));
    }
    let missing = "Could not find operation GetSessionToken for version NO_VERSION_SPECIFIED";
    assert_eq!(keys.call(&[("Action", "GetSessionToken")]).tag("Message"), missing);
    let unknown = keys.call(&[DESCRIBE[0], DESCRIBE[1], ("InstanceId.1", "i-0none")]);
    let message = "The instance ID 'i-0none' does not exist";
    assert_eq!(unknown.told(), (400, "InvalidInstanceID.NotFound", message));
    assert_eq!(
        keys.call(&[DESCRIBE[0], DESCRIBE[1], ("Filter.1.Name", "x")]).tag("Code"),
        "UnknownParameter"
    );
    assert_eq!(keys.call(&[STOP[0], STOP[1]]).tag("Code"), "InvalidParameterValue");
}

#[test]
fn an_unsigned_request_lacks_authentication_in_both_services() {
    let (aws, _) = story_a();
    for body in ["Action=GetSessionToken&Version=2011-06-15", "Action=DescribeInstances&Version=2016-11-15"] {
        let form = [("host", "x"), ("content-type", "application/x-www-form-urlencoded")];
        let told = send(aws.server.address, "POST / HTTP/1.1", &form, body).unwrap();
        let message = "Request is missing Authentication Token";
        assert_eq!(told.told(), (403, "MissingAuthenticationToken", message));
    }
    let broken = [("authorization", "AWS4-HMAC-SHA256 Credential=a/b")];
    let get = "GET /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1";
    assert_eq!(send(aws.server.address, get, &broken, "").unwrap().tag("Code"), "IncompleteSignature");
}

#[test]
fn every_answer_has_a_date_and_a_request_id_of_its_own() {
    let (_aws, keys) = story_a();
    let answers = [keys.call(&IDENTITY), keys.call(&DESCRIBE), keys.call(&STOP)];
    let mut ids: Vec<_> = answers
        .iter()
        .map(|answer| {
            assert!((DateOf(&answer.headers["date"]).seconds() - clock::machine()).abs() <= 2);
            let id = answer.headers["x-amzn-requestid"].clone();
            assert!(id.len() == 36 && answer.body.contains(&id));
            id
        })
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_planned_fault_happens_once_and_uses_up_the_code_unless_it_is_throttling() {
    let (aws, keys) = story_a();
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    let (first, second, third) = (-1, 0, 1);
    let code = |steps| aws.code(SERIAL, steps).unwrap();
    aws.fail_next("GetSessionToken", Fault::Throttle);
    aws.fail_next("GetSessionToken", Fault::Status(503));
    assert_eq!(keys.call(&IDENTITY).status, 200);
    assert_eq!(keys.session_token(&code(first)).told(), (400, "Throttling", "Rate exceeded"));
    let failed = keys.session_token(&code(first));
    assert_eq!((failed.status, failed.body.as_str()), (503, ""));
    assert!(failed.headers.contains_key("date"));
    assert_eq!(keys.session_token(&code(first)).tag("Code"), "AccessDenied");

    aws.fail_next("GetSessionToken", Fault::Drop);
    let dropped = [TOKEN[0], TOKEN[1], ("SerialNumber", SERIAL), ("TokenCode", &code(second))];
    assert!(keys.send(&dropped).is_none());
    assert_eq!(keys.session_token(&code(second)).tag("Code"), "AccessDenied");
    aws.fail_next("GetSessionToken", Fault::Slow(Duration::from_millis(30)));
    let began = std::time::Instant::now();
    assert_eq!(keys.session_token(&code(third)).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(30));

    aws.fail_next("DescribeInstances", Fault::Throttle);
    assert_eq!(keys.call(&DESCRIBE).told(), (503, "RequestLimitExceeded", "Request limit exceeded."));
    let outcomes: Vec<_> = aws.requests().into_iter().map(|seen| (seen.status, seen.outcome)).collect();
    let told = |status, outcome: &str| (status, outcome.to_owned());
    assert_eq!(
        outcomes[1..5],
        [
            told(400, "Throttling"),
            told(503, "ok, then Status(503)"),
            told(403, "AccessDenied"),
            told(200, "ok, then Drop"),
        ]
    );
}

#[test]
fn what_was_asked_is_written_down_without_secrets_and_served_as_json() {
    let (aws, keys) = story_a();
    let code = aws.code(SERIAL, 0).unwrap();
    let session = keys.session(&keys.session_token(&code));
    session.call(&DESCRIBE);
    keys.call(&STOP);
    let seen = aws.requests();
    let named: Vec<_> = seen
        .iter()
        .map(|seen| (seen.action.as_str(), seen.access_key_id.as_str(), seen.outcome.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("GetSessionToken", keys.key.as_str(), "ok"),
            ("DescribeInstances", session.key.as_str(), "ok"),
            ("StopInstances", keys.key.as_str(), "UnauthorizedOperation"),
        ]
    );
    assert_eq!((seen[0].serial.as_deref(), seen[0].region.as_str()), (Some(SERIAL), "eu-central-1"));
    assert_eq!((aws.count("GetSessionToken"), aws.count("GetCallerIdentity")), (1, 0));

    let page = send(aws.server.address, "GET /stand-in/requests HTTP/1.1", &[], "").unwrap();
    let pages: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(pages[2]["outcome"], "UnauthorizedOperation");
    assert_eq!(pages.as_array().unwrap().len(), 3);
    for secret in [&keys.secret, &session.secret, session.token.as_ref().unwrap(), &code] {
        assert!(
            !page.body.contains(secret.as_str()) && !format!("{aws:?} {seen:?}").contains(secret.as_str())
        );
    }
}

#[test]
fn users_have_keys_and_seeds_of_their_own_and_their_debug_shows_no_secret() {
    let (one, two) = (User::doug(), User::doug());
    assert_ne!(one.access_key_id, two.access_key_id);
    assert_ne!(one.secret_access_key, two.secret_access_key);
    assert_ne!(one.devices[0].seed_base32, two.devices[0].seed_base32);
    assert_eq!((one.access_key_id.len(), one.secret_access_key.len()), (20, 40));
    assert_eq!(one.devices[0].seed_base32.len(), 64);
    let shown = format!("{one:?}");
    assert!(!shown.contains(&one.secret_access_key) && !shown.contains(&one.devices[0].seed_base32));
}

#[test]
fn a_world_that_is_not_understood_does_not_start() {
    let start = |user| Aws::start_with(World::of(user), Options::default()).unwrap_err().to_string();
    let odd = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": { "Boolish": { "aws:username": "true" } } } });
    assert!(start(User::doug().policy(odd.clone())).contains("unknown condition operator \"Boolish\""));
    assert!(start(User::doug().boundary(odd)).starts_with("user doug: "));
    let mut doug = User::doug();
    doug.devices[0].seed_base32 = "not base32".into();
    assert!(start(doug).starts_with("the MFA device arn:aws:iam::123456789012:mfa/doug: "));
    assert!(serde_json::from_str::<World>("{\"user\": []}").is_err());
}

#[test]
fn the_example_world_starts_and_is_story_a() {
    let world = World::example().unwrap();
    let (aws, keys) = started(world.users[0].clone());
    assert_eq!(keys.call(&DESCRIBE).status, 200);
    assert_eq!(keys.call(&STOP).tag("Code"), "UnauthorizedOperation");
    assert!(aws.code(SERIAL, 0).is_some());
}

#[test]
fn twenty_at_once_with_one_code_get_one_session() {
    let (aws, keys) = story_a();
    let code = aws.code(SERIAL, 0).unwrap();
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| usize::from(keys.session_token(&code).status == 200))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((granted, aws.count("GetSessionToken")), (1, 20));
}

#[test]
fn a_stand_in_that_was_dropped_listens_no_more() {
    let (aws, keys) = story_a();
    let mut idle = TcpStream::connect(keys.address).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(keys.call(&IDENTITY).status, 200);
    drop(aws);
    // A program that another test starts holds a copy of the socket until its `exec`, so the port may outlive the
    // server by a moment.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(keys.address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the port is still open");
        std::thread::yield_now();
    }
    // Closed, however the system words it.
    assert!(!matches!(idle.read(&mut [0]), Ok(1..)));
}

#[test]
fn tls_is_trusted_through_the_bundle_and_not_without() {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};

    let doug = User::doug();
    let aws = Aws::start_tls(World::of(doug));
    assert!(aws.endpoint().starts_with("https://127.0.0.1:"));
    let pem = aws.ca_bundle().unwrap().to_owned();
    let mut trusting = rustls::RootCertStore::empty();
    trusting.add(CertificateDer::from_pem_file(&pem).unwrap()).unwrap();
    let talk = |roots: rustls::RootCertStore| -> std::io::Result<String> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = rustls::ClientConnection::new(config.into(), name).unwrap();
        let stream = TcpStream::connect(aws.server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        stream.write_all(b"GET /stand-in/requests HTTP/1.1\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    assert_eq!(talk(trusting).unwrap(), "HTTP/1.1 200 OK\r\n");
    // A trust store of another stand-in's authority.
    let other = Aws::start_tls(World::default());
    let mut distrusting = rustls::RootCertStore::empty();
    distrusting.add(CertificateDer::from_pem_file(other.ca_bundle().unwrap()).unwrap()).unwrap();
    assert!(talk(distrusting).unwrap_err().to_string().contains("invalid peer certificate"));
    drop(aws);
    assert!(!pem.exists());
}
