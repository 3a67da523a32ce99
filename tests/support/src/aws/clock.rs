//! The forms in which AWS writes a time. All times are whole Unix seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// The machine's own clock: the one place that reads it.
pub(crate) fn machine() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// `2026-01-31T12:00:00Z`, as answers carry it.
pub(crate) fn iso(seconds: i64) -> String {
    written(seconds, Format::DateTime)
}

/// `20260131T120000Z`, as signatures carry it.
pub(crate) fn basic(seconds: i64) -> String {
    iso(seconds).replace(['-', ':'], "")
}

/// `Sat, 31 Jan 2026 12:00:00 GMT`, as the header `Date` carries it.
pub(crate) fn http_date(seconds: i64) -> String {
    written(seconds, Format::HttpDate)
}

fn written(seconds: i64, format: Format) -> String {
    DateTime::from_secs(seconds).fmt(format).unwrap_or_default()
}

/// Reads the form of signatures; `None` if it is another.
pub(crate) fn read_basic(text: &str) -> Option<i64> {
    let digits = |from, to| text.get(from..to);
    let (date, hour) = text.split_once('T')?;
    if date.len() != 8 || hour.len() != 7 {
        return None;
    }
    let iso = format!(
        "{}-{}-{}T{}:{}:{}",
        digits(0, 4)?,
        digits(4, 6)?,
        digits(6, 8)?,
        digits(9, 11)?,
        digits(11, 13)?,
        digits(13, 16)?
    );
    DateTime::from_str(&iso, Format::DateTime).ok().map(|time| time.secs())
}

/// Reads the form of answers and of policies.
pub(crate) fn instant(text: &str) -> Option<f64> {
    DateTime::from_str(text, Format::DateTimeWithOffset).ok().map(|time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        let time = 1_769_860_800;
        assert_eq!(iso(time), "2026-01-31T12:00:00Z");
        assert_eq!(basic(time), "20260131T120000Z");
        assert_eq!(http_date(time), "Sat, 31 Jan 2026 12:00:00 GMT");
        assert_eq!(read_basic("20260131T120000Z"), Some(time));
        assert_eq!(instant("2026-01-31T12:00:00Z"), Some(1_769_860_800.0));
        for bad in ["", "T", "2026-01-31T12:00:00Z", "20260131T120000", "20260131 120000Z", "2026013éT20000Z"]
        {
            assert_eq!(read_basic(bad), None, "{bad}");
        }
    }
}
