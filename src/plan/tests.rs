use super::*;
use crate::profiles::Spot;

const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

fn planned(config: &str) -> Result<Plan, PlanError> {
    plan(&Profiles::of_text(config, ""), "doug", &Wishes::default())
}

#[test]
fn a_profile_with_nothing_but_an_mfa_serial_is_enough() {
    let plan =
        planned(&format!("[default]\nregion = eu-west-1\n[profile doug]\nmfa_serial = {ARN}\n")).unwrap();
    let mfa = plan.mfa.unwrap();
    assert_eq!((mfa.account.as_str(), mfa.owner.as_str()), (ARN, "doug"));
    assert_eq!((plan.region.as_deref(), plan.network.sts_region.as_str()), (Some("eu-west-1"), "eu-west-1"));
    assert_eq!(mfa.codes, [SourceName::YubiKey, SourceName::Software]);
    assert_eq!(plan.links, [Link::MfaSession { duration: Duration::from_secs(43_200) }]);
    assert_eq!(plan.network.endpoint, None);
}

#[test]
fn sts_is_asked_where_the_user_lives() {
    let cases = [
        ("aws", "", "us-east-1"),
        ("aws-cn", "", "cn-north-1"),
        ("aws-us-gov", "", "us-gov-west-1"),
        ("aws-us-gov", "us-gov-east-1", "us-gov-east-1"),
        ("aws-cn", "eu-west-1", "cn-north-1"),
        ("aws", "ap-southeast-3", "ap-southeast-3"),
        ("aws-eusc", "", "eusc-de-east-1"),
    ];
    for (partition, region, expected) in cases {
        let config = format!(
            "[profile doug]\nmfa_serial = arn:{partition}:iam::123456789012:mfa/doug\nregion = {region}\n"
        );
        assert_eq!(planned(&config).unwrap().network.sts_region, expected, "{config}");
    }
}

#[test]
fn the_regions_order_is_profile_environment_default() {
    let wishes = Wishes { region: Some(("AWS_REGION", "eu-west-2".into())), ..Wishes::default() };
    let with = |own: &str| {
        let config = format!("[default]\nregion = eu-west-3\n[profile doug]\nmfa_serial = {ARN}\n{own}");
        plan(&Profiles::of_text(&config, ""), "doug", &wishes).unwrap().network.sts_region
    };
    assert_eq!(with("region = eu-west-1\n"), "eu-west-1");
    assert_eq!(with(""), "eu-west-2");
}

#[test]
fn wrong_values_name_their_key_and_reason() {
    let cases = [
        ("onetap_code = yubikey,fax", "onetap_code", "not one of"),
        ("onetap_code = prompt, prompt", "onetap_code", "twice"),
        ("onetap_token = 12ab", "onetap_token", "whole number"),
        ("onetap_session_duration = 60", "onetap_session_duration", "900 to 129600"),
        ("region = us-esat", "region", "not the name of a region"),
        ("endpoint_url = http://sts.example.com", "endpoint_url", "plain text"),
        ("endpoint_url = ftp://127.0.0.1", "endpoint_url", "https://"),
    ];
    for (line, key, reason) in cases {
        let refused = planned(&format!("[profile doug]\nmfa_serial = {ARN}\n{line}\n")).unwrap_err();
        assert_eq!(refused.place(), Some(Spot::Profile("doug".into(), Some(key))), "{line}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn serials_of_every_kind() {
    for good in [
        ARN,
        "GAHT12345678",
        "arn:aws-cn:iam::123456789012:mfa/path/to/doug@x",
        "arn:aws:iam::123456789012:mfa/root-account-mfa-device",
    ] {
        assert_eq!(good.parse::<MfaSerial>().unwrap().as_str(), good);
    }
    for malformed in [
        "",
        "123456",
        "arn:aws:iam::12:mfa/doug",
        "arn:aws:iam::123456789012:user/doug",
        "arn:mars:iam::123456789012:mfa/doug",
        "GAHT 12345678",
    ] {
        assert_eq!(malformed.parse::<MfaSerial>(), Err(NotASerial::Malformed(malformed.into())));
    }
    let fido = "arn:aws:iam::123456789012:u2f/user/doug/key-ABC";
    assert_eq!(fido.parse::<MfaSerial>(), Err(NotASerial::Fido(fido.into())));
    assert!(matches!(
        planned(&format!("[profile doug]\nmfa_serial = {fido}\n")),
        Err(PlanError::Fido { .. })
    ));
}

#[test]
fn a_hardware_device_is_typed() {
    assert_eq!(
        planned("[profile doug]\nmfa_serial = GAHT12345678\n").unwrap().mfa.unwrap().codes,
        [SourceName::Prompt]
    );
}

#[test]
fn other_kinds_of_profile_and_missing_ones_say_so() {
    assert!(matches!(
        planned("[profile doug]\nsso_session = x\n"),
        Err(PlanError::OtherKind { key: "sso_session", .. })
    ));
    assert!(matches!(planned("[profile doug]\nregion = eu-west-1\n"), Err(PlanError::NoMfa { .. })));
    let Err(PlanError::NoProfile { near, .. }) = planned("[profile dough]\na = b\n[profile prod]\na = b\n")
    else {
        panic!("there is no doug")
    };
    assert_eq!(near, ["dough"]);
}

#[test]
fn the_address_of_sts_in_aws_s_order() {
    let config = format!(
        "[profile doug]\nmfa_serial = {ARN}\nendpoint_url = https://profile.example\nservices = s\n\
         [services s]\nsts =\n  endpoint_url = https://services.example\n"
    );
    let at = |wishes: &Wishes| {
        plan(&Profiles::of_text(&config, ""), "doug", wishes)
            .unwrap()
            .network
            .endpoint
            .map(|e| e.as_str().to_owned())
    };
    let variable =
        Wishes { endpoint: Some(("AWS_ENDPOINT_URL", "http://[::1]:80".into())), ..Wishes::default() };
    assert_eq!(at(&variable).unwrap(), "http://[::1]/");
    assert_eq!(at(&Wishes::default()).unwrap(), "https://services.example/");
    assert_eq!(at(&Wishes { ignore_endpoints: true, ..variable }), None);
}
