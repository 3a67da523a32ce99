//! What an `otpauth://` URI says: one OATH credential, its seed included.
//!
//! Knows nothing about tokens, vaults or AWS. Does no I/O, and no input makes it panic.
//! Source: "Key Uri Format" (Google Authenticator's wiki), widened to what is met in the field: labels that are an
//! ARN, percent-encoded or not, seeds of 80 bits, base32 with blanks, dashes, padding or in lower case; and our own
//! `touch=true` for the virtual token.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

mod base32;
mod query;

use base32::base32;
use query::Query;

/// The period that an identifier leaves out: 30 seconds (YKOATH; RFC 6238, section 4.1).
const USUAL_PERIOD: u64 = 30;

/// What a label may show as it is: unreserved characters (RFC 3986, section 2.3), and `:` and `@` for the eye.
const LABEL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// The hash under the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The default, and all that AWS takes.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What makes the next code another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter (RFC 4226).
    Hotp {
        /// The counter that the next code is made from.
        counter: u64,
    },
    /// The time (RFC 6238).
    Totp {
        /// Seconds in a time step; never zero.
        period: u64,
    },
}

/// Whether a token computes a code only when its button is touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touch {
    /// Codes come at once.
    #[default]
    NotNeeded,
    /// Each code needs a touch.
    Required,
}

/// One OATH credential.
#[derive(Clone)]
pub struct Credential {
    /// Who asks for the codes, if the label or the query says so; not empty.
    pub issuer: Option<String>,
    /// The account; not empty.
    pub name: String,
    /// The shared secret's bytes; not empty.
    pub secret: SecretSlice<u8>,
    /// Counter or time.
    pub kind: Kind,
    /// The hash.
    pub algorithm: Algorithm,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Whether a touch is needed.
    pub touch: Touch,
}

/// Why a text is no OATH credential. Never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtpauthError {
    /// A parameter's value is not one that it can have.
    #[error("{key} must be {expected}")]
    BadValue {
        /// The parameter.
        key: &'static str,
        /// What it can be.
        expected: &'static str,
    },
    /// The label holds no account.
    #[error("the label names no account")]
    NoName,
    /// There is no secret, or an empty one.
    #[error("there is no secret")]
    NoSecret,
    /// The secret is no base32.
    #[error("the secret is not base32 (letters A to Z and digits 2 to 7)")]
    NotBase32,
    /// Neither `totp` nor `hotp`.
    #[error("it is neither otpauth://totp/ nor otpauth://hotp/")]
    NotOtpauth,
    /// The label is no UTF-8.
    #[error("the label is not UTF-8")]
    NotUtf8,
}

impl Credential {
    /// The name under which a YubiKey keeps it: `[period/][issuer:]name`, the period for TOTP other than 30 seconds
    /// (YKOATH, "Credential names").
    pub fn id(&self) -> String {
        let period = match self.kind {
            Kind::Totp { period } if period != USUAL_PERIOD => format!("{period}/"),
            _ => String::new(),
        };
        format!("{period}{}", self.label())
    }

    fn label(&self) -> String {
        match &self.issuer {
            Some(issuer) => format!("{issuer}:{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The credential whose [`Credential::id`] is `id`, so that a token's own names survive being written down.
    pub fn with_id(
        id: &str,
        secret: SecretSlice<u8>,
        kind: Kind,
        algorithm: Algorithm,
        digits: u8,
        touch: Touch,
    ) -> Self {
        let (kind, label) = match (kind, id.split_once('/')) {
            (Kind::Totp { .. }, Some((digits, rest))) if !rest.is_empty() => match canonical_period(digits) {
                Some(period) => (Kind::Totp { period }, rest),
                None => (Kind::Totp { period: USUAL_PERIOD }, id),
            },
            (Kind::Totp { .. }, _) => (Kind::Totp { period: USUAL_PERIOD }, id),
            (hotp, _) => (hotp, id),
        };
        let (issuer, name) = split_label(label, None);
        Self { issuer, name, secret, kind, algorithm, digits, touch }
    }

    /// A TOTP credential from bare base32, as consoles show it: SHA-1, 6 digits, 30 seconds.
    pub fn from_base32(name: &str, secret: &str) -> Result<Self, OtpauthError> {
        Ok(Self {
            issuer: None,
            name: if name.is_empty() { return Err(OtpauthError::NoName) } else { name.to_owned() },
            secret: base32(secret)?,
            kind: Kind::Totp { period: USUAL_PERIOD },
            algorithm: Algorithm::default(),
            digits: 6,
            touch: Touch::default(),
        })
    }

    /// The URI, the secret in the clear: for a vault, or for the virtual token's file.
    ///
    /// Reading it again gives an equal credential.
    pub fn to_uri(&self) -> SecretString {
        let secret = Zeroizing::new(BASE32_NOPAD.encode(self.secret.expose_secret()));
        let (kind, moving) = match self.kind {
            Kind::Hotp { counter } => ("hotp", format!("&counter={counter}")),
            Kind::Totp { period: USUAL_PERIOD } => ("totp", String::new()),
            Kind::Totp { period } => ("totp", format!("&period={period}")),
        };
        let algorithm = match self.algorithm {
            Algorithm::Sha1 => "",
            Algorithm::Sha256 => "&algorithm=SHA256",
            Algorithm::Sha512 => "&algorithm=SHA512",
        };
        let digits = if self.digits == 6 { String::new() } else { format!("&digits={}", self.digits) };
        let touch = if self.touch == Touch::Required { "&touch=true" } else { "" };
        let label = self.label();
        let label = utf8_percent_encode(&label, LABEL);
        format!("otpauth://{kind}/{label}?secret={}{algorithm}{digits}{moving}{touch}", *secret).into()
    }
}

/// A period as an identifier's prefix writes it, if it is one that the prefix is written for.
fn canonical_period(text: &str) -> Option<u64> {
    let period = text.parse::<u64>().ok()?;
    (period != 0 && period != USUAL_PERIOD && period.to_string() == text).then_some(period)
}

/// Divides a label into issuer and name. A bare ARN has colons and no issuer.
fn split_label(label: &str, issuer: Option<String>) -> (Option<String>, String) {
    let whole = |issuer| (issuer, label.to_owned());
    if let Some(rest) = issuer.as_deref().and_then(|issuer| label.strip_prefix(issuer)?.strip_prefix(':'))
        && !rest.is_empty()
    {
        return (issuer, rest.to_owned());
    }
    if label.starts_with("arn:") {
        return whole(issuer);
    }
    match label.split_once(':') {
        Some((prefix, name)) if !prefix.is_empty() && !name.is_empty() => {
            (issuer.or_else(|| Some(prefix.to_owned())), name.to_owned())
        }
        _ => whole(issuer),
    }
}

impl FromStr for Credential {
    type Err = OtpauthError;

    /// Reads a URI. The label is taken from the text as it stands and not through `url::Url`, which would
    /// normalise a name such as `a/../b` away.
    fn from_str(text: &str) -> Result<Self, OtpauthError> {
        let text = text.trim();
        let (scheme, rest) = text.split_at_checked("otpauth://".len()).ok_or(OtpauthError::NotOtpauth)?;
        let (kind, rest) = rest.split_once('/').ok_or(OtpauthError::NotOtpauth)?;
        let hotp = match (scheme.to_ascii_lowercase().as_str(), kind.to_ascii_lowercase().as_str()) {
            ("otpauth://", "hotp") => true,
            ("otpauth://", "totp") => false,
            _ => return Err(OtpauthError::NotOtpauth),
        };
        let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
        let (label, query) = rest.split_once('?').unwrap_or((rest, ""));
        let label = percent_decode_str(label).decode_utf8().map_err(|_| OtpauthError::NotUtf8)?;
        if label.is_empty() {
            return Err(OtpauthError::NoName);
        }
        let query = Query::read(query)?;
        let (issuer, name) = split_label(&label, query.issuer);
        let kind = match hotp {
            true => Kind::Hotp { counter: query.counter.unwrap_or(0) },
            false => Kind::Totp { period: query.period.unwrap_or(USUAL_PERIOD) },
        };
        Ok(Self {
            issuer,
            name,
            secret: query.secret.ok_or(OtpauthError::NoSecret)?,
            kind,
            algorithm: query.algorithm,
            digits: query.digits.unwrap_or(6),
            touch: query.touch,
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Credential({:?}, {:?}, {:?}, {} digits, {:?})",
            self.id(),
            self.kind,
            self.algorithm,
            self.digits,
            self.touch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn read(text: &str) -> Credential {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> OtpauthError {
        text.parse::<Credential>().unwrap_err()
    }

    #[test]
    fn everything_that_a_uri_can_say_is_read() {
        let all = read(&format!(
            "otpauth://totp/Acme%20Co:a%40b.example?secret={SEED}&issuer=Acme%20Co&algorithm=sha512&digits=8&period=60&touch=true&image=x"
        ));
        assert_eq!(all.issuer.as_deref(), Some("Acme Co"));
        assert_eq!((all.name.as_str(), all.digits, all.touch), ("a@b.example", 8, Touch::Required));
        assert_eq!((all.kind, all.algorithm), (Kind::Totp { period: 60 }, Algorithm::Sha512));
        assert_eq!(all.secret.expose_secret(), b"12345678901234567890");
        assert_eq!(all.id(), "60/Acme Co:a@b.example");
        assert_eq!(
            read(&format!("OTPAUTH://HOTP/x?secret={SEED}&counter=7")).kind,
            Kind::Hotp { counter: 7 }
        );
    }

    #[test]
    fn an_arn_keeps_its_colons_however_it_is_written() {
        let arn = "arn:aws:iam::123456789012:mfa/doug";
        for (label, query, id) in [
            (arn, "", arn),
            ("arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fdoug", "", arn),
            (arn, "&issuer=AWS", "AWS:arn:aws:iam::123456789012:mfa/doug"),
            ("aws:arn:aws:iam::123456789012:mfa/doug", "", "aws:arn:aws:iam::123456789012:mfa/doug"),
            (
                "aws:arn:aws:iam::123456789012:mfa/doug",
                "&issuer=aws",
                "aws:arn:aws:iam::123456789012:mfa/doug",
            ),
            ("Amazon%20Web%20Services:doug@1", "&issuer=Amazon+Web+Services", "Amazon Web Services:doug@1"),
            ("a:", "", "a:"),
            (":b", "", ":b"),
            ("..", "", ".."),
            ("a/../b", "", "a/../b"),
            ("x:y", "&issuer=z", "z:y"),
        ] {
            let credential = read(&format!("otpauth://totp/{label}?secret={SEED}{query}"));
            assert_eq!(credential.id(), id);
            assert_eq!(read(credential.to_uri().expose_secret()).id(), id);
        }
    }

    #[test]
    fn a_tokens_own_name_survives_being_written_down() {
        let names = [
            "60/a:b",
            "30/a",
            "060/a",
            "0/a",
            "/a",
            "60/",
            "a/b",
            "1/2/3",
            "é:ü?#&%+ =",
            " a : b ",
            ":",
            "arn:x",
        ];
        for id in names {
            for kind in [Kind::Hotp { counter: 3 }, Kind::Totp { period: 30 }] {
                let made =
                    Credential::with_id(id, vec![1; 20].into(), kind, Algorithm::Sha256, 7, Touch::Required);
                assert_eq!(made.id(), id);
                let again = read(made.to_uri().expose_secret());
                assert_eq!(again.id(), id);
                assert_eq!((again.kind, again.digits, again.touch), (made.kind, 7, Touch::Required));
                assert_eq!(again.secret.expose_secret(), made.secret.expose_secret());
            }
        }
    }

    #[test]
    fn base32_is_read_as_people_write_it() {
        let ten = [0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x21, 0xde, 0xad, 0xbe, 0xef];
        for text in
            ["JBSWY3DPEHPK3PXP", "jbsw y3dp ehpk 3pxp", "JBSW-Y3DP-EHPK-3PXP", " JBSWY3DPEHPK3PXP======\n"]
        {
            let credential = Credential::from_base32("doug", text).unwrap();
            assert_eq!(credential.secret.expose_secret(), ten);
        }
        assert_eq!(Credential::from_base32("d", "MZ").unwrap().secret.expose_secret(), b"f");
        for (text, error) in [
            ("", OtpauthError::NoSecret),
            ("====", OtpauthError::NoSecret),
            ("JBSWY3DPEHPK3PX1", OtpauthError::NotBase32),
            ("JBSWY3DPEHPK3P=P", OtpauthError::NotBase32),
            ("ABC", OtpauthError::NotBase32),
            ("é", OtpauthError::NotBase32),
        ] {
            assert_eq!(Credential::from_base32("doug", text).unwrap_err(), error, "{text}");
        }
        assert_eq!(Credential::from_base32("", "MZXW6").unwrap_err(), OtpauthError::NoName);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, says) in [
            ("", "neither otpauth"),
            ("otpauth://", "neither otpauth"),
            ("otpauth://motp/x?secret=MZXW6", "neither otpauth"),
            ("https://totp/x?secret=MZXW6", "neither otpauth"),
            ("otpauth://totp/?secret=MZXW6", "no account"),
            ("otpauth://totp/x", "no secret"),
            ("otpauth://totp/x?secret=", "no secret"),
            ("otpauth://totp/x?secret=hunter2!", "not base32"),
            ("otpauth://totp/%ff?secret=MZXW6", "not UTF-8"),
            ("otpauth://totp/x?secret=MZXW6&digits=9", "digits must be 6, 7 or 8"),
            ("otpauth://totp/x?secret=MZXW6&period=0", "period must be"),
            ("otpauth://totp/x?secret=MZXW6&algorithm=MD5", "algorithm must be"),
            ("otpauth://hotp/x?secret=MZXW6&counter=-1", "counter must be"),
            ("otpauth://totp/x?secret=MZXW6&touch=maybe", "touch must be"),
        ] {
            let error = refused(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
            assert!(!format!("{error} {error:?}").to_lowercase().contains("hunter2"));
        }
        let shown = format!("{:?}", read(&format!("otpauth://totp/x?secret={SEED}")));
        assert!(!shown.contains(SEED) && !shown.contains("49, 50"), "{shown}");
    }

    #[test]
    fn no_prefix_and_no_changed_byte_makes_it_panic() {
        let uri = format!("otpauth://totp/a%3Ab:c?secret={SEED}&issuer=a&digits=8&period=60&algorithm=SHA1");
        for end in 0..=uri.len() {
            let _ = uri[..end].parse::<Credential>();
            for byte in [b'%', b'?', b'#', b'&', b':', b'/', 0, 0x7f] {
                let mut changed = uri.clone().into_bytes();
                if let Some(place) = changed.get_mut(end) {
                    *place = byte;
                }
                let _ = String::from_utf8(changed).unwrap().parse::<Credential>();
            }
        }
    }
}
