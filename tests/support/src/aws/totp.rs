//! Which codes a device shows, as `oathtool` computes them.
//!
//! Never by onetap's own code, nor by a library that onetap uses: a mistake common to both would go unseen.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// Seconds in a time step (RFC 6238, section 4.1).
pub(crate) const PERIOD: i64 = 30;

/// The codes around a step.
pub(crate) struct Codes {
    first: i64,
    codes: Vec<String>,
}

impl Codes {
    /// Asks `oathtool` (Debian package of that name) for the codes of `step`, the one before and the one after.
    pub(crate) fn around(step: i64, seed_base32: &str) -> io::Result<Self> {
        Self::of(step.saturating_sub(1), 3, seed_base32)
    }

    /// Asks `oathtool` for the codes of `count` steps from `first` on.
    pub(crate) fn of(first: i64, count: usize, seed_base32: &str) -> io::Result<Self> {
        let mut oathtool = Command::new("oathtool")
            .args(["--totp", "--base32", "--digits=6"])
            .arg(format!("--window={}", count.saturating_sub(1)))
            .arg(format!("--now=@{}", first.saturating_mul(PERIOD)))
            .arg("-") // The seed comes on stdin: other users may read a command line.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("oathtool does not start (package oathtool): {error}"))
            })?;
        if let Some(mut stdin) = oathtool.stdin.take() {
            writeln!(stdin, "{seed_base32}")?;
        }
        // No limit of its own: with its input ended, oathtool has nothing left to wait for.
        let output = oathtool.wait_with_output()?;
        let codes: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect();
        if !output.status.success() || codes.len() != count {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("oathtool refuses a seed: {}", said.trim())));
        }
        Ok(Self { first, codes })
    }

    /// The step that `code` belongs to, the newest if two steps happen to have the same code.
    pub(crate) fn step(&self, code: &str) -> Option<i64> {
        let place = self.codes.iter().rposition(|shown| shown == code)?;
        Some(self.first.saturating_add(i64::try_from(place).ok()?))
    }

    /// The step of `first`, where `second` is the code of the step after it.
    pub(crate) fn row(&self, first: &str, second: &str) -> Option<i64> {
        let mut pairs = self.codes.windows(2);
        let place = pairs.position(|pair| matches!(pair, [one, two] if one == first && two == second))?;
        Some(self.first.saturating_add(i64::try_from(place).ok()?))
    }

    /// The code of the middle step of [`Codes::around`].
    pub(crate) fn now(&self) -> &str {
        self.codes.get(1).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_rfc_6238_are_known_and_the_window_is_three_steps() {
        // RFC 6238, appendix B: the seed "12345678901234567890" at 59 s, cut to six digits.
        let codes = Codes::around(59 / PERIOD, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!((codes.now(), codes.step("287082")), ("287082", Some(1)));
        // RFC 4226, appendix D: counters 0 and 2, and 3 outside the window.
        assert_eq!(
            (codes.step("755224"), codes.step("359152"), codes.step("969429")),
            (Some(0), Some(2), None)
        );
    }

    #[test]
    fn a_seed_that_is_no_base32_is_refused() {
        assert!(Codes::around(1, "not base32!").is_err());
    }
}
