//! The stand-in for AWS is believed by the AWS SDK for Rust, and believes it.

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Config, Region};
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use onetap_support::aws::{Aws, Fault, User, World};

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
