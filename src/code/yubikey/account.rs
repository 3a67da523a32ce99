//! Which OATH account belongs to an MFA device: the names that people really have for it.
//!
//! Pure. A name fits as a whole or not at all, in the case in which it is written; never by a part of it.
//! Sources: IAM API reference, CreateVirtualMFADevice (QRCodePNG: `DEVICE@ACCOUNT`); the console's QR code puts the
//! issuer `Amazon Web Services` before it; the OATH applet's own prefixes are YKOATH's (`PERIOD/ISSUER:NAME`).

use crate::code::PERIOD;
use crate::oath::Listed;
use crate::oath::answer::Moves;

/// Issuers under which AWS's QR codes, and people who typed them, put `DEVICE@ACCOUNT`.
const ISSUERS: [&str; 3] = ["AWS", "Amazon Web Services", "aws"];

/// The accounts that may be meant: the one of this very name, else those whose names an MFA device of this name gets.
///
/// An `account` that is not the device's own name was chosen by a person, and only it will do. Of several, those with
/// AWS's period are meant; what is left in doubt is for a person to say.
pub fn meant(account: &str, device: Option<&str>, listed: &[Listed]) -> Vec<String> {
    if let Some(exact) = listed.iter().find(|found| found.id == account) {
        return vec![exact.id.clone()];
    }
    let Some(device) = device.filter(|device| *device == account) else { return Vec::new() };
    let fitting = listed.iter().filter(|found| found.moves == Moves::ByTime).map(|found| found.id.as_str());
    let (right, other): (Vec<_>, Vec<_>) = fitting
        .filter(|id| fits(id, device))
        .map(str::to_owned)
        .partition(|id| period(id).is_none_or(|period| period == PERIOD));
    if right.is_empty() { other } else { right }
}

/// The period that a name's prefix tells: `60/...` (YKOATH; left out where it is 30).
pub fn period(id: &str) -> Option<u64> {
    id.split_once('/').and_then(|(digits, _)| digits.parse().ok())
}

/// The names in the order in which they resemble `wanted`.
pub fn nearest(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut near: Vec<_> =
        names.into_iter().map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name)).collect();
    near.sort_by(|(near, a), (nearer, b)| nearer.total_cmp(near).then_with(|| a.cmp(b)));
    near.into_iter().map(|(_, name)| name).collect()
}

fn fits(id: &str, device: &str) -> bool {
    let name = match period(id) {
        Some(_) => id.split_once('/').map_or(id, |(_, name)| name),
        None => id,
    };
    // An ARN has colons itself: without an issuer it reads as one of issuer `arn`.
    if name == device || after_issuer(name).is_some_and(|(_, name)| name == device) {
        return true;
    }
    let Some((account, user)) = user(device) else { return false };
    let at_account = |name: &str| name.split_once('@') == Some((user, account));
    match after_issuer(name) {
        None => at_account(name),
        Some((issuer, name)) if ISSUERS.contains(&issuer) => at_account(name),
        Some((issuer, name)) => issuer.strip_prefix("aws/iam/") == Some(account) && name == user,
    }
}

fn after_issuer(name: &str) -> Option<(&str, &str)> {
    name.split_once(':').filter(|(issuer, name)| !issuer.is_empty() && !name.is_empty())
}

/// The account and the name, without its path, of `arn:aws:iam::ACCOUNT:mfa/PATH/NAME`.
fn user(device: &str) -> Option<(&str, &str)> {
    let mut parts = device.strip_prefix("arn:")?.splitn(5, ':').skip(3);
    let (account, resource) = (parts.next()?, parts.next()?);
    let (_, name) = resource.strip_prefix("mfa/").map(|name| name.rsplit_once('/').unwrap_or(("", name)))?;
    Some((account, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otpauth::Algorithm;

    const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

    fn listed(ids: &[&str]) -> Vec<Listed> {
        ids.iter()
            .map(|id| Listed { id: (*id).into(), moves: Moves::ByTime, algorithm: Algorithm::Sha1 })
            .collect()
    }

    fn of_device(device: &str, ids: &[&str]) -> Vec<String> {
        meant(device, Some(device), &listed(ids))
    }

    #[test]
    fn the_names_that_people_really_have_are_found() {
        for id in [
            ARN,
            "aws:arn:aws:iam::123456789012:mfa/doug",
            "Amazon Web Services:arn:aws:iam::123456789012:mfa/doug",
            "my own:arn:aws:iam::123456789012:mfa/doug",
            "Amazon Web Services:doug@123456789012",
            "AWS:doug@123456789012",
            "doug@123456789012",
            "aws/iam/123456789012:doug",
            "30/aws:arn:aws:iam::123456789012:mfa/doug",
            "60/aws:arn:aws:iam::123456789012:mfa/doug",
            "15/doug@123456789012",
        ] {
            assert_eq!(of_device(ARN, &["GitHub:octo", id]), [id]);
        }
        let with_path = "arn:aws-cn:iam::123456789012:mfa/a/b/doug";
        assert_eq!(of_device(with_path, &["aws/iam/123456789012:doug"]), ["aws/iam/123456789012:doug"]);
        assert_eq!(of_device("GAHT12345678", &["GAHT12345678"]), ["GAHT12345678"]);
        assert_eq!(of_device("GAHT12345678", &["aws:GAHT12345678"]), ["aws:GAHT12345678"]);
    }

    #[test]
    fn a_part_another_case_another_account_and_a_counter_do_not_fit() {
        for id in [
            "doug",
            "Amazon Web Services:doug",
            "Amazon Web Services:Doug@123456789012",
            "amazon web services:doug@123456789012",
            "Amazon Web Services:doug@acme",
            "Amazon Web Services:doug@210987654321",
            "Amazon Web Services:doug@1234567890123",
            "Amazon Web Services:notdoug@123456789012",
            "GitHub:doug@123456789012",
            "aws/iam/123456789012:douglas",
            "aws/iam/210987654321:doug",
            "arn:aws:iam::123456789012:mfa/doug2",
            "xarn:aws:iam::123456789012:mfa/doug",
            "a:b:arn:aws:iam::123456789012:mfa/doug",
            ":arn:aws:iam::123456789012:mfa/doug",
            "x/arn:aws:iam::123456789012:mfa/doug",
            "",
        ] {
            assert_eq!(of_device(ARN, &[id]), Vec::<String>::new(), "{id}");
        }
        let mut counts = listed(&["aws:arn:aws:iam::123456789012:mfa/doug"]);
        counts[0].moves = Moves::ByCounter;
        assert_eq!(meant(ARN, Some(ARN), &counts), Vec::<String>::new());
    }

    #[test]
    fn the_exact_name_wins_then_awss_period_and_what_a_person_chose_is_never_replaced() {
        let (issued, at) = ("aws:arn:aws:iam::123456789012:mfa/doug", "doug@123456789012");
        let slow = "60/aws:arn:aws:iam::123456789012:mfa/doug";
        assert_eq!(of_device(ARN, &[issued, ARN, at]), [ARN]);
        assert_eq!(of_device(ARN, &[slow, at]), [at]);
        assert_eq!(of_device(ARN, &[issued, at]), [issued, at], "two may be meant");
        assert_eq!(meant("mine", Some(ARN), &listed(&[issued, at])), Vec::<String>::new());
        assert_eq!(meant("mine", Some(ARN), &listed(&[issued, "mine"])), ["mine"]);
        assert_eq!(meant(ARN, None, &listed(&[issued])), Vec::<String>::new());
    }
}
