use super::*;
use crate::aws::http;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
// Sent by the aws CLI 1.45.11 (botocore 1.43.11), whose signer is not ours; the User-Agent is shortened, it is unsigned.
const GET_SESSION_TOKEN: &str = include_str!("../../../transcripts/botocore-get-session-token.http");
const STOP_INSTANCES: &str = include_str!("../../../transcripts/botocore-stop-instances.http");

fn received(transcript: &str) -> Request {
    let mut stream = std::io::Cursor::new(transcript.replace('\n', "\r\n").into_bytes());
    http::read(&mut stream, &mut Vec::new()).unwrap().unwrap()
}

#[test]
fn what_botocore_signed_is_genuine() {
    for (transcript, service) in [(GET_SESSION_TOKEN, "sts"), (STOP_INSTANCES, "ec2")] {
        let request = received(transcript);
        let claim = Claim::read(&request).unwrap();
        assert_eq!(
            (claim.access_key_id.as_str(), claim.region.as_str()),
            ("AKIAIOSFODNN7EXAMPLE", "eu-central-1")
        );
        assert_eq!(claim.fits(service, "aws"), Ok(()));
        assert_eq!(claim.timely(claim.time), Ok(()));
        assert_eq!(claim.genuine(&request, SECRET), Ok(()));
    }
}

#[test]
fn whatever_is_changed_after_signing_is_noticed() {
    let changes = [
        ("Action=StopInstances", "Action=StartInstances"),
        ("i-0abc", "i-0abd"),
        ("POST / ", "POST /x "),
        ("POST / ", "POST /?a=b "),
        ("POST / ", "PUT / "),
        ("Host: 127.0.0.1:", "Host: 127.0.0.2:"),
        ("charset=utf-8", "charset=utf-9"),
        ("20261122T133743Z", "20261122T133744Z"),
        ("token+with", "token-with"),
        ("eu-central-1", "eu-central-2"),
        ("/ec2/", "/sts/"),
        ("Signature=a", "Signature=b"),
        // A session token that was not signed could be exchanged on the way.
        (";x-amz-security-token,", ","),
        ("content-type;host;", "content-type;"),
        ("Accept-Encoding:", "X-Amz-Target:"),
    ];
    for (from, to) in changes {
        assert!(STOP_INSTANCES.contains(from), "{from}");
        let mut text = STOP_INSTANCES.replacen(from, to, 1);
        let length = text.split_once("\n\n").unwrap().1.len();
        text = text.replace("Content-Length: 79", &format!("Content-Length: {length}"));
        let request = received(&text);
        let claim = Claim::read(&request).unwrap();
        assert_eq!(claim.genuine(&request, SECRET), Err(Refusal::WrongSignature), "{from} -> {to}");
    }
    let request = received(STOP_INSTANCES);
    assert_eq!(Claim::read(&request).unwrap().genuine(&request, "another"), Err(Refusal::WrongSignature));
}

#[test]
fn the_scope_must_fit_service_partition_and_day() {
    let claim = Claim::read(&received(GET_SESSION_TOKEN)).unwrap();
    assert!(matches!(claim.fits("ec2", "aws"), Err(Refusal::WrongScope(_))));
    assert!(matches!(claim.fits("sts", "aws-cn"), Err(Refusal::WrongScope(_))));
    let other_day = received(&GET_SESSION_TOKEN.replace("/20261122/", "/20261121/"));
    let told = Claim::read(&other_day).unwrap().fits("sts", "aws");
    let wanted = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                  '20261121' != '20261122', from '20261122T133739Z'.";
    assert_eq!(told, Err(Refusal::WrongScope(wanted.into())));
}

#[test]
fn a_region_tells_its_partition() {
    for (region, partition) in [
        ("us-east-1", Some("aws")),
        ("ap-southeast-2", Some("aws")),
        ("cn-north-1", Some("aws-cn")),
        ("us-gov-west-1", Some("aws-us-gov")),
        ("eusc-de-east-1", Some("aws-eusc")),
        ("us-east", None),
        ("us-east-1a", None),
        ("", None),
        ("mars", None),
        ("US-EAST-1", None),
    ] {
        assert_eq!(partition_of(region), partition, "{region}");
    }
}

#[test]
fn a_quarter_of_an_hour_is_the_limit_on_both_sides() {
    let claim = Claim::read(&received(GET_SESSION_TOKEN)).unwrap();
    assert_eq!((claim.timely(claim.time + 900), claim.timely(claim.time - 900)), (Ok(()), Ok(())));
    let late = "Signature expired: 20261122T133739Z is now earlier than 20261122T133740Z (20261122T135240Z - 15 min.)";
    assert_eq!(claim.timely(claim.time + 901), Err(Refusal::Clock(late.into())));
    let early = "Signature not yet current: 20261122T133739Z is still later than 20261122T133738Z \
                 (20261122T132238Z + 15 min.)";
    assert_eq!(claim.timely(claim.time - 901), Err(Refusal::Clock(early.into())));
}

#[test]
fn an_authorization_that_lacks_a_part_is_incomplete() {
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("Credential=", "Cred="),
        ("SignedHeaders=", "Signed="),
        ("Signature=", "Sig="),
        ("/aws4_request", "/aws5_request"),
        ("X-Amz-Date", "X-Amz-Then"),
    ] {
        let request = received(&GET_SESSION_TOKEN.replace(from, to));
        assert!(matches!(Claim::read(&request), Err(Refusal::Incomplete(_))), "{from}");
    }
    let request = received(&GET_SESSION_TOKEN.replace("Authorization:", "X-Authorization:"));
    assert_eq!(Claim::read(&request).unwrap_err(), Refusal::NoAuthentication);
}
