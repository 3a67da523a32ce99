//! Codes from a seed that rests in the vault.
//!
//! Knows which seeds make codes that AWS takes; the seed then lies beside the access key, and is no second factor.
//! Source: RFC 6238 and RFC 4648, section 6; AWS's virtual MFA devices use SHA-1, 6 digits and 30 seconds.

use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use totp_rs::{Algorithm, Builder, Secret};
use zeroize::Zeroizing;

use super::{Code, CodeError, CodeSource, PERIOD, TimeStep};
use crate::attendant::Attendant;
use crate::otpauth::{self, Credential, Kind};
use crate::vault::{Entry, Vault};

/// The shortest seed that is taken, in bytes. RFC 4226, R6 demands 16, but seeds of 80 bits are handed out; what is
/// shorter was cut off, or is a code.
const SHORTEST: usize = 10;

/// The seed of one profile, in a vault.
#[derive(Clone, Debug)]
pub struct Software {
    profile: String,
    vault: Arc<dyn Vault>,
}

impl Software {
    /// The seed that `vault` holds for `profile`. Touches nothing.
    pub fn new(profile: impl Into<String>, vault: Arc<dyn Vault>) -> Self {
        Self { profile: profile.into(), vault }
    }
}

impl CodeSource for Software {
    fn name(&self) -> &'static str {
        "software"
    }

    fn code(
        &self,
        step: TimeStep,
        _deadline: Instant,
        _attendant: &dyn Attendant,
    ) -> Result<Code, CodeError> {
        let unusable = |reason| CodeError::SeedUnusable { profile: self.profile.clone(), reason };
        let stored = self
            .vault
            .read(&Entry::Seed(self.profile.clone()))?
            .ok_or_else(|| CodeError::NoSeed { profile: self.profile.clone() })?;
        let text = str::from_utf8(stored.expose_secret()).map_err(|_| unusable("it is not text".into()))?;
        let seed = parse(text).map_err(|refused| unusable(refused.to_string()))?;
        seed.code(step).ok_or_else(|| unusable("its code has not six digits".into()))
    }
}

/// Why a text is no seed for AWS. None of it quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASeed {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// AWS takes no codes of this kind.
    #[error("AWS takes only TOTP codes of 6 digits, SHA-1 and 30 seconds, and {0}")]
    NotForAws(String),
    /// Other letters than Base32 has.
    #[error("it is neither Base32 (A to Z and 2 to 7) nor an otpauth:// URI")]
    NotBase32,
    /// Too few bytes.
    #[error("it has {bits} bits, and a seed has 80 at least")]
    TooShort {
        /// How many it has.
        bits: usize,
    },
    /// An `otpauth://` URI that makes no sense.
    #[error("{0}")]
    Uri(String),
}

/// Checks a seed as a person typed or pasted it, and gives it back as it is to be stored: Base32 in capitals without
/// blanks, hyphens and padding, or the `otpauth://` URI as it stands.
pub fn check(text: &str) -> Result<SecretString, NotASeed> {
    parse(text)?;
    let text = text.trim();
    if is_uri(text) { Ok(text.into()) } else { Ok(SecretString::from(bare(text).as_str())) }
}

/// The code that a seed, Base32 or an `otpauth://` URI, gives for a step.
pub fn code(text: &str, step: TimeStep) -> Result<Code, NotASeed> {
    let refused = || NotASeed::NotForAws("its code has not six digits".into());
    parse(text)?.code(step).ok_or_else(refused)
}

/// A seed that makes codes for AWS.
struct Seed {
    secret: SecretSlice<u8>,
}

impl Seed {
    fn code(&self, step: TimeStep) -> Option<Code> {
        let begins = step.begins().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Not `build`, which refuses seeds under 128 bits.
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(PERIOD)
            .with_secret(Secret::new(self.secret.expose_secret().into()))
            .build_noncompliant();
        Code::parse(&Zeroizing::new(totp.generate(begins.as_secs()).to_string()))
    }
}

fn is_uri(text: &str) -> bool {
    text.get(..10).is_some_and(|scheme| scheme.eq_ignore_ascii_case("otpauth://"))
}

fn parse(text: &str) -> Result<Seed, NotASeed> {
    let text = text.trim();
    let secret = if is_uri(text) { from_uri(text)? } else { from_base32(text)? };
    match secret.expose_secret().len() {
        0 => Err(NotASeed::Empty),
        length if length < SHORTEST => Err(NotASeed::TooShort { bits: 8 * length }),
        _ => Ok(Seed { secret }),
    }
}

/// The letters alone: people copy seeds in groups of four, and some pages show them in small letters.
fn bare(text: &str) -> Zeroizing<String> {
    let mut letters = Zeroizing::new(String::with_capacity(text.len()));
    let kept = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '='));
    letters.extend(kept.map(|c| c.to_ascii_uppercase()));
    letters
}

fn from_base32(text: &str) -> Result<SecretSlice<u8>, NotASeed> {
    let secret = Secret::try_from_base32(bare(text).as_str()).map_err(|_| NotASeed::NotBase32)?;
    Ok(SecretSlice::from(secret.as_bytes().to_vec()))
}

fn from_uri(text: &str) -> Result<SecretSlice<u8>, NotASeed> {
    let refused = |what: &str| NotASeed::NotForAws(what.into());
    let credential = text.parse::<Credential>().map_err(|refused| NotASeed::Uri(refused.to_string()))?;
    match credential.kind {
        Kind::Hotp { .. } => return Err(refused("this one counts (HOTP)")),
        Kind::Totp { period: PERIOD } => {}
        Kind::Totp { period } => return Err(refused(&format!("this one has a period of {period} s"))),
    }
    match credential.algorithm {
        otpauth::Algorithm::Sha1 => {}
        otpauth::Algorithm::Sha256 => return Err(refused("this one uses SHA-256")),
        otpauth::Algorithm::Sha512 => return Err(refused("this one uses SHA-512")),
    }
    if credential.digits != 6 {
        return Err(refused(&format!("this one has {} digits", credential.digits)));
    }
    Ok(credential.secret)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;
    use std::sync::Mutex;

    use super::*;
    use crate::attendant::{Notice, Question, Unattended};
    use crate::vault::VaultError;

    const ARN_URI: &str = "otpauth://totp/Amazon%20Web%20Services:arn:aws:iam::123456789012:mfa%2Fdoug?secret=JBSWY3DPEHPK3PXP&issuer=Amazon%20Web%20Services";

    #[derive(Debug, Default)]
    struct Memory(Mutex<BTreeMap<Entry, Vec<u8>>>);

    impl Vault for Memory {
        fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
            Ok(self.0.lock().unwrap().get(entry).map(|bytes| SecretSlice::from(bytes.clone())))
        }
        fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
            self.0.lock().unwrap().insert(entry.clone(), value.expose_secret().to_vec());
            Ok(())
        }
        fn remove(&self, _entry: &Entry) -> Result<(), VaultError> {
            Ok(())
        }
    }

    #[derive(Debug)]
    struct Silent;

    impl Attendant for Silent {
        fn notice(&self, _notice: Notice) {
            panic!("a seed has nothing to say");
        }
        fn ask(&self, _question: Question) -> Result<SecretString, Unattended> {
            panic!("a seed has nothing to ask");
        }
    }

    fn code(stored: &[u8], step: u64) -> Result<String, CodeError> {
        let vault = Arc::new(Memory::default());
        vault.write(&Entry::Seed("doug".into()), &SecretSlice::from(stored.to_vec())).unwrap();
        let code = Software::new("doug", vault).code(TimeStep(step), Instant::now(), &Silent)?;
        Ok(code.expose().to_owned())
    }

    /// What the program `oathtool` computes for the step.
    fn expected(base32: &str, step: u64) -> String {
        let at = format!("@{}", step * PERIOD);
        let output = Command::new("oathtool")
            .args(["--totp", "--base32", "--now", &at, base32])
            .output()
            .expect("this test needs oathtool (Debian: apt-get install oathtool)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().into()
    }

    #[test]
    fn rfc_6238s_table_holds_in_its_last_six_digits() {
        // RFC 6238, appendix B: the ASCII seed 12345678901234567890.
        let seed = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for (time, code_of_8) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_234_567_890, "89005924"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(seed, time / PERIOD).unwrap(), code_of_8[2..]);
        }
    }

    #[test]
    fn seeds_of_80_160_and_320_bits_agree_with_oathtool() {
        for seed in [
            "JBSWY3DPEHPK3PXP",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "OBWGC2LOFVZXI4TJNZTS243FMNZGK5BNGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        ] {
            for step in [0, 1, 57_000_000, 666_666_666] {
                assert_eq!(code(seed.as_bytes(), step).unwrap(), expected(seed, step), "{seed} {step}");
            }
        }
    }

    #[test]
    fn a_uri_with_an_arn_for_its_label_serves() {
        for uri in [ARN_URI.to_owned(), ARN_URI.replace("%2F", "/"), ARN_URI.replace("totp/", "TOTP/")] {
            assert_eq!(check(&uri).unwrap().expose_secret(), uri);
            assert_eq!(code(uri.as_bytes(), 57_000_000).unwrap(), expected("JBSWY3DPEHPK3PXP", 57_000_000));
        }
    }

    #[test]
    fn base32_is_stored_bare() {
        for typed in [" jbsw y3dp ehpk 3pxp\n", "JBSW-Y3DP-EHPK-3PXP", "JBSWY3DPEHPK3PXP===="] {
            assert_eq!(check(typed).unwrap().expose_secret(), "JBSWY3DPEHPK3PXP", "{typed}");
        }
    }

    #[test]
    fn what_is_no_seed_for_aws_is_refused_with_its_reason_and_never_quoted() {
        let uri = |more: &str| format!("otpauth://totp/doug?secret=JBSWY3DPEHPK3PXP{more}");
        let refusals = [
            (String::new(), "it is empty"),
            ("123456".into(), "it is neither Base32 (A to Z and 2 to 7) nor an otpauth:// URI"),
            (
                "otpauth-migration://x".into(),
                "it is neither Base32 (A to Z and 2 to 7) nor an otpauth:// URI",
            ),
            ("JBSWY3DP".into(), "it has 40 bits, and a seed has 80 at least"),
            (uri("").replace("totp/", "steam/"), "it is neither otpauth://totp/ nor otpauth://hotp/"),
            (uri("&digits=8"), "this one has 8 digits"),
            (uri("&period=60"), "this one has a period of 60 s"),
            (uri("&algorithm=SHA256"), "this one uses SHA-256"),
            (uri("&counter=1").replace("totp", "hotp"), "this one counts (HOTP)"),
        ];
        for (text, reason) in refusals {
            let said = check(&text).unwrap_err().to_string();
            assert!(said.ends_with(reason), "{said}");
            assert!(!said.contains("JBSW"), "{said}");
            if !text.is_empty() {
                let refused = code(text.as_bytes(), 1).unwrap_err();
                assert!(
                    matches!(&refused, CodeError::SeedUnusable { reason, .. } if *reason == said),
                    "{refused:?}"
                );
            }
        }
    }

    #[test]
    fn a_profile_without_a_seed_is_an_absence() {
        let source = Software::new("doug", Arc::new(Memory::default()));
        let refused = source.code(TimeStep(1), Instant::now(), &Silent).unwrap_err();
        assert!(matches!(&refused, CodeError::NoSeed { profile } if profile == "doug"));
        assert!(refused.is_absence());
    }
}
