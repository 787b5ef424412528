//! The scalar functions: one table; a new function is a new line here.

use std::fmt;

use jiff::tz::TimeZone;

use super::cast::{Cast, can_cast};
use super::number::merged_number;
use super::{Env, Expr, Typed};
use crate::error::{RunError, SqlError, SqlResult};
use crate::time::{self, Timestamp};
use crate::types::{DataType, Value};

/// How a function computes.
pub(crate) struct Scalar {
    pub(crate) name: &'static str,
    /// NULL when one argument is.
    pub(crate) strict: bool,
    pub(crate) eval: fn(&[Value], &Env) -> Result<Value, RunError>,
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A function as SQL sees it.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// How it is written, for error messages.
    pub(crate) usage: &'static str,
    bind: fn(Args) -> Option<SqlResult<Typed>>,
}

/// Arguments in a call, with what binding needs to know of the session.
pub(crate) struct Args {
    pub(crate) values: Vec<Typed>,
    pub(crate) zone: TimeZone,
}

impl Args {
    fn types(&self) -> Vec<&DataType> {
        self.values.iter().map(|value| &value.data_type).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of a function's bind")]
    fn call(self, scalar: &'static Scalar, data_type: DataType) -> Option<SqlResult<Typed>> {
        let args = self.values.into_iter().map(|value| value.expr).collect();
        Some(Ok(Typed::new(Expr::Call(scalar, args), data_type)))
    }

    /// Casts all arguments to one type.
    fn cast_all(mut self, to: &DataType) -> Self {
        let zone = self.zone.clone();
        for value in &mut self.values {
            *value = cast(value.clone(), to, &zone);
        }
        self
    }

    /// The call `f(texts…)` where every argument is a STRING.
    fn texts(
        self,
        count: std::ops::RangeInclusive<usize>,
        scalar: &'static Scalar,
        to: DataType,
    ) -> Option<SqlResult<Typed>> {
        let fits = count.contains(&self.values.len())
            && self
                .types()
                .iter()
                .all(|t| matches!(t, DataType::String | DataType::Null));
        if fits { self.call(scalar, to) } else { None }
    }
}

pub(crate) fn cast(value: Typed, to: &DataType, zone: &TimeZone) -> Typed {
    if value.data_type == *to {
        return value;
    }
    let cast = Cast {
        from: value.data_type,
        to: to.clone(),
        or_null: false,
        zone: zone.clone(),
    };
    Typed::new(Expr::Cast(cast, Box::new(value.expr)), to.clone())
}

/// The type of a CASE, COALESCE or IN over these.
pub(crate) fn common_type<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Option<DataType> {
    let mut common = DataType::Null;
    for data_type in types {
        common = match (&common, data_type) {
            (DataType::Null, other) => other.clone(),
            (same, DataType::Null) => same.clone(),
            (a, b) if a == b => a.clone(),
            (DataType::Timestamp(a), DataType::Timestamp(b)) => DataType::Timestamp(*a.max(b)),
            (DataType::TimestampLtz(a), DataType::TimestampLtz(b)) => DataType::TimestampLtz(*a.max(b)),
            (a, b) => merged_number(a, b)?,
        };
    }
    Some(common)
}

/// Binds a call by name.
pub(crate) fn bind(name: &str, args: Args) -> SqlResult<Typed> {
    let Some(function) = TABLE
        .iter()
        .find(|function| function.name.eq_ignore_ascii_case(name))
    else {
        let names = TABLE
            .iter()
            .map(|function| function.name)
            .chain(super::bind::AGGREGATES);
        return Err(SqlError::new(format!("there is no function {name}")).did_you_mean(name, names));
    };
    let types: Vec<String> = args.types().iter().map(ToString::to_string).collect();
    (function.bind)(args).unwrap_or_else(|| {
        Err(
            SqlError::new(format!("{} does not take ({})", function.name, types.join(", ")))
                .help(format!("write {}", function.usage)),
        )
    })
}

macro_rules! scalar {
    ($name:literal, $eval:expr) => {{
        static SCALAR: Scalar = Scalar {
            name: $name,
            strict: true,
            eval: $eval,
        };
        &SCALAR
    }};
    (lax $name:literal, $eval:expr) => {{
        static SCALAR: Scalar = Scalar {
            name: $name,
            strict: false,
            eval: $eval,
        };
        &SCALAR
    }};
}

fn text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

fn int(value: &Value) -> i64 {
    match value {
        Value::Int(v) | Value::Interval(v) => *v,
        _ => 0,
    }
}

fn time_of(value: &Value) -> Timestamp {
    match value {
        Value::Timestamp(time) => *time,
        _ => Timestamp::from_ms(0),
    }
}

/// Every scalar function, in the order of Flink's documentation.
pub(crate) static TABLE: &[Function] = &[
    Function {
        name: "UPPER",
        usage: "UPPER(text)",
        bind: |args| {
            args.texts(
                1..=1,
                scalar!("UPPER", |a, _| Ok(Value::string(text(&a[0]).to_uppercase()))),
                DataType::String,
            )
        },
    },
    Function {
        name: "LOWER",
        usage: "LOWER(text)",
        bind: |args| {
            args.texts(
                1..=1,
                scalar!("LOWER", |a, _| Ok(Value::string(text(&a[0]).to_lowercase()))),
                DataType::String,
            )
        },
    },
    Function {
        name: "TRIM",
        usage: "TRIM(text)",
        bind: |args| {
            args.texts(
                1..=1,
                scalar!("TRIM", |a, _| Ok(Value::string(text(&a[0]).trim_matches(' ')))),
                DataType::String,
            )
        },
    },
    Function {
        name: "CHAR_LENGTH",
        usage: "CHAR_LENGTH(text)",
        bind: |args| {
            args.texts(
                1..=1,
                scalar!("CHAR_LENGTH", |a, _| Ok(Value::Int(
                    text(&a[0]).chars().count() as i64
                ))),
                DataType::Int,
            )
        },
    },
    Function {
        name: "REPLACE",
        usage: "REPLACE(text, from, to)",
        bind: |args| {
            args.texts(
                3..=3,
                scalar!("REPLACE", |a, _| Ok(Value::string(
                    text(&a[0]).replace(text(&a[1]), text(&a[2]))
                ))),
                DataType::String,
            )
        },
    },
    Function {
        name: "CONCAT",
        usage: "CONCAT(text, …)",
        bind: |args| {
            let args = args.cast_all(&DataType::String);
            args.texts(
                1..=usize::MAX,
                scalar!("CONCAT", |a, _| Ok(Value::string(
                    a.iter().map(text).collect::<String>()
                ))),
                DataType::String,
            )
        },
    },
    Function {
        name: "SUBSTRING",
        usage: "SUBSTRING(text, from) or SUBSTRING(text, from, length)",
        bind: substring,
    },
    Function {
        name: "LIKE",
        usage: "text LIKE 'a%'",
        bind: |args| {
            args.texts(
                2..=2,
                scalar!("LIKE", |a, _| Ok(Value::Boolean(like(text(&a[0]), text(&a[1]))))),
                DataType::Boolean,
            )
        },
    },
    Function {
        name: "ABS",
        usage: "ABS(number)",
        bind: |args| {
            let data_type = numeric(&args, 1)?;
            args.call(
                scalar!("ABS", |a, _| Ok(match &a[0] {
                    Value::Int(v) => Value::Int(v.wrapping_abs()),
                    Value::Float(v) => Value::Float(v.abs()),
                    Value::Double(v) => Value::Double(v.abs()),
                    Value::Decimal(v) => Value::Decimal(if v.is_negative() { v.negate() } else { *v }),
                    other => other.clone(),
                })),
                data_type,
            )
        },
    },
    Function {
        name: "FLOOR",
        usage: "FLOOR(number)",
        bind: |args| {
            let data_type = whole_type(numeric(&args, 1)?);
            args.call(scalar!("FLOOR", |a, _| Ok(whole(&a[0], false))), data_type)
        },
    },
    Function {
        name: "CEIL",
        usage: "CEIL(number)",
        bind: |args| {
            let data_type = whole_type(numeric(&args, 1)?);
            args.call(scalar!("CEIL", |a, _| Ok(whole(&a[0], true))), data_type)
        },
    },
    Function {
        name: "ROUND",
        usage: "ROUND(number) or ROUND(number, digits)",
        bind: round,
    },
    Function {
        name: "MOD",
        usage: "MOD(number, number)",
        bind: |args| {
            let [a, b] = <[Typed; 2]>::try_from(args.values).ok()?;
            Some(super::bind::arithmetic(
                super::number::Operator::Remainder,
                a,
                b,
                &args.zone,
            ))
        },
    },
    Function {
        name: "COALESCE",
        usage: "COALESCE(value, …) with values of one type",
        bind: |args| {
            let common = common_type(args.types())?;
            args.cast_all(&common).call(
            scalar!(lax "COALESCE", |a, _| Ok(a.iter().find(|v| !v.is_null()).cloned().unwrap_or(Value::Null))), common)
        },
    },
    Function {
        name: "IFNULL",
        usage: "IFNULL(value, instead) with values of one type",
        bind: |args| {
            let common = common_type(args.types()).filter(|_| args.values.len() == 2)?;
            args.cast_all(&common).call(
            scalar!(lax "IFNULL", |a, _| Ok(a.iter().find(|v| !v.is_null()).cloned().unwrap_or(Value::Null))), common)
        },
    },
    Function {
        name: "NULLIF",
        usage: "NULLIF(value, other) with values of one type",
        bind: |args| {
            let first = args.values.first()?.data_type.clone();
            let common = common_type(args.types()).filter(|_| args.values.len() == 2)?;
            let zone = args.zone.clone();
            let typed = args.cast_all(&common).call(
                scalar!(lax "NULLIF", |a, _| Ok(if a[0] == a[1] { Value::Null } else { a[0].clone() })),
                common,
            )?;
            Some(typed.map(|typed| cast(typed, &first, &zone)))
        },
    },
    Function {
        name: "IF",
        usage: "IF(condition, value, otherwise) with values of one type",
        bind: |args| {
            let zone = args.zone.clone();
            let [condition, a, b] = <[Typed; 3]>::try_from(args.values).ok()?;
            if condition.data_type != DataType::Boolean {
                return None;
            }
            let common = common_type([&a.data_type, &b.data_type])?;
            let branch = (condition.expr, cast(a, &common, &zone).expr);
            Some(Ok(Typed::new(
                Expr::Case(vec![branch], Box::new(cast(b, &common, &zone).expr)),
                common,
            )))
        },
    },
    Function {
        name: "TO_TIMESTAMP_LTZ",
        usage: "TO_TIMESTAMP_LTZ(number, 3) for milliseconds, TO_TIMESTAMP_LTZ(number, 0) for seconds",
        bind: to_timestamp_ltz,
    },
    Function {
        name: "TO_TIMESTAMP",
        usage: "TO_TIMESTAMP(text) with a text like 2026-03-01 18:00:54",
        bind: |args| {
            if args.values.len() == 2 {
                return Some(Err(SqlError::unsupported("TO_TIMESTAMP with a pattern").help(
                    "write the times as 2026-03-01 18:00:54, or use REPLACE(ts, 'T', ' ') for ISO 8601",
                )));
            }
            args.texts(
                1..=1,
                scalar!("TO_TIMESTAMP", |a, _| Ok(time::parse_timestamp(
                    text(&a[0]),
                    ' ',
                    ""
                )
                .map_or(Value::Null, |time| Value::Timestamp(time.cut(3))))),
                DataType::Timestamp(3),
            )
        },
    },
    Function {
        name: "DATE_FORMAT",
        usage: "DATE_FORMAT(timestamp, 'yyyy-MM-dd HH:mm:ss')",
        bind: date_format,
    },
    Function {
        name: "YEAR",
        usage: "YEAR(timestamp)",
        bind: |args| field(args, scalar!("YEAR", |a, _| civil(a, |t| i64::from(t.year())))),
    },
    Function {
        name: "MONTH",
        usage: "MONTH(timestamp)",
        bind: |args| field(args, scalar!("MONTH", |a, _| civil(a, |t| i64::from(t.month())))),
    },
    Function {
        name: "DAYOFMONTH",
        usage: "DAYOFMONTH(timestamp)",
        bind: |args| {
            field(
                args,
                scalar!("DAYOFMONTH", |a, _| civil(a, |t| i64::from(t.day()))),
            )
        },
    },
    Function {
        name: "HOUR",
        usage: "HOUR(timestamp)",
        bind: |args| field(args, scalar!("HOUR", |a, _| civil(a, |t| i64::from(t.hour())))),
    },
    Function {
        name: "MINUTE",
        usage: "MINUTE(timestamp)",
        bind: |args| {
            field(
                args,
                scalar!("MINUTE", |a, _| civil(a, |t| i64::from(t.minute()))),
            )
        },
    },
    Function {
        name: "SECOND",
        usage: "SECOND(timestamp)",
        bind: |args| {
            field(
                args,
                scalar!("SECOND", |a, _| civil(a, |t| i64::from(t.second()))),
            )
        },
    },
    Function {
        name: "CURRENT_TIMESTAMP",
        usage: "CURRENT_TIMESTAMP",
        bind: |args| now(args),
    },
    Function {
        name: "NOW",
        usage: "NOW()",
        bind: |args| now(args),
    },
    Function {
        name: "PROCTIME",
        usage: "PROCTIME()",
        bind: |args| now(args),
    },
    Function {
        name: "CURRENT_WATERMARK",
        usage: "CURRENT_WATERMARK(event_time)",
        bind: |args| {
            let [time] = <[&DataType; 1]>::try_from(args.types()).ok()?;
            if !time.is_timestamp() {
                return None;
            }
            let data_type = time.clone();
            args.call(
                scalar!(lax "CURRENT_WATERMARK", |_, env| Ok(env.watermark_ms
            .map_or(Value::Null, |ms| Value::Timestamp(Timestamp::from_ms(ms))))),
                data_type,
            )
        },
    },
];

fn now(args: Args) -> Option<SqlResult<Typed>> {
    args.values.is_empty().then_some(())?;
    args.call(
        scalar!(lax "NOW", |_, env| Ok(Value::Timestamp(Timestamp::from_ms(env.now_ms)))),
        DataType::TimestampLtz(3),
    )
}

fn numeric(args: &Args, count: usize) -> Option<DataType> {
    (args.values.len() == count && args.values.iter().all(|v| v.data_type.is_numeric()))
        .then(|| args.values[0].data_type.clone())
}

fn whole_type(data_type: DataType) -> DataType {
    match data_type {
        DataType::Decimal(p, _) => DataType::Decimal(p, 0),
        other => other,
    }
}

fn whole(value: &Value, up: bool) -> Value {
    match value {
        Value::Float(v) => Value::Float(if up { v.ceil() } else { v.floor() }),
        Value::Double(v) => Value::Double(if up { v.ceil() } else { v.floor() }),
        Value::Decimal(v) => v.whole(up).map_or(Value::Null, Value::Decimal),
        other => other.clone(),
    }
}

fn round(args: Args) -> Option<SqlResult<Typed>> {
    let digits = match args.values.get(1) {
        None => 0,
        Some(Typed {
            expr: Expr::Literal(Value::Int(digits)),
            ..
        }) => u8::try_from(*digits).ok()?,
        Some(_) => return None,
    };
    let first = args
        .values
        .into_iter()
        .next()
        .filter(|v| v.data_type.is_numeric())?;
    let literal = Typed::new(Expr::Literal(Value::Int(i64::from(digits))), DataType::Int);
    let data_type = match &first.data_type {
        DataType::Decimal(p, s) if digits < *s => DataType::Decimal((p - s + digits + 1).min(*p), digits),
        other => other.clone(),
    };
    let args = Args {
        values: vec![first, literal],
        zone: args.zone,
    };
    args.call(
        scalar!("ROUND", |a, _| {
            let digits = int(&a[1]) as u8;
            let through_decimal = |v: f64| {
                let rounded = crate::decimal::Decimal::from_f64(v).and_then(|d| d.fit(38, digits));
                rounded.map_or(v, crate::decimal::Decimal::to_f64)
            };
            Ok(match &a[0] {
                Value::Float(v) => Value::Float(through_decimal(f64::from(*v)) as f32),
                Value::Double(v) => Value::Double(through_decimal(*v)),
                Value::Decimal(v) => v.fit(38, digits).map_or(Value::Null, Value::Decimal),
                other => other.clone(),
            })
        }),
        data_type,
    )
}

fn substring(args: Args) -> Option<SqlResult<Typed>> {
    let fits = match args.types()[..] {
        [DataType::String, from] => from.is_integer(),
        [DataType::String, from, length] => from.is_integer() && length.is_integer(),
        _ => false,
    };
    fits.then_some(())?;
    args.call(
        scalar!("SUBSTRING", |a, _| {
            let all: Vec<char> = text(&a[0]).chars().collect();
            let from = int(&a[1]);
            let start = match from {
                0 => 0,
                1.. => from - 1,
                _ => all.len() as i64 + from,
            };
            let length = a.get(2).map_or(i64::MAX, int);
            let end = start.saturating_add(length.max(0)).clamp(0, all.len() as i64);
            let start = start.clamp(0, end);
            Ok(Value::string(
                all[start as usize..end as usize].iter().collect::<String>(),
            ))
        }),
        DataType::String,
    )
}

fn to_timestamp_ltz(args: Args) -> Option<SqlResult<Typed>> {
    let fits = match args.types()[..] {
        [number] => number.is_integer(),
        [number, precision] => number.is_integer() && precision.is_integer(),
        _ => false,
    };
    fits.then_some(())?;
    match args.values.get(1).map(|value| &value.expr) {
        None | Some(Expr::Literal(Value::Int(0 | 3))) => {}
        Some(_) => {
            return Some(Err(SqlError::new(
                "the precision of TO_TIMESTAMP_LTZ must be 0 (seconds) or 3 (milliseconds)",
            )));
        }
    }
    args.call(
        scalar!("TO_TIMESTAMP_LTZ", |a, _| {
            let unit = if a.get(1).map(int) == Some(0) { 1000 } else { 1 };
            Ok(Value::Timestamp(Timestamp::from_ms(
                int(&a[0]).saturating_mul(unit),
            )))
        }),
        DataType::TimestampLtz(3),
    )
}

fn date_format(args: Args) -> Option<SqlResult<Typed>> {
    let zone = args.zone.clone();
    let [value, pattern] = <[Typed; 2]>::try_from(args.values).ok()?;
    if !value.data_type.is_timestamp() || pattern.data_type != DataType::String {
        return None;
    }
    if let Expr::Literal(Value::String(pattern)) = &pattern.expr
        && let Err(letter) = time::check_pattern(pattern)
    {
        return Some(Err(SqlError::unsupported(format!(
            "the letter {letter} in a pattern of DATE_FORMAT"
        ))
        .help("there are y M d H m s S, and text in single quotes")));
    }
    // The wall clock of the session's zone; digits after the milliseconds are lost in Flink too.
    let value = cast(value, &DataType::Timestamp(3), &zone);
    let args = Args {
        values: vec![value, pattern],
        zone,
    };
    args.call(
        scalar!("DATE_FORMAT", |a, _| Ok(time::format_pattern(
            time_of(&a[0]),
            text(&a[1])
        )
        .map_or(Value::Null, Value::string))),
        DataType::String,
    )
}

/// A part of a time or date, as BIGINT.
fn field(args: Args, scalar: &'static Scalar) -> Option<SqlResult<Typed>> {
    let zone = args.zone.clone();
    let [value] = <[Typed; 1]>::try_from(args.values).ok()?;
    if !value.data_type.is_timestamp() && value.data_type != DataType::Date {
        return None;
    }
    let value = cast(value, &DataType::Timestamp(3), &zone);
    Args {
        values: vec![value],
        zone,
    }
    .call(scalar, DataType::BigInt)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a scalar's eval")]
fn civil(args: &[Value], part: fn(jiff::civil::DateTime) -> i64) -> Result<Value, RunError> {
    Ok(time_of(&args[0])
        .civil()
        .map_or(Value::Null, |wall| Value::Int(part(wall))))
}

/// `%` any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => {
                // Let the last % take one character more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                t = taken + 1;
                p = at + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

/// Whether an explicit cast exists, for CAST in SQL.
pub(crate) fn explicit_cast(value: Typed, to: DataType, or_null: bool, zone: &TimeZone) -> SqlResult<Typed> {
    if !can_cast(&value.data_type, &to) {
        return Err(SqlError::new(format!(
            "{} can't be cast to {to}",
            value.data_type
        )));
    }
    let cast = Cast {
        from: value.data_type,
        to: to.clone(),
        or_null,
        zone: zone.clone(),
    };
    Ok(Typed::new(Expr::Cast(cast, Box::new(value.expr)), to))
}
