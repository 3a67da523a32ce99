//! Where the console is: the addresses of its sign-in and of its pages, by partition. Pure.
//!
//! Source: IAM User Guide, "Enable custom identity broker access to the AWS console"; AWS General Reference; the SDKs'
//! endpoint rules for sign-in (`aws-eusc`).

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::plan::Partition;

/// The sign-in's host.
fn sign_in_host(partition: Partition) -> String {
    match partition {
        Partition::Aws => "signin.aws.amazon.com".into(),
        Partition::China => "signin.amazonaws.cn".into(),
        Partition::EuropeanSovereign => format!("{}.signin.amazonaws-eusc.eu", partition.home_region()),
        Partition::GovCloud => "signin.amazonaws-us-gov.com".into(),
    }
}

/// The host of the console's pages.
fn console_host(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws => "console.aws.amazon.com",
        Partition::China => "console.amazonaws.cn",
        Partition::EuropeanSovereign => "console.amazonaws-eusc.eu",
        Partition::GovCloud => "console.amazonaws-us-gov.com",
    }
}

/// The federation endpoint, without a query.
pub(super) fn federation(partition: Partition) -> String {
    format!("https://{}/federation", sign_in_host(partition))
}

/// The page to show: a service's, such as `ec2` or `s3/buckets`, else the console's first. `None` if `service` is no path.
pub(super) fn page(partition: Partition, region: Option<&str>, service: Option<&str>) -> Option<String> {
    let service = service.unwrap_or("console");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if service.is_empty() || service.starts_with('/') || !service.chars().all(plain) {
        return None;
    }
    let path = if service.contains('/') { service.to_owned() } else { format!("{service}/home") };
    let region = region.map(|region| format!("?region={region}")).unwrap_or_default();
    Some(format!("https://{}/{path}{region}", console_host(partition)))
}

/// The address that signs a browser in and shows the page.
pub(super) fn sign_in(federation: &str, page: &str, token: &SecretString) -> Option<SecretString> {
    let mut url = Url::parse(federation).ok()?;
    url.query_pairs_mut()
        .append_pair("Action", "login")
        .append_pair("Issuer", "onetap")
        .append_pair("Destination", page)
        .append_pair("SigninToken", token.expose_secret());
    Some(String::from(url).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_hosts() {
        let cases = [
            (Partition::Aws, "https://signin.aws.amazon.com/federation", "https://console.aws.amazon.com/"),
            (Partition::China, "https://signin.amazonaws.cn/federation", "https://console.amazonaws.cn/"),
            (
                Partition::EuropeanSovereign,
                "https://eusc-de-east-1.signin.amazonaws-eusc.eu/federation",
                "https://console.amazonaws-eusc.eu/",
            ),
            (
                Partition::GovCloud,
                "https://signin.amazonaws-us-gov.com/federation",
                "https://console.amazonaws-us-gov.com/",
            ),
        ];
        for (partition, at, console) in cases {
            assert_eq!(federation(partition), at);
            assert_eq!(page(partition, None, None), Some(format!("{console}console/home")));
        }
    }

    #[test]
    fn a_page_is_a_services_in_a_region_and_nobody_elses() {
        let page = |service| page(Partition::Aws, Some("eu-west-1"), Some(service));
        let at = |path: &str| Some(format!("https://console.aws.amazon.com/{path}?region=eu-west-1"));
        assert_eq!(page("ec2"), at("ec2/home"));
        assert_eq!(page("s3/buckets"), at("s3/buckets"));
        for wrong in ["", "/evil", "ec2?x", "@evil", "a#b", "a b", "//evil"] {
            assert_eq!(page(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_address_carries_page_and_token_whole() {
        let page = page(Partition::Aws, Some("eu-west-1"), Some("ec2")).unwrap();
        let url = sign_in(&federation(Partition::Aws), &page, &"a+b/c=&".into()).unwrap();
        assert_eq!(
            url.expose_secret(),
            "https://signin.aws.amazon.com/federation?Action=login&Issuer=onetap&Destination=https%3A%2F%2Fconsole.aws.amazon\
             .com%2Fec2%2Fhome%3Fregion%3Deu-west-1&SigninToken=a%2Bb%2Fc%3D%26"
        );
    }
}
