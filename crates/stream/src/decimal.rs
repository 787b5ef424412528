//! DECIMAL: up to 38 digits, as Flink computes and prints them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most digits that a DECIMAL has.
pub(crate) const MAX_PRECISION: u8 = 38;

/// `unscaled / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    #[serde(rename = "u", with = "text")]
    unscaled: i128,
    #[serde(rename = "s")]
    scale: u8,
}

/// JSON numbers end at 64 bits.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn power(exponent: u8) -> Option<i128> {
    10i128.checked_pow(u32::from(exponent))
}

impl Decimal {
    pub(crate) fn new(unscaled: i128, scale: u8) -> Self {
        Self { unscaled, scale }
    }

    /// Reads `-12.50`, also with an exponent, with all the digits that are there.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, digits) = match mantissa.as_bytes().first()? {
            b'-' => (-1, &mantissa[1..]),
            b'+' => (1, &mantissa[1..]),
            _ => (1, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut unscaled = 0i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        while scale < 0 {
            unscaled = unscaled.checked_mul(10)?;
            scale += 1;
        }
        Some(Self::new(sign * unscaled, u8::try_from(scale).ok()?))
    }

    /// The value in DECIMAL(precision, scale), rounded half up; `None` when it has too many digits (Flink: NULL).
    pub(crate) fn fit(self, precision: u8, scale: u8) -> Option<Self> {
        let unscaled = if scale >= self.scale {
            self.unscaled.checked_mul(power(scale - self.scale)?)?
        } else {
            match power(self.scale - scale) {
                Some(divisor) => divide_half_up(self.unscaled, divisor),
                None => 0,
            }
        };
        (unscaled.unsigned_abs() < power(precision)?.unsigned_abs()).then_some(Self::new(unscaled, scale))
    }

    pub(crate) fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::parse(&format!("{value:e}")))?
    }

    pub(crate) fn to_f64(self) -> f64 {
        // Through text: correctly rounded, as Java's BigDecimal.doubleValue.
        format!("{}e-{}", self.unscaled, self.scale)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// Toward zero; `None` when it does not fit.
    pub(crate) fn to_i64(self) -> Option<i64> {
        i64::try_from(self.unscaled / power(self.scale)?).ok()
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u8)> {
        let scale = self.scale.max(other.scale);
        Some((
            self.unscaled.checked_mul(power(scale - self.scale)?)?,
            other.unscaled.checked_mul(power(scale - other.scale)?)?,
            scale,
        ))
    }

    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self::new(a.checked_add(b)?, scale))
    }

    pub(crate) fn subtract(self, other: Self) -> Option<Self> {
        self.add(Self::new(-other.unscaled, other.scale))
    }

    pub(crate) fn multiply(self, other: Self) -> Option<Self> {
        Some(Self::new(
            self.unscaled.checked_mul(other.unscaled)?,
            self.scale.checked_add(other.scale)?,
        ))
    }

    /// The quotient with `scale` digits, rounded half up; `None` for a zero divisor or too many digits.
    pub(crate) fn divide(self, other: Self, scale: u8) -> Option<Self> {
        if other.unscaled == 0 {
            return None;
        }
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        let (a, b) = if shift >= 0 {
            (
                self.unscaled.checked_mul(power(u8::try_from(shift).ok()?)?)?,
                other.unscaled,
            )
        } else {
            (
                self.unscaled,
                other.unscaled.checked_mul(power(u8::try_from(-shift).ok()?)?)?,
            )
        };
        Some(Self::new(divide_half_up(a, b), scale))
    }

    /// The remainder with the sign of the dividend.
    pub(crate) fn remainder(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self::new(a.checked_rem(b)?, scale))
    }

    pub(crate) fn is_zero(self) -> bool {
        self.unscaled == 0
    }

    pub(crate) fn negate(self) -> Self {
        Self::new(-self.unscaled, self.scale)
    }

    pub(crate) fn is_negative(self) -> bool {
        self.unscaled < 0
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.to_f64().total_cmp(&other.to_f64()),
        }
    }

    /// Without trailing zeros: equal numbers are equal bits.
    pub(crate) fn normalized(self) -> Self {
        let Self {
            mut unscaled,
            mut scale,
        } = self;
        while scale > 0 && unscaled % 10 == 0 {
            unscaled /= 10;
            scale -= 1;
        }
        Self::new(unscaled, scale)
    }

    /// Rounded up (`true`) or down to a whole number.
    pub(crate) fn whole(self, up: bool) -> Option<Self> {
        let unit = power(self.scale)?;
        let floor = self.unscaled.div_euclid(unit);
        let rest = self.unscaled.rem_euclid(unit) != 0;
        Some(Self::new(if up && rest { floor + 1 } else { floor }, 0))
    }

    /// As the JSON format writes it: without trailing zeros, and unless `plain` very small numbers and whole ones that
    /// end with zeros with an exponent, as Java's `BigDecimal.toString` after `stripTrailingZeros`.
    pub(crate) fn to_json(self, plain: bool) -> String {
        let stripped = self.normalized();
        if plain || stripped.unscaled == 0 {
            return stripped.to_string();
        }
        let digits = stripped.unscaled.unsigned_abs().to_string();
        let zeros = if stripped.scale == 0 {
            digits.len() - digits.trim_end_matches('0').len()
        } else {
            0
        };
        let exponent = digits.len() as i32 - 1 - i32::from(stripped.scale);
        if zeros == 0 && exponent >= -6 {
            return stripped.to_string();
        }
        let sign = if stripped.unscaled < 0 { "-" } else { "" };
        let (first, rest) = digits[..digits.len() - zeros].split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let plus = if exponent > 0 { "+" } else { "" };
        format!("{sign}{first}{point}{rest}E{plus}{exponent}")
    }
}

/// Half away from zero, as Java's HALF_UP.
fn divide_half_up(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a / b, a % b);
    if rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs() {
        quotient + if (a < 0) == (b < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.unsigned_abs().to_string();
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn reads_rounds_and_prints_as_flink() {
        assert_eq!(decimal("-12.50").to_string(), "-12.50");
        assert_eq!(decimal("1.5e3").to_string(), "1500");
        assert_eq!(decimal("2.25").fit(2, 1).unwrap().to_string(), "2.3");
        assert_eq!(decimal("-2.25").fit(2, 1).unwrap().to_string(), "-2.3");
        assert_eq!(decimal("123.4").fit(3, 1), None);
        assert_eq!(
            decimal("2.50").divide(decimal("3"), 13).unwrap().to_string(),
            "0.8333333333333"
        );
        for (text, json) in [
            ("0.0000001", "1E-7"),
            ("0.00000012", "1.2E-7"),
            ("12.50", "12.5"),
            ("100.00", "1E+2"),
            ("-120", "-1.2E+2"),
            ("0.00", "0"),
        ] {
            assert_eq!(decimal(text).to_json(false), json);
        }
        assert_eq!(decimal("100.00").to_json(true), "100");
        assert_eq!(decimal("1.10"), decimal("1.10"));
        assert_eq!(decimal("1.10").normalized(), decimal("1.1"));
        assert_eq!(Decimal::parse("1.x"), None);
        assert_eq!(Decimal::parse("."), None);
    }
}
