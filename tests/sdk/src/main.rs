//! Lists the instances that a profile may see, one id a line: `instances PROFILE`.

use std::error::Error;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let profile = std::env::args().nth(1).ok_or("name a profile")?;
    let config = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(onetap::Authenticator::of_profile(&profile)?)
        .identity_cache(IdentityCache::lazy().load_timeout(Duration::from_secs(130)).build())
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .region("eu-west-1")
        .load()
        .await;
    let ec2 = aws_sdk_ec2::Client::new(&config);
    for _ in 0..2 {
        let answer = ec2.describe_instances().send().await?;
        for instance in answer.reservations().iter().flat_map(|reservation| reservation.instances()) {
            println!("{}", instance.instance_id().unwrap_or("-"));
        }
    }
    Ok(())
}
