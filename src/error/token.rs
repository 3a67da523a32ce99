//! What the verbs that look after a token cannot do, with exit code and next action.

use std::path::PathBuf;

use super::status;

/// Why a verb of `onetap token` failed; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
    /// There is no account of this name.
    #[error("the YubiKey holds no OATH account {wanted:?}")]
    NoAccount {
        /// The name.
        wanted: String,
        /// All names on the key, nearest first.
        present: Vec<String>,
    },
    /// The picture that should hold a QR code.
    #[error("{path}: {reason}")]
    Screenshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Several keys are there, and the verb would change one of them.
    #[error("several YubiKeys are plugged in: {}", .present.join(", "))]
    SeveralTokens {
        /// Their serial numbers, or the readers' names.
        present: Vec<String>,
    },
    /// What would be lost needs a yes, and there is nobody to give it.
    #[error("there is nobody to confirm this: {question}")]
    Unconfirmed {
        /// What would have been asked.
        question: String,
    },
}

impl TokenError {
    /// The exit code.
    pub fn status(&self) -> u8 {
        match self {
            Self::Declined => status::REFUSED,
            Self::NoAccount { .. } => status::TOKEN,
            Self::Screenshot { .. } | Self::SeveralTokens { .. } => status::USAGE,
            Self::Unconfirmed { .. } => status::NOBODY,
        }
    }

    /// What to do next, if there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Declined | Self::Screenshot { .. } => return None,
            Self::NoAccount { present, .. } => match present.first() {
                Some(nearest) => format!("did you mean {nearest:?}? `onetap token accounts` shows them all"),
                None => "it holds none at all".into(),
            },
            Self::SeveralTokens { present } => {
                let serial = present.first().filter(|name| name.parse::<u32>().is_ok());
                format!("name one: --reader pcsc:{}", serial.map_or("SERIAL", String::as_str))
            }
            Self::Unconfirmed { .. } => "add --yes if that is meant".into(),
        })
    }
}
