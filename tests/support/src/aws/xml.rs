//! The XML that STS, IAM and EC2 answer with.
//!
//! Source: the API references' sample responses; the services wrap errors and request ids differently.

use super::refusal::Refusal;

/// A service that the stand-in plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Elastic Compute Cloud.
    Ec2,
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
}

impl Service {
    /// The service that an API version belongs to.
    pub(crate) fn of_version(version: &str) -> Option<Self> {
        match version {
            "2010-05-08" => Some(Self::Iam),
            "2011-06-15" => Some(Self::Sts),
            "2016-11-15" => Some(Self::Ec2),
            _ => None,
        }
    }

    /// The name in a signature's scope and in front of an action's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// A whole answer: the action's own elements inside the service's wrapping.
    pub(crate) fn answer(self, action: &str, inside: &str, request_id: &str) -> String {
        match self {
            Self::Ec2 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response \
                 xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{request_id}</requestId>{inside}\
                 </{action}Response>"
            ),
            // Actions of IAM that answer nothing have no Result either.
            Self::Iam if inside.is_empty() => format!(
                "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>\
                 {request_id}</RequestId></ResponseMetadata></{action}Response>"
            ),
            Self::Iam => format!(
                "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>{inside}\
                 </{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
                 </{action}Response>"
            ),
            Self::Sts => format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{inside}\
                 </{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
                 </{action}Response>"
            ),
        }
    }

    /// A whole refusal, with its HTTP status and code.
    pub(crate) fn refusal(self, refusal: &Refusal, request_id: &str) -> (u16, &'static str, String) {
        let (status, code, message) = refusal.told(self);
        let message = text(&message);
        let body = match self {
            Self::Ec2 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>\
                 {message}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
            ),
            Self::Iam => format!(
                "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>\
                 {code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            ),
            Self::Sts => format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>\
                 {code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            ),
        };
        (status, code, body)
    }
}

/// `<name>text</name>`.
pub(crate) fn tag(name: &str, raw: &str) -> String {
    format!("<{name}>{}</{name}>", text(raw))
}

/// `<name><member>...</member>...</name>`; the members are XML already.
pub(crate) fn members(name: &str, inside: impl IntoIterator<Item = String>) -> String {
    let members: String = inside.into_iter().map(|inside| format!("<member>{inside}</member>")).collect();
    format!("<{name}>{members}</{name}>")
}

/// Text as it stands between two tags.
pub(crate) fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for letter in raw.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no way to write control characters.
            other if other.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}
