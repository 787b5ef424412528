//! Timestamps, dates and times of day: reading, printing, and the session's time zone.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970, and the nanoseconds within the millisecond.
/// For TIMESTAMP the wall clock counts as if it were UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01 00:00.
    pub ms: i64,
    /// 0 to 999 999.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nanos: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(nanos: &u32) -> bool {
    *nanos == 0
}

const NANOS_PER_MS: i128 = 1_000_000;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// Of milliseconds since 1970.
    pub fn from_ms(ms: i64) -> Self {
        Self { ms, nanos: 0 }
    }

    fn of(time: jiff::Timestamp) -> Self {
        let nanos = time.as_nanosecond();
        Self {
            ms: nanos.div_euclid(NANOS_PER_MS) as i64,
            nanos: nanos.rem_euclid(NANOS_PER_MS) as u32,
        }
    }

    fn to_jiff(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_nanosecond(i128::from(self.ms) * NANOS_PER_MS + i128::from(self.nanos)).ok()
    }

    pub(crate) fn of_civil(time: civil::DateTime) -> Option<Self> {
        Offset::UTC.to_timestamp(time).ok().map(Self::of)
    }

    /// The wall clock that a TIMESTAMP stands for.
    pub(crate) fn civil(self) -> Option<civil::DateTime> {
        self.to_jiff().map(|time| Offset::UTC.to_datetime(time))
    }

    /// Cuts the digits after `precision`.
    #[must_use]
    pub(crate) fn cut(self, precision: u8) -> Self {
        match precision {
            0..3 => {
                let unit = 10i64.pow(3 - u32::from(precision));
                Self::from_ms(self.ms.div_euclid(unit) * unit)
            }
            3..9 => {
                let unit = 10u32.pow(9 - u32::from(precision));
                Self {
                    ms: self.ms,
                    nanos: self.nanos / unit * unit,
                }
            }
            _ => self,
        }
    }

    /// The wall clock in `zone` of this instant, as a TIMESTAMP.
    #[must_use]
    pub(crate) fn to_local(self, zone: &TimeZone) -> Self {
        let shift = self
            .to_jiff()
            .map_or(0, |time| i64::from(zone.to_offset(time).seconds()) * 1000);
        Self {
            ms: self.ms.saturating_add(shift),
            ..self
        }
    }

    /// The instant at which the clocks of `zone` show this TIMESTAMP.
    #[must_use]
    pub(crate) fn to_instant(self, zone: &TimeZone) -> Self {
        self.civil()
            .and_then(|time| zone.to_timestamp(time).ok())
            .map_or(self, Self::of)
    }

    /// `2026-03-01 18:00:54.5`: as many digits as there are, none for a whole second.
    pub(crate) fn print(self, separator: char) -> String {
        let digits = self.fraction();
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}", self.print_seconds(separator))
    }

    /// `2026-03-01 18:00:54.500`: exactly `precision` digits, as CAST prints.
    pub(crate) fn print_fixed(self, precision: u8) -> String {
        let digits = &self.fraction()[..usize::from(precision.min(9))];
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}", self.print_seconds(' '))
    }

    fn fraction(self) -> String {
        format!("{:03}{:06}", self.ms.rem_euclid(1000), self.nanos)
    }

    fn print_seconds(self, separator: char) -> String {
        let Some(time) = Self::from_ms(self.ms.div_euclid(1000) * 1000).civil() else {
            return format!("{} ms since 1970", self.ms);
        };
        format!(
            "{}{separator}{:02}:{:02}:{:02}",
            time.date(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// Exactly `count` digits at the front.
fn digits(text: &mut &str, count: usize) -> Option<i16> {
    let (head, tail) = text.split_at_checked(count)?;
    if !head.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *text = tail;
    head.parse().ok()
}

fn literal(text: &mut &str, expected: char) -> Option<()> {
    *text = text.strip_prefix(expected)?;
    Some(())
}

fn date_part(text: &mut &str) -> Option<civil::Date> {
    let year = digits(text, 4)?;
    literal(text, '-')?;
    let month = digits(text, 2)?;
    literal(text, '-')?;
    let day = digits(text, 2)?;
    civil::Date::new(year, month as i8, day as i8).ok()
}

fn time_part(text: &mut &str) -> Option<civil::Time> {
    let hour = digits(text, 2)?;
    literal(text, ':')?;
    let minute = digits(text, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if text.starts_with(':') {
        literal(text, ':')?;
        second = digits(text, 2)?;
        if let Some(tail) = text.strip_prefix('.') {
            let length = tail.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&length) {
                return None;
            }
            nanos = format!("{:0<9}", &tail[..length]).parse().ok()?;
            *text = &tail[length..];
        }
    }
    civil::Time::new(hour as i8, minute as i8, second as i8, nanos).ok()
}

/// Reads `2026-03-01 18:00:54[.fraction]` with the given separator, and nothing after it but `end`.
pub(crate) fn parse_timestamp(text: &str, separator: char, end: &str) -> Option<Timestamp> {
    let mut rest = text;
    let date = date_part(&mut rest)?;
    literal(&mut rest, separator)?;
    let time = time_part(&mut rest)?;
    (rest == end).then(|| Timestamp::of_civil(date.to_datetime(time)))?
}

/// As CAST reads: also a date alone, a `T`, a shorter time.
pub(crate) fn parse_timestamp_leniently(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    parse_timestamp(text, ' ', "")
        .or_else(|| parse_timestamp(text, 'T', ""))
        .or_else(|| Some(Timestamp::from_ms(i64::from(parse_date(text)?) * DAY_MS)))
}

/// Days since 1970 of `2026-03-01`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let mut rest = text;
    let date = date_part(&mut rest)?;
    let midnight = Timestamp::of_civil(date.to_datetime(civil::Time::midnight()))?;
    rest.is_empty().then(|| midnight.ms.div_euclid(DAY_MS) as i32)
}

/// Milliseconds of `18:00:54[.fraction]`.
pub(crate) fn parse_time(text: &str) -> Option<i32> {
    let mut rest = text;
    let time = time_part(&mut rest)?;
    let of_day = Timestamp::of_civil(civil::Date::constant(1970, 1, 1).to_datetime(time))?;
    rest.is_empty().then_some(of_day.ms as i32)
}

/// `2026-03-01`.
pub(crate) fn print_date(days: i32) -> String {
    let text = Timestamp::from_ms(i64::from(days) * DAY_MS).print(' ');
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// `18:00:54[.fraction]`.
pub(crate) fn print_time(ms: i32) -> String {
    let text = Timestamp::from_ms(i64::from(ms)).print(' ');
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Checks a pattern of Java's DateTimeFormatter for [`format_pattern`].
pub(crate) fn check_pattern(pattern: &str) -> Result<(), char> {
    let mut quoted = false;
    for c in pattern.chars() {
        match c {
            '\'' => quoted = !quoted,
            'y' | 'M' | 'd' | 'H' | 'm' | 's' | 'S' => {}
            c if !quoted && c.is_ascii_alphabetic() => return Err(c),
            _ => {}
        }
    }
    Ok(())
}

/// Prints by a pattern of Java's DateTimeFormatter: `y M d H m s S` and quoted text.
pub(crate) fn format_pattern(time: Timestamp, pattern: &str) -> Option<String> {
    let wall = time.civil()?;
    let fraction = time.fraction();
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut chars = pattern.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted = !quoted;
            continue;
        }
        if quoted || !c.is_ascii_alphabetic() {
            out.push(c);
            continue;
        }
        let mut width = 1;
        while chars.next_if_eq(&c).is_some() {
            width += 1;
        }
        let number = match c {
            'y' if width == 2 => i64::from(wall.year() % 100),
            'y' => i64::from(wall.year()),
            'M' => i64::from(wall.month()),
            'd' => i64::from(wall.day()),
            'H' => i64::from(wall.hour()),
            'm' => i64::from(wall.minute()),
            's' => i64::from(wall.second()),
            'S' => {
                out.push_str(&fraction[..width.min(9)]);
                continue;
            }
            _ => return None,
        };
        out.push_str(&format!("{number:0>width$}"));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_flinks_formats() {
        let time = parse_timestamp("2026-03-01 18:00:54.5", ' ', "").unwrap();
        assert_eq!(time.ms, 1_772_388_054_500);
        assert_eq!(time.print(' '), "2026-03-01 18:00:54.5");
        assert_eq!(time.print_fixed(3), "2026-03-01 18:00:54.500");
        assert_eq!(time.print_fixed(0), "2026-03-01 18:00:54");
        assert_eq!(
            parse_timestamp("2026-03-01T18:00:54Z", 'T', "Z")
                .unwrap()
                .print('T'),
            "2026-03-01T18:00:54"
        );
        assert_eq!(parse_timestamp("2026-3-01 18:00:54", ' ', ""), None);
        assert_eq!(parse_timestamp("2026-02-30 18:00:54", ' ', ""), None);
        assert_eq!(parse_timestamp("2026-03-01 18:00:54 ", ' ', ""), None);
        assert_eq!(parse_timestamp("2026-03-01\u{e9}18:00:54", ' ', ""), None);
        assert_eq!(print_date(parse_date("2026-03-01").unwrap()), "2026-03-01");
        assert_eq!(print_time(parse_time("18:00:54").unwrap()), "18:00:54");
        assert_eq!(
            format_pattern(time, "HH:mm 'on' dd.MM.yy SSS").unwrap(),
            "18:00 on 01.03.26 500"
        );
        assert_eq!(check_pattern("EEE"), Err('E'));
    }

    #[test]
    fn a_local_day_starts_at_its_own_midnight() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let instant = parse_timestamp("2026-07-01 22:00:00", ' ', "").unwrap();
        let local = instant.to_local(&zone);
        assert_eq!(local.print(' '), "2026-07-02 00:00:00");
        assert_eq!(local.to_instant(&zone), instant);
    }
}
