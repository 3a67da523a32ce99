//! The stand-in for AWS is believed by the AWS SDK for Rust and by boto3, and believes them.
//!
//! Needs `oathtool`, and boto3 in `$ONETAP_TEST_VENV`.

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Config, Region};
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use onetap_support::aws::{Aws, Fault, Role, User, World, policy};
use onetap_support::home::{Home, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

fn client(aws: &Aws, key: &str, secret: &str, token: Option<&str>) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(aws.endpoint())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(key, secret, token.map(String::from), None, "story"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}

#[test]
fn the_rust_sdk_gets_a_session_and_reads_every_refusal() {
    let doug = User::doug();
    let serial = doug.devices[0].serial.clone();
    let aws = Aws::start(World::of(doug.clone()));
    run(async {
        let keys = client(&aws, &doug.access_key_id, &doug.secret_access_key, None);
        let ask = |code: String| keys.get_session_token().serial_number(&serial).token_code(code).send();
        let code = aws.code(&serial, 0).unwrap();
        let made = ask(code.clone()).await.unwrap().credentials.unwrap();
        assert!((43_190..=43_200).contains(&(made.expiration.secs() - aws.now())));

        let refused = ask(code).await.unwrap_err();
        let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
        assert_eq!((refused.code(), refused.message()), (Some("AccessDenied"), Some(message)));

        let session = client(&aws, &made.access_key_id, &made.secret_access_key, Some(&made.session_token));
        let identity = session.get_caller_identity().send().await.unwrap();
        assert_eq!(identity.arn(), Some("arn:aws:iam::123456789012:user/doug"));

        aws.fail_next("GetCallerIdentity", Fault::Drop);
        let dropped = session.get_caller_identity().send().await.unwrap_err();
        assert!(matches!(dropped, SdkError::DispatchFailure(_)), "{dropped:?}");

        aws.shift_clock(-3600);
        let skewed = keys.get_caller_identity().send().await.unwrap_err();
        assert_eq!(skewed.code(), Some("SignatureDoesNotMatch"));
        assert!(skewed.message().unwrap().starts_with("Signature not yet current: "));
        assert!(skewed.raw_response().unwrap().headers().get("date").is_some());
    });
    assert_eq!((aws.count("GetSessionToken"), aws.count("GetCallerIdentity")), (2, 3));
}

#[test]
fn the_rust_sdk_assumes_a_role_with_tags_and_a_code_and_reads_the_limits_of_chaining() {
    let doug = User::doug();
    let serial = doug.devices[0].serial.clone();
    let admin = Role::named("admin").trust(policy::trust_with_mfa(&doug.arn()));
    let longest = std::time::Duration::from_secs(43_200);
    let next = Role::named("next").trust(policy::trust(&admin.arn())).max_session(longest);
    let (admin_arn, next_arn) = (admin.arn(), next.arn());
    let aws = Aws::start(World::of(doug.clone()).role(admin).role(next));
    run(async {
        let keys = client(&aws, &doug.access_key_id, &doug.secret_access_key, None);
        let tag = |key, value| aws_sdk_sts::types::Tag::builder().key(key).value(value).build().unwrap();
        let ask = || {
            keys.assume_role()
                .role_arn(&admin_arn)
                .role_session_name("story")
                .tags(tag("team", "red"))
                .tags(tag("cost", "low"))
                .transitive_tag_keys("team")
                .source_identity("doug")
        };
        let refused = ask().send().await.unwrap_err();
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {admin_arn}",
            doug.arn()
        );
        assert_eq!((refused.code(), refused.message()), (Some("AccessDenied"), Some(message.as_str())));
        let code = aws.code(&serial, 0).unwrap();
        let made = ask().serial_number(&serial).token_code(code).send().await.unwrap();
        assert_eq!(made.source_identity(), Some("doug"));
        let user = made.assumed_role_user().unwrap();
        assert_eq!(user.arn(), "arn:aws:sts::123456789012:assumed-role/admin/story");
        let made = made.credentials().unwrap();
        let role = client(&aws, made.access_key_id(), made.secret_access_key(), Some(made.session_token()));
        let chained = role.assume_role().role_arn(&next_arn).role_session_name("story");
        let refused = chained.clone().duration_seconds(7200).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("ValidationError"));
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        assert_eq!(refused.message(), Some(message));
        assert!(chained.send().await.unwrap().credentials().is_some());
    });
    let seen = aws.requests();
    let touched: Vec<_> = seen.iter().map(|seen| (seen.code_given, seen.outcome.as_str())).collect();
    assert_eq!(touched, [(false, "AccessDenied"), (true, "ok"), (false, "ValidationError"), (false, "ok")]);
}

/// A whole enrolment and rotation, and every list, by a client that is not ours.
const BY_BOTO3: &str = r#"
import boto3, json, os, subprocess, time
from botocore.exceptions import ClientError
iam = boto3.client('iam')
def refused(call, **more):
    try:
        call(**more)
        return 'not refused'
    except ClientError as error:
        return error.response['Error']['Code'] + ' ' + str(error.response['ResponseMetadata']['HTTPStatusCode'])
def code(seed, at):
    words = ['oathtool', '--totp', '--base32', '--now=@%d' % at, '-']
    return subprocess.run(words, input=seed, capture_output=True, check=True).stdout.decode().strip()
device = iam.create_virtual_mfa_device(VirtualMFADeviceName='doug')['VirtualMFADevice']
serial, seed = device['SerialNumber'], device['Base32StringSeed']
now = int(time.time())
# The current and the next: they stay in the server's window if a step ends meanwhile.
codes = dict(AuthenticationCode1=code(seed, now), AuthenticationCode2=code(seed, now + 30))
swapped = dict(AuthenticationCode1=codes['AuthenticationCode2'], AuthenticationCode2=codes['AuthenticationCode1'])
enable = dict(UserName='doug', SerialNumber=serial)
said = {}
said['swapped'] = refused(iam.enable_mfa_device, **enable, **swapped)
iam.enable_mfa_device(**enable, **codes)
said['devices'] = [device['SerialNumber'] for page in iam.get_paginator('list_mfa_devices').paginate()
                   for device in page['MFADevices']]
said['owners'] = [device['User']['UserName'] for device in iam.list_virtual_mfa_devices()['VirtualMFADevices']]
said['in use'] = refused(iam.delete_virtual_mfa_device, SerialNumber=serial)
new = iam.create_access_key()['AccessKey']
said['third key'] = refused(iam.create_access_key)
iam.update_access_key(AccessKeyId=new['AccessKeyId'], Status='Inactive')
said['keys'] = [key['Status'] for key in iam.list_access_keys()['AccessKeyMetadata']]
iam.delete_access_key(AccessKeyId=new['AccessKeyId'])
said['user'] = iam.get_user()['User']['UserName']
said['inline'] = iam.get_user_policy(UserName='doug', PolicyName='inline-1')['PolicyDocument']['Version']
arn = iam.list_attached_user_policies(UserName='doug')['AttachedPolicies'][0]['PolicyArn']
version = iam.get_policy(PolicyArn=arn)['Policy']['DefaultVersionId']
document = iam.get_policy_version(PolicyArn=arn, VersionId=version)['PolicyVersion']['Document']
said['managed'] = document['Statement']['Effect']
simulated = iam.simulate_principal_policy(
    PolicySourceArn='arn:aws:iam::123456789012:user/doug', ActionNames=['ec2:StopInstances'],
    ContextEntries=[dict(ContextKeyName='aws:MultiFactorAuthPresent', ContextKeyType='boolean',
                         ContextKeyValues=['true'])])
said['simulated'] = [result['EvalDecision'] for result in simulated['EvaluationResults']]
said['nobody'] = refused(iam.get_user, UserName='nobody')
iam.deactivate_mfa_device(UserName='doug', SerialNumber=serial)
iam.delete_virtual_mfa_device(SerialNumber=serial)
said['left'] = iam.list_virtual_mfa_devices()['VirtualMFADevices']
print(json.dumps(said))
"#;

#[test]
fn boto3_enrols_rotates_and_reads_policies_through_iams_own_calls() {
    let doug = User::doug()
        .without_devices()
        .policy(policy::everything())
        .attach("Everything", policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::new(BINARY);
    let mut python = home.program(python_tool("python3"));
    python
        .args(["-c", BY_BOTO3])
        .env("AWS_ENDPOINT_URL", aws.endpoint())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
    let answered = said(&mut python);
    assert_eq!((answered.status, answered.stderr.as_str()), (0, ""));
    let told: serde_json::Value = serde_json::from_str(&answered.stdout).unwrap();
    let wanted = serde_json::json!({
        "swapped": "InvalidAuthenticationCode 403",
        "devices": ["arn:aws:iam::123456789012:mfa/doug"],
        "owners": ["doug"],
        "in use": "DeleteConflict 409",
        "third key": "LimitExceeded 409",
        "keys": ["Active", "Inactive"],
        "user": "doug",
        "inline": "2012-10-17",
        "managed": "Allow",
        "simulated": ["allowed"],
        "nobody": "NoSuchEntity 404",
        "left": [],
    });
    assert_eq!(told, wanted);
    assert_eq!(aws.keys_of("doug"), [(doug.access_key_id.clone(), true)]);
}
