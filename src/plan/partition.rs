//! The separate parts of AWS.
//!
//! Source: `partitions.json` of the AWS SDKs (region patterns), AWS General Reference.

/// A part of AWS with accounts and users of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// `aws`: the commercial regions.
    Aws,
    /// `aws-cn`: China.
    China,
    /// `aws-eusc`: the European Sovereign Cloud.
    EuropeanSovereign,
    /// `aws-us-gov`: GovCloud.
    GovCloud,
}

impl Partition {
    /// The partition by its name in an ARN.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "aws" => Some(Self::Aws),
            "aws-cn" => Some(Self::China),
            "aws-eusc" => Some(Self::EuropeanSovereign),
            "aws-us-gov" => Some(Self::GovCloud),
            _ => None,
        }
    }

    /// The name in an ARN.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::EuropeanSovereign => "aws-eusc",
            Self::GovCloud => "aws-us-gov",
        }
    }

    /// The region that is asked where none is configured.
    pub fn home_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-north-1",
            Self::EuropeanSovereign => "eusc-de-east-1",
            Self::GovCloud => "us-gov-west-1",
        }
    }

    /// The partition of a region; `None` if the text does not have a region's form. The SDK takes any text, and
    /// a wrong one would end as a name that cannot be resolved.
    pub fn of_region(region: &str) -> Option<Self> {
        let (partition, place) = match region.split_once('-')? {
            ("us", rest) if rest.starts_with("gov-") => (Self::GovCloud, rest.strip_prefix("gov-")?),
            ("cn", rest) => (Self::China, rest),
            ("eusc", rest) => (Self::EuropeanSovereign, rest.split_once('-')?.1),
            ("af" | "ap" | "ca" | "eu" | "il" | "me" | "mx" | "sa" | "us", rest) => (Self::Aws, rest),
            _ => return None,
        };
        let (name, number) = place.split_once('-')?;
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
        let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (word && numbered).then_some(partition)
    }
}
