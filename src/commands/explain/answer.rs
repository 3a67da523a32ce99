//! What `onetap explain` answers, as JSON and in words.
//!
//! Source of the fields: docs/SCRIPTS.md; they are stable, the words are not.

use serde::Serialize;

/// The whole answer.
#[derive(Serialize)]
pub(super) struct Explained {
    pub(super) profile: String,
    pub(super) source: Start,
    pub(super) steps: Vec<Step>,
    pub(super) sts: Vec<Value>,
    pub(super) settings: Vec<Value>,
    /// How many codes a command would ask for now; `None` if nobody looked at what is kept.
    pub(super) codes_now: Option<usize>,
    /// The same with nothing kept.
    pub(super) codes_cold: usize,
    pub(super) why: Option<String>,
}

/// Where the credentials come from that sign the first request.
#[derive(Serialize)]
pub(super) struct Start {
    pub(super) kind: &'static str,
    pub(super) about: String,
    pub(super) values: Vec<Value>,
}

/// One request to STS.
#[derive(Serialize)]
pub(super) struct Step {
    pub(super) call: &'static str,
    pub(super) code: bool,
    pub(super) mfa: &'static str,
    pub(super) kept: &'static str,
    pub(super) until: Option<String>,
    pub(super) values: Vec<Value>,
}

/// A value and where it is from: a file and its line, a variable, an option, or `default`.
#[derive(Serialize)]
pub(super) struct Value {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) from: String,
}

impl Explained {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}\n1. {}{}\n",
            self.profile,
            first_upper(&self.source.about),
            lines(&self.source.values)
        );
        for (index, step) in self.steps.iter().enumerate() {
            let code = if step.code { ", with a code" } else { "" };
            let kept = match (&step.until, step.kept) {
                (Some(until), _) => format!("kept until {until}"),
                (None, "no") => "not kept".into(),
                (None, other) => format!("kept: {other}"),
            };
            let mfa = match step.mfa {
                "yes" => "MFA",
                "at sign-in" => "MFA at sign-in",
                "no" => "no MFA",
                _ => "MFA not known",
            };
            let number = index.saturating_add(2);
            text.push_str(&format!("{number}. {}{code}; {mfa}; {kept}{}\n", step.call, lines(&step.values)));
        }
        text.push_str(&format!("STS{}\n", lines(&self.sts)));
        if !self.settings.is_empty() {
            text.push_str(&format!("Freshness{}\n", lines(&self.settings)));
        }
        if let Some(why) = &self.why {
            text.push_str(&format!("{}.\n", first_upper(why)));
        }
        let codes = |count: usize| match count {
            0 => "nobody is asked for a code".to_owned(),
            1 => "one code is asked for".to_owned(),
            more => format!("{more} codes are asked for"),
        };
        match self.codes_now {
            Some(now) => text.push_str(&format!("Now {}.\n", codes(now))),
            None => text.push_str(&format!("If nothing is kept, {}.\n", codes(self.codes_cold))),
        }
        text
    }
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("\n   {} = {}  ({})", value.name, value.value, value.from)).collect()
}

fn first_upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
