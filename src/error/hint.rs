//! The next action for each leaf error.

use crate::attendant::{NO_PROMPT, Unattended};
use crate::card::CardError;
use crate::code::CodeError;
use crate::oath::OathError;
use crate::plan::PlanError;
use crate::sts::StsError;
use crate::vault::VaultError;

pub(super) fn code_hint(error: &CodeError) -> Option<String> {
    Some(match error {
        CodeError::BadAccount { .. } => "set onetap_account to the account that AWS's QR code made".into(),
        CodeError::Card(error) => return card_hint(error),
        CodeError::NoAccount { present, .. } => match present.first() {
            Some(nearest) => {
                format!("if it has another name, put `onetap_account = {nearest}` into the profile")
            }
            None => "plug in the key that holds it, or put the MFA device on this one: `onetap enroll` makes a new one, \
                     `onetap token add` takes one that is there"
                .into(),
        },
        CodeError::NoSeed { profile } => format!("run `onetap seed add {profile}`"),
        CodeError::NotACode => "type the six digits that the device shows".into(),
        CodeError::SeveralAccounts { fitting, .. } => match fitting.first() {
            Some(first) => format!("put the right one into the profile, such as `onetap_account = {first}`"),
            None => return None,
        },
        CodeError::SeedUnusable { profile, .. } => format!("run `onetap seed add {profile}` again"),
        CodeError::TouchTimedOut => "run the command again and touch the key while it blinks".into(),
        CodeError::Unattended(Unattended::Nobody(why)) => nobody_hint(why),
        CodeError::Unattended(Unattended::TimedOut) => "run the command again".into(),
        CodeError::Vault(error) => return vault_hint(error),
        CodeError::Oath(OathError::Full) => "remove one: `onetap token delete NAME`".into(),
        CodeError::Oath(OathError::TooOld(_, "touch")) => "add --no-touch to store it without".into(),
        CodeError::Oath(OathError::NoApplet) => "enable it: `ykman config usb --enable OATH`".into(),
        CodeError::Oath(OathError::OtherApplet) => return card_hint(&CardError::Busy),
        CodeError::Oath(OathError::WrongPassword) => {
            "type the password that was set for the OATH application".into()
        }
        CodeError::Foreign(_) | CodeError::Unattended(Unattended::Interrupted) | CodeError::Oath(_) => {
            return None;
        }
    })
}

pub(super) fn card_hint(error: &CardError) -> Option<String> {
    Some(match error {
        CardError::Busy | CardError::Reset => {
            "close Yubico Authenticator; if GnuPG holds the key, run `gpgconf --kill scdaemon`, or put `pcsc-shared` \
             into ~/.gnupg/scdaemon.conf"
                .into()
        }
        CardError::NoReader | CardError::NoToken { .. } => "plug it in and run the command again".into(),
        CardError::NoService if cfg!(target_os = "linux") => {
            "start it: `sudo systemctl start pcscd.socket` (Debian: `sudo apt-get install pcscd`); if it runs, `onetap \
             doctor` tells what is in the way"
                .into()
        }
        CardError::NotAllowed => {
            "allow the polkit actions org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card".into()
        }
        CardError::Removed => "plug it in again and leave it in until the code was read".into(),
        CardError::ServiceLost => "run the command again; a touch that was given does not count".into(),
        CardError::TimedOut => "run the command again and touch the key while it blinks".into(),
        _ => return None,
    })
}

pub(super) fn plan_hint(error: &PlanError) -> Option<String> {
    Some(match error {
        PlanError::Fido { .. } => {
            "a user may have eight devices: add a virtual one to the same YubiKey (IAM console, Security credentials, \
             Assign MFA device, Authenticator app), keep its account with `ykman oath accounts uri --touch URI`, and set \
             mfa_serial to its arn:aws:iam::ACCOUNT:mfa/NAME"
                .into()
        }
        PlanError::Auto { profile } => format!("run `onetap exec {profile} -- true` once, or `onetap mfa list {profile}`"),
        PlanError::NoMfa { profile } => {
            format!("put `mfa_serial = arn:aws:iam::ACCOUNT:mfa/NAME` into [profile {profile}]")
        }
        PlanError::NoProfile { name, .. } => format!("run `onetap add {name}` to make it"),
        PlanError::NoSource { .. } => {
            "name the profile that owns the access key in source_profile (it may be this one)".into()
        }
        PlanError::OtherKind { profile, .. } => format!(
            "the AWS CLI does that; to assume a role from there, give a profile of its own `credential_process = aws \
             configure export-credentials --profile {profile} --format process`, and name that one in source_profile"
        ),
        PlanError::BadService { .. } => "correct it there, or take the line out".into(),
        PlanError::BadValue { key, reason, .. } => bad_value_hint(key, reason).into(),
        PlanError::BadVariable { variable: "--code", .. } => {
            "leave process out, or put mfa_process into the profile".into()
        }
        PlanError::BadVariable { variable, .. } => format!("correct {variable}, or unset it"),
        PlanError::Cycle { key, .. } => format!("take one of these profiles' {key} out"),
    })
}

fn bad_value_hint(key: &str, reason: &str) -> &'static str {
    match key {
        "credential_process" | "credential_source" | "web_identity_token_file" => {
            "see docs/ROLES.md for what can be the source of a role"
        }
        "duration_seconds" => "write fewer or more seconds there; without the line they are 3600",
        "include_profile" | "source_profile" => "name a profile that is there",
        "mfa_serial" if reason.starts_with("a device counts only") => {
            "take the line out: the device of the profile that owns the key serves the whole chain"
        }
        "mfa_serial" => "`aws iam list-mfa-devices` and the IAM console show what it is",
        "role_arn" => "copy the role's ARN from the IAM console",
        _ => "correct it there, or take the line out",
    }
}

pub(super) fn sts_hint(error: &StsError) -> Option<String> {
    Some(match error {
        StsError::Clock { .. } if cfg!(target_os = "linux") => {
            "set the clock: `sudo timedatectl set-ntp true`".into()
        }
        StsError::Clock { .. } => "set the clock".into(),
        StsError::CodeRefused => {
            "check that mfa_serial and onetap_account name the same device, and that its seed is the newest"
                .into()
        }
        StsError::DeadKey(_) => {
            "check in the IAM console that it is active, and store the right one with `onetap add`".into()
        }
        StsError::Network(_) | StsError::TryAgain(_) | StsError::Incomplete => {
            "check the connection and the proxy, and run the command again".into()
        }
        StsError::UnknownDevice => {
            "check mfa_serial against `onetap mfa list`, and that the access key is the same user's; a user without \
             a device gets one by `onetap enroll`"
                .into()
        }
        StsError::WrongSecret => "store the key again with `onetap add`".into(),
        StsError::Ended => "run the command again".into(),
        StsError::CaBundle { .. } | StsError::Refused { .. } | StsError::SignIn(_) | StsError::Tls(_) => {
            return None;
        }
    })
}

pub(super) fn vault_hint(error: &VaultError) -> Option<String> {
    Some(match error {
        VaultError::Dismissed => "run the command again and unlock the keychain".into(),
        VaultError::Unanswered => "look for its unlock window, and run the command again".into(),
        VaultError::Locked(_) => "unlock it and run the command again".into(),
        VaultError::NoKeychain(_) => {
            "start one (on Linux a Secret Service such as gnome-keyring), or keep secrets in an encrypted file with \
             --vault file"
                .into()
        }
        VaultError::OpenToOthers { place } => format!("run `chmod 600 {place}`"),
        VaultError::TimedOut => "look for its unlock window, and run the command again".into(),
        VaultError::WrongPassphrase { .. } => "run the command again with the right one".into(),
        VaultError::Unattended(Unattended::Nobody(why)) if why == NO_PROMPT => nobody_hint(why),
        VaultError::Unattended(Unattended::Nobody(_)) => {
            "run it in a terminal, or name a file with the passphrase in ONETAP_VAULT_PASSPHRASE_FILE".into()
        }
        VaultError::Unattended(Unattended::TimedOut) => "run the command again".into(),
        VaultError::Damaged { .. } | VaultError::Other(_) | VaultError::Unattended(_) => return None,
    })
}

pub(super) fn nobody_hint(why: &str) -> String {
    if why == NO_PROMPT { "run it without" } else { "run it in a terminal" }.into()
}
