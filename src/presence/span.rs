//! How durations are written and read by people: `0.4ms`, `14s`, `2m11s`, `4h12m`, `2d03h`.

use std::fmt;
use std::time::Duration;

/// Writes a duration as briefly as an operator would, at most six cells wide up to 999 days.
#[must_use]
pub fn brief(span: Duration) -> String {
    let (secs, ms) = (span.as_secs(), span.subsec_millis());
    if span < Duration::from_millis(10) {
        let tenths = span.as_micros() / 100;
        return match (tenths / 10, tenths % 10) {
            (0, 0) if !span.is_zero() => "<0.1ms".to_owned(),
            (whole, 0) => format!("{whole}ms"),
            (whole, tenth) => format!("{whole}.{tenth}ms"),
        };
    }
    match secs {
        0 => format!("{ms}ms"),
        1..10 if ms >= 100 => format!("{secs}.{}s", ms / 100),
        1..60 => format!("{secs}s"),
        60..3_600 => pair(secs / 60, "m", secs % 60, "s"),
        3_600..86_400 => pair(secs / 3_600, "h", secs / 60 % 60, "m"),
        _ => pair(secs / 86_400, "d", secs / 3_600 % 24, "h"),
    }
}

/// Writes two units side by side, or the larger alone when the smaller is zero.
fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small:02}{small_unit}")
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanError;

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration (write 60, 0.5, 500ms, 2m, 2m30s or 1h)")
    }
}

impl std::error::Error for SpanError {}

/// Reads a duration: bare seconds (`60`, `0.5`) or units `ms`, `s`, `m`, `h`, `d`, largest first (`2m30s`).
///
/// # Errors
/// Empty, negative, not a number, an unknown unit, or more than ten years.
pub fn parse(text: &str) -> Result<Duration, SpanError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(SpanError);
    }
    let mut total = Duration::ZERO;
    let mut smallest_yet = f64::INFINITY;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_ends);
        let unit_ends = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_ends);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "" if total.is_zero() && smallest_yet.is_infinite() && tail.is_empty() => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(SpanError),
        };
        if scale >= smallest_yet {
            return Err(SpanError);
        }
        smallest_yet = scale;
        total += seconds(number.parse::<f64>().map_err(|_| SpanError)? * scale)?;
        rest = tail;
    }
    Ok(total)
}

/// Turns a number of seconds into a duration, in whole microseconds.
///
/// # Errors
/// Negative, not finite, or more than ten years.
pub fn seconds(number: f64) -> Result<Duration, SpanError> {
    const TEN_YEARS_SECS: f64 = 10.0 * 366.0 * 86_400.0;
    if !number.is_finite() || !(0.0..=TEN_YEARS_SECS).contains(&number) {
        return Err(SpanError);
    }
    let exact = Duration::from_secs_f64(number);
    // 0.1 is not a binary fraction: round away what no one wrote.
    Ok(Duration::from_nanos_u128((exact.as_nanos() + 500) / 1_000 * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_the_way_people_write_them() {
        for (text, ms) in [
            ("60", 60_000),
            ("0.5", 500),
            ("500ms", 500),
            ("2m", 120_000),
            ("2m30s", 150_000),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            (" 5s ", 5_000),
            ("1d", 86_400_000),
            ("0", 0),
            ("0.1", 100),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            " ",
            "-1",
            "1,5",
            "abc",
            "5x",
            "s",
            "1.2.3",
            "NaN",
            "inf",
            "1e9",
            "5s2m",
            "2m2m",
            "30s5",
            "5 s",
            "99999999999d",
            ".",
            "1m5",
        ] {
            assert_eq!(parse(text), Err(SpanError), "{text:?}");
        }
    }

    #[test]
    fn brief_keeps_to_two_units() {
        for (span, text) in [
            (Duration::ZERO, "0ms"),
            (Duration::from_micros(40), "<0.1ms"),
            (Duration::from_micros(440), "0.4ms"),
            (Duration::from_millis(41), "41ms"),
            (Duration::from_millis(999), "999ms"),
            (Duration::from_secs(5), "5s"),
            (Duration::from_millis(5_440), "5.4s"),
            (Duration::from_millis(14_900), "14s"),
            (Duration::from_secs(131), "2m11s"),
            (Duration::from_mins(2), "2m"),
            (Duration::from_mins(252), "4h12m"),
            (Duration::from_hours(51), "2d03h"),
        ] {
            assert_eq!(brief(span), text);
        }
    }
}
