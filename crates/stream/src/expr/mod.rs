//! Expressions after binding: columns by index, types settled, ready to be computed for a row.

pub(crate) mod bind;
pub(crate) mod cast;
pub(crate) mod functions;
pub(crate) mod number;

use std::cmp::Ordering;

use crate::error::RunError;
use crate::types::{DataType, Value};

use cast::Cast;
use functions::Scalar;
use number::Arithmetic;

/// What an expression can see besides its row.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    /// The processing-time clock, milliseconds since 1970.
    pub now_ms: i64,
    /// The watermark of the operator's input.
    pub watermark_ms: Option<i64>,
}

/// The six comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Column(usize),
    Literal(Value),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    /// IS TRUE, IS FALSE: never NULL.
    Is(Box<Expr>, bool),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// IS NOT DISTINCT FROM.
    Same(Box<Expr>, Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Cast(Cast, Box<Expr>),
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Call(&'static Scalar, Vec<Expr>),
}

/// An expression and its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) expr: Expr,
    pub(crate) data_type: DataType,
}

impl Typed {
    pub(crate) fn new(expr: Expr, data_type: DataType) -> Self {
        Self { expr, data_type }
    }
}

impl Expr {
    pub(crate) fn eval(&self, row: &[Value], env: &Env) -> Result<Value, RunError> {
        Ok(match self {
            Self::Column(index) => row.get(*index).cloned().unwrap_or(Value::Null),
            Self::Literal(value) => value.clone(),
            Self::And(a, b) => match a.truth(row, env)? {
                Some(false) => Value::Boolean(false),
                a => match (a, b.truth(row, env)?) {
                    (_, Some(false)) => Value::Boolean(false),
                    (Some(true), Some(true)) => Value::Boolean(true),
                    _ => Value::Null,
                },
            },
            Self::Or(a, b) => match a.truth(row, env)? {
                Some(true) => Value::Boolean(true),
                a => match (a, b.truth(row, env)?) {
                    (_, Some(true)) => Value::Boolean(true),
                    (Some(false), Some(false)) => Value::Boolean(false),
                    _ => Value::Null,
                },
            },
            Self::Not(a) => a
                .truth(row, env)?
                .map_or(Value::Null, |truth| Value::Boolean(!truth)),
            Self::IsNull(a) => Value::Boolean(a.eval(row, env)?.is_null()),
            Self::Is(a, wanted) => Value::Boolean(a.truth(row, env)? == Some(*wanted)),
            Self::Compare(op, a, b) => {
                let order = a.eval(row, env)?.compare(&b.eval(row, env)?);
                order.map_or(Value::Null, |order| Value::Boolean(op.holds(order)))
            }
            Self::Same(a, b) => Value::Boolean(a.eval(row, env)? == b.eval(row, env)?),
            Self::Arithmetic(op, a, b) => op.apply(&a.eval(row, env)?, &b.eval(row, env)?)?,
            Self::Cast(cast, a) => cast.apply(a.eval(row, env)?)?,
            Self::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    if condition.truth(row, env)? == Some(true) {
                        return result.eval(row, env);
                    }
                }
                otherwise.eval(row, env)?
            }
            Self::In(a, list) => {
                let value = a.eval(row, env)?;
                let mut unknown = value.is_null();
                for item in list {
                    match value.compare(&item.eval(row, env)?) {
                        Some(Ordering::Equal) => return Ok(Value::Boolean(true)),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown {
                    Value::Null
                } else {
                    Value::Boolean(false)
                }
            }
            Self::Call(scalar, args) => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    let value = arg.eval(row, env)?;
                    if scalar.strict && value.is_null() {
                        return Ok(Value::Null);
                    }
                    values.push(value);
                }
                (scalar.eval)(&values, env)?
            }
        })
    }

    /// The three values of SQL's logic; `None` is unknown.
    pub(crate) fn truth(&self, row: &[Value], env: &Env) -> Result<Option<bool>, RunError> {
        Ok(match self.eval(row, env)? {
            Value::Boolean(truth) => Some(truth),
            _ => None,
        })
    }
}
