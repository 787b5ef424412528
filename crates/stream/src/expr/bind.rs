//! From the parser's expressions to bound ones: names found, types checked, casts made visible.

use jiff::tz::TimeZone;
use sqlparser::ast::{
    self, BinaryOperator, CastKind, CeilFloorKind, DateTimeField, FunctionArg, FunctionArgExpr,
    FunctionArguments, InTarget, Spanned, UnaryOperator,
};
use sqlparser::tokenizer::Span;

use super::functions::{self, Args, cast, common_type};
use super::number::{Arithmetic, Operator, common_number, result_type};
use super::{Comparison, Expr, Typed};
use crate::decimal::Decimal;
use crate::error::{SqlError, SqlResult};
use crate::operator::aggregate::{AggregateCall, AggregateFunction};
use crate::time;
use crate::types::{DataType, Field, Value};

/// The aggregate functions.
pub(crate) const AGGREGATES: [&str; 5] = ["COUNT", "SUM", "MIN", "MAX", "AVG"];

/// What names mean at a place of a query.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// The name that the relation goes by.
    pub(crate) relation: Option<&'a str>,
    pub(crate) fields: &'a [Field],
    pub(crate) zone: &'a TimeZone,
}

/// What GROUP BY leaves of a row: the keys, then the aggregates, which are collected while the query is bound.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    pub(crate) keys: Vec<Typed>,
    pub(crate) calls: Vec<AggregateCall>,
}

impl Scope<'_> {
    /// Binds an expression over the rows themselves.
    pub(crate) fn bind(&self, expr: &ast::Expr) -> SqlResult<Typed> {
        Binder {
            scope: self,
            grouping: None,
        }
        .bind(expr)
    }

    /// Binds an expression over the groups.
    pub(crate) fn bind_grouped(&self, expr: &ast::Expr, grouping: &mut Grouping) -> SqlResult<Typed> {
        Binder {
            scope: self,
            grouping: Some(grouping),
        }
        .bind(expr)
    }

    /// Binds a condition.
    pub(crate) fn condition(
        &self,
        expr: &ast::Expr,
        grouping: Option<&mut Grouping>,
        clause: &str,
    ) -> SqlResult<Expr> {
        let typed = Binder {
            scope: self,
            grouping,
        }
        .bind(expr)?;
        match typed.data_type {
            DataType::Boolean | DataType::Null => Ok(typed.expr),
            other => {
                Err(SqlError::new(format!("{clause} needs a condition, and this is {other}")).at(expr.span()))
            }
        }
    }

    pub(crate) fn column(&self, name: &str, span: Span) -> SqlResult<usize> {
        // Flink's names are case-sensitive.
        self.fields
            .iter()
            .position(|field| field.name == name)
            .ok_or_else(|| {
                SqlError::new(format!("there is no column {name}{}", self.of_relation()))
                    .did_you_mean(name, self.fields.iter().map(|field| field.name.as_str()))
                    .at(span)
            })
    }

    fn of_relation(&self) -> String {
        self.relation
            .map(|name| format!(" in {name}"))
            .unwrap_or_default()
    }
}

struct Binder<'a, 'g> {
    scope: &'a Scope<'a>,
    grouping: Option<&'g mut Grouping>,
}

impl Binder<'_, '_> {
    fn bind(&mut self, expr: &ast::Expr) -> SqlResult<Typed> {
        if let Some(typed) = self.group_key(expr) {
            return Ok(typed);
        }
        self.bind_node(expr).map_err(|error| error.at(expr.span()))
    }

    /// An expression of GROUP BY, wherever it is repeated, is a column of the group.
    fn group_key(&self, expr: &ast::Expr) -> Option<Typed> {
        let grouping = self.grouping.as_ref()?;
        let typed = self.scope.bind(expr).ok()?;
        let index = grouping.keys.iter().position(|key| *key == typed)?;
        Some(Typed::new(Expr::Column(index), typed.data_type))
    }

    fn bind_node(&mut self, expr: &ast::Expr) -> SqlResult<Typed> {
        use ast::Expr as E;
        match expr {
            E::Nested(inner) => self.bind(inner),
            E::Identifier(ident) if ident.quote_style.is_none() && is_bare_function(&ident.value) => {
                match self.scope.column(&ident.value, ident.span) {
                    Ok(index) => self.column_at(index, &ident.value),
                    Err(_) => self.call(&ident.value, Vec::new()),
                }
            }
            E::Identifier(ident) => {
                let index = self.scope.column(&ident.value, ident.span)?;
                self.column_at(index, &ident.value)
            }
            E::CompoundIdentifier(parts) => self.qualified(parts),
            E::Value(value) => literal(&value.value),
            E::TypedString(typed) => typed_string(typed),
            E::Interval(interval) => interval_literal(interval),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::IsNull(inner) => Ok(boolean(Expr::IsNull(Box::new(self.bind(inner)?.expr)))),
            E::IsNotNull(inner) => {
                let is_null = Expr::IsNull(Box::new(self.bind(inner)?.expr));
                Ok(boolean(Expr::Not(Box::new(is_null))))
            }
            E::IsTrue(inner) => Ok(boolean(Expr::Is(Box::new(self.truth(inner)?), true))),
            E::IsFalse(inner) => Ok(boolean(Expr::Is(Box::new(self.truth(inner)?), false))),
            E::IsNotTrue(inner) => {
                let is = Expr::Is(Box::new(self.truth(inner)?), true);
                Ok(boolean(Expr::Not(Box::new(is))))
            }
            E::IsNotFalse(inner) => {
                let is = Expr::Is(Box::new(self.truth(inner)?), false);
                Ok(boolean(Expr::Not(Box::new(is))))
            }
            E::IsDistinctFrom(a, b) => {
                let same = self.same(a, b)?;
                Ok(boolean(Expr::Not(Box::new(same))))
            }
            E::IsNotDistinctFrom(a, b) => Ok(boolean(self.same(a, b)?)),
            E::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let low = self.compare(Comparison::GreaterOrEqual, expr, low)?;
                let high = self.compare(Comparison::LessOrEqual, expr, high)?;
                Ok(negate_if(*negated, Expr::And(Box::new(low), Box::new(high))))
            }
            E::In {
                expr,
                target: InTarget::List(list),
                negated,
                ..
            } => self.in_list(expr, list, *negated),
            E::Like {
                negated,
                expr,
                pattern,
                escape_char: None,
                any: false,
            } => {
                let args = vec![self.bind(expr)?, self.bind(pattern)?];
                let like = self.call("LIKE", args)?;
                Ok(negate_if(*negated, like.expr))
            }
            E::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            E::Cast {
                kind,
                expr,
                data_type,
                ..
            } => {
                let to = type_of(data_type)?;
                let value = self.bind(expr)?;
                let or_null = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
                functions::explicit_cast(value, to, or_null, self.scope.zone)
            }
            E::Extract { field, expr, .. } => {
                let name = match field {
                    DateTimeField::Year => "YEAR",
                    DateTimeField::Month => "MONTH",
                    DateTimeField::Day => "DAYOFMONTH",
                    DateTimeField::Hour => "HOUR",
                    DateTimeField::Minute => "MINUTE",
                    DateTimeField::Second => "SECOND",
                    other => return Err(SqlError::unsupported(format!("EXTRACT({other} …)"))),
                };
                let value = self.bind(expr)?;
                self.call(name, vec![value])
            }
            E::Ceil {
                expr,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            } => {
                let value = self.bind(expr)?;
                self.call("CEIL", vec![value])
            }
            E::Floor {
                expr,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            } => {
                let value = self.bind(expr)?;
                self.call("FLOOR", vec![value])
            }
            E::Trim {
                expr,
                trim_where: None,
                trim_what: None,
                trim_characters: None,
            } => {
                let value = self.bind(expr)?;
                self.call("TRIM", vec![value])
            }
            E::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![self.bind(expr)?];
                for part in [substring_from, substring_for].into_iter().flatten() {
                    args.push(self.bind(part)?);
                }
                self.call("SUBSTRING", args)
            }
            E::Function(function) => self.function(function),
            E::Subquery(_) | E::Exists { .. } | E::In { .. } => {
                Err(SqlError::unsupported("a query inside an expression")
                    .help("filter with plain conditions"))
            }
            other => Err(SqlError::unsupported(format!("the expression {other}"))),
        }
    }

    fn column_at(&self, index: usize, name: &str) -> SqlResult<Typed> {
        if self.grouping.is_some() {
            return Err(
                SqlError::new(format!("{name} is neither in GROUP BY nor inside an aggregate"))
                    .help(format!("add {name} to GROUP BY, or write MAX({name})")),
            );
        }
        Ok(Typed::new(
            Expr::Column(index),
            self.scope.fields[index].data_type.clone(),
        ))
    }

    fn qualified(&self, parts: &[ast::Ident]) -> SqlResult<Typed> {
        let [relation, column] = parts else {
            return Err(SqlError::unsupported("a name of more than two parts").help("write table.column"));
        };
        if self.scope.relation != Some(relation.value.as_str()) {
            return Err(
                SqlError::new(format!("there is no table {} in this query", relation.value))
                    .did_you_mean(&relation.value, self.scope.relation)
                    .at(relation.span),
            );
        }
        let index = self.scope.column(&column.value, column.span)?;
        self.column_at(index, &column.value)
    }

    fn truth(&mut self, expr: &ast::Expr) -> SqlResult<Expr> {
        let typed = self.bind(expr)?;
        match typed.data_type {
            DataType::Boolean | DataType::Null => Ok(typed.expr),
            other => Err(SqlError::new(format!("expected a condition, and this is {other}")).at(expr.span())),
        }
    }

    fn unary(&mut self, op: UnaryOperator, inner: &ast::Expr) -> SqlResult<Typed> {
        match op {
            UnaryOperator::Not => {
                let truth = self.truth(inner)?;
                Ok(boolean(Expr::Not(Box::new(truth))))
            }
            UnaryOperator::Plus => self.bind(inner),
            UnaryOperator::Minus => {
                let value = self.bind(inner)?;
                if !value.data_type.is_numeric() {
                    return Err(SqlError::new(format!("- does not take {}", value.data_type)));
                }
                if let Expr::Literal(Value::Int(v)) = value.expr {
                    return Ok(Typed::new(Expr::Literal(Value::Int(-v)), value.data_type));
                }
                if let Expr::Literal(Value::Decimal(v)) = value.expr {
                    return Ok(Typed::new(
                        Expr::Literal(Value::Decimal(v.negate())),
                        value.data_type,
                    ));
                }
                let data_type = value.data_type.clone();
                let zero = cast(int_literal(0), &data_type, self.scope.zone);
                let arithmetic = Arithmetic {
                    operator: Operator::Subtract,
                    result: data_type.clone(),
                };
                Ok(Typed::new(
                    Expr::Arithmetic(arithmetic, Box::new(zero.expr), Box::new(value.expr)),
                    data_type,
                ))
            }
            other => Err(SqlError::unsupported(format!("the operator {other}"))),
        }
    }

    fn binary(&mut self, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr) -> SqlResult<Typed> {
        let comparison = match op {
            BinaryOperator::Eq => Some(Comparison::Equal),
            BinaryOperator::NotEq => Some(Comparison::NotEqual),
            BinaryOperator::Lt => Some(Comparison::Less),
            BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
            BinaryOperator::Gt => Some(Comparison::Greater),
            BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            return Ok(boolean(self.compare(comparison, left, right)?));
        }
        let operator = match op {
            BinaryOperator::And => {
                let (a, b) = (self.truth(left)?, self.truth(right)?);
                return Ok(boolean(Expr::And(Box::new(a), Box::new(b))));
            }
            BinaryOperator::Or => {
                let (a, b) = (self.truth(left)?, self.truth(right)?);
                return Ok(boolean(Expr::Or(Box::new(a), Box::new(b))));
            }
            BinaryOperator::StringConcat => {
                let args = vec![self.bind(left)?, self.bind(right)?];
                return self.call("CONCAT", args);
            }
            BinaryOperator::Plus => Operator::Add,
            BinaryOperator::Minus => Operator::Subtract,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Remainder,
            other => return Err(SqlError::unsupported(format!("the operator {other}"))),
        };
        let (a, b) = (self.bind(left)?, self.bind(right)?);
        arithmetic(operator, a, b, self.scope.zone)
    }

    fn compare(&mut self, op: Comparison, left: &ast::Expr, right: &ast::Expr) -> SqlResult<Expr> {
        let (a, b) = self.same_type(left, right)?;
        Ok(Expr::Compare(op, Box::new(a), Box::new(b)))
    }

    fn same(&mut self, left: &ast::Expr, right: &ast::Expr) -> SqlResult<Expr> {
        let (a, b) = self.same_type(left, right)?;
        Ok(Expr::Same(Box::new(a), Box::new(b)))
    }

    fn same_type(&mut self, left: &ast::Expr, right: &ast::Expr) -> SqlResult<(Expr, Expr)> {
        let (a, b) = (self.bind(left)?, self.bind(right)?);
        let common = comparable(&a, &b).ok_or_else(|| {
            SqlError::new(format!("{} can't be compared with {}", a.data_type, b.data_type))
                .help("CAST one of them to the type of the other")
                .at(left.span())
        })?;
        let zone = self.scope.zone;
        Ok((cast(a, &common, zone).expr, cast(b, &common, zone).expr))
    }

    fn in_list(&mut self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> SqlResult<Typed> {
        let value = self.bind(value)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.bind(item)?);
        }
        let types = std::iter::once(&value)
            .chain(&items)
            .map(|typed| &typed.data_type);
        let common =
            common_type(types).ok_or_else(|| SqlError::new("the values of IN have different types"))?;
        let zone = self.scope.zone;
        let items = items
            .into_iter()
            .map(|item| cast(item, &common, zone).expr)
            .collect();
        Ok(negate_if(
            negated,
            Expr::In(Box::new(cast(value, &common, zone).expr), items),
        ))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> SqlResult<Typed> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for branch in branches {
            conditions.push(match operand {
                Some(operand) => self.compare(Comparison::Equal, operand, &branch.condition)?,
                None => self.truth(&branch.condition)?,
            });
            results.push(self.bind(&branch.result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.bind(otherwise)?,
            None => Typed::new(Expr::Literal(Value::Null), DataType::Null),
        });
        let common = common_type(results.iter().map(|typed| &typed.data_type)).ok_or_else(|| {
            SqlError::new("the results of CASE have different types").help("CAST them to one type")
        })?;
        let zone = self.scope.zone;
        let mut results = results.into_iter().map(|typed| cast(typed, &common, zone).expr);
        let branches: Vec<(Expr, Expr)> = conditions.into_iter().zip(&mut results).collect();
        let otherwise = results.next().unwrap_or(Expr::Literal(Value::Null));
        Ok(Typed::new(Expr::Case(branches, Box::new(otherwise)), common))
    }

    fn call(&self, name: &str, values: Vec<Typed>) -> SqlResult<Typed> {
        functions::bind(
            name,
            Args {
                values,
                zone: self.scope.zone.clone(),
            },
        )
    }

    fn function(&mut self, function: &ast::Function) -> SqlResult<Typed> {
        let name = match function.name.0.as_slice() {
            [part] => part.to_string(),
            _ => return Err(SqlError::new(format!("there is no function {}", function.name))),
        };
        if function.over.is_some() {
            return Err(SqlError::unsupported("OVER").help("group by the windows of TUMBLE instead"));
        }
        if [
            "TUMBLE",
            "HOP",
            "CUMULATE",
            "SESSION",
            "TUMBLE_START",
            "TUMBLE_END",
        ]
        .contains(&name.to_uppercase().as_str())
        {
            return Err(SqlError::new(format!("{name} is no scalar function"))
                .help("write FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) and GROUP BY window_start, window_end"));
        }
        if AGGREGATES
            .iter()
            .any(|aggregate| aggregate.eq_ignore_ascii_case(&name))
        {
            return self.aggregate(&name.to_uppercase(), function);
        }
        if function.filter.is_some() {
            return Err(SqlError::new(format!(
                "{name} is no aggregate: FILTER does not go with it"
            )));
        }
        let mut args = Vec::new();
        for arg in arguments(function)? {
            match arg {
                FunctionArgExpr::Expr(expr) => args.push(self.bind(expr)?),
                _ => return Err(SqlError::new(format!("{name} does not take *"))),
            }
        }
        self.call(&name, args)
    }

    fn aggregate(&mut self, name: &str, function: &ast::Function) -> SqlResult<Typed> {
        let Some(grouping) = &mut self.grouping else {
            return Err(SqlError::new(format!("{name} can't stand here"))
                .help("aggregates belong into SELECT and HAVING of a query with GROUP BY"));
        };
        let call = aggregate_call(self.scope, name, function)?;
        let index = grouping
            .calls
            .iter()
            .position(|known| *known == call)
            .unwrap_or_else(|| {
                grouping.calls.push(call.clone());
                grouping.calls.len() - 1
            });
        Ok(Typed::new(Expr::Column(grouping.keys.len() + index), call.result))
    }
}

fn aggregate_call(scope: &Scope<'_>, name: &str, function: &ast::Function) -> SqlResult<AggregateCall> {
    let distinct = match &function.args {
        FunctionArguments::List(list) => {
            matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct))
        }
        _ => false,
    };
    let filter = match &function.filter {
        Some(filter) => Some(scope.condition(filter, None, "FILTER")?),
        None => None,
    };
    let arguments = arguments(function)?;
    let arg = match arguments.as_slice() {
        [FunctionArgExpr::Wildcard] if name == "COUNT" => None,
        [FunctionArgExpr::Expr(expr)] => Some(scope.bind(expr).map_err(|error| {
            if error.message.ends_with("can't stand here") {
                SqlError::new("an aggregate can't be inside an aggregate").at(expr.span())
            } else {
                error
            }
        })?),
        _ => return Err(SqlError::new(format!("{name} takes one argument"))),
    };
    let input = arg.as_ref().map_or(DataType::Null, |arg| arg.data_type.clone());
    let unfit = || {
        SqlError::new(format!("{name} does not take {input}")).help(if input == DataType::String {
            "CAST the text to a number"
        } else {
            "give it a number"
        })
    };
    let (aggregate, result) = match name {
        "COUNT" => (AggregateFunction::Count, DataType::BigInt),
        "SUM" if input.is_numeric() => (AggregateFunction::Sum, sum_type(&input)),
        "AVG" if input.is_numeric() => (AggregateFunction::Avg, avg_type(&input)),
        "MIN" => (AggregateFunction::Min, input.clone()),
        "MAX" => (AggregateFunction::Max, input.clone()),
        _ => return Err(unfit()),
    };
    Ok(AggregateCall {
        function: aggregate,
        arg: arg.map(|arg| arg.expr),
        distinct,
        filter,
        result,
    })
}

/// Flink keeps the type of a SUM, but for DECIMAL.
fn sum_type(input: &DataType) -> DataType {
    match input {
        DataType::Decimal(_, scale) => DataType::Decimal(38, *scale),
        other => other.clone(),
    }
}

/// The AVG of an INT is an INT.
fn avg_type(input: &DataType) -> DataType {
    match input {
        DataType::Decimal(_, scale) => DataType::Decimal(38, (*scale).max(6)),
        other => other.clone(),
    }
}

fn arguments(function: &ast::Function) -> SqlResult<Vec<&FunctionArgExpr>> {
    match &function.args {
        FunctionArguments::None => Ok(Vec::new()),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(arg) => Ok(arg),
                _ => Err(SqlError::unsupported("a named argument here").help("give the arguments in order")),
            })
            .collect(),
        FunctionArguments::Subquery(_) => Err(SqlError::unsupported("a query as an argument")),
    }
}

/// Functions that are written without parentheses.
fn is_bare_function(name: &str) -> bool {
    name.eq_ignore_ascii_case("CURRENT_TIMESTAMP")
}

fn boolean(expr: Expr) -> Typed {
    Typed::new(expr, DataType::Boolean)
}

fn negate_if(negated: bool, expr: Expr) -> Typed {
    boolean(if negated { Expr::Not(Box::new(expr)) } else { expr })
}

fn int_literal(value: i64) -> Typed {
    Typed::new(Expr::Literal(Value::Int(value)), DataType::Int)
}

fn comparable(a: &Typed, b: &Typed) -> Option<DataType> {
    if let Some(common) = common_number(&a.data_type, &b.data_type) {
        return Some(common);
    }
    if let Some(common) = common_type([&a.data_type, &b.data_type]) {
        return Some(common);
    }
    // A text that stands for a time: ts > '2026-03-01 18:00:00'.
    match (&a.data_type, &b.data_type) {
        (time, DataType::String) | (DataType::String, time)
            if time.is_timestamp() || *time == DataType::Date =>
        {
            Some(time.clone())
        }
        _ => None,
    }
}

pub(crate) fn arithmetic(operator: Operator, a: Typed, b: Typed, zone: &TimeZone) -> SqlResult<Typed> {
    use DataType as T;
    let build = |a: Typed, b: Typed, result: DataType| {
        let arithmetic = Arithmetic {
            operator,
            result: result.clone(),
        };
        Typed::new(
            Expr::Arithmetic(arithmetic, Box::new(a.expr), Box::new(b.expr)),
            result,
        )
    };
    let additive = matches!(operator, Operator::Add | Operator::Subtract);
    match (&a.data_type, &b.data_type) {
        (time, T::Interval) if time.is_timestamp() && additive => {
            let result = a.data_type.clone();
            return Ok(build(a, b, result));
        }
        (T::Interval, time) if time.is_timestamp() && operator == Operator::Add => {
            let result = b.data_type.clone();
            return Ok(build(b, a, result));
        }
        (T::Interval, T::Interval) if additive => return Ok(build(a, b, T::Interval)),
        (T::Interval, number) if number.is_integer() && operator == Operator::Multiply => {
            return Ok(build(a, b, T::Interval));
        }
        (T::Null, other) | (other, T::Null) => {
            return Ok(Typed::new(Expr::Literal(Value::Null), other.clone()));
        }
        _ => {}
    }
    let Some((operands, result)) = result_type(operator, &a.data_type, &b.data_type) else {
        let error = SqlError::new(format!(
            "{} does not take {} and {}",
            operator.symbol(),
            a.data_type,
            b.data_type
        ));
        return Err(if a.data_type == T::String || b.data_type == T::String {
            error.help("CAST the text to a number, or join texts with ||")
        } else {
            error
        });
    };
    let (a, b) = match operands {
        Some(common) => (cast(a, &common, zone), cast(b, &common, zone)),
        None => (exact(a, zone), exact(b, zone)),
    };
    Ok(build(a, b, result))
}

/// An integer as the DECIMAL that holds it.
fn exact(value: Typed, zone: &TimeZone) -> Typed {
    match value.data_type.as_decimal() {
        Some((precision, scale)) => cast(value, &DataType::Decimal(precision, scale), zone),
        None => value,
    }
}

fn literal(value: &ast::Value) -> SqlResult<Typed> {
    let (value, data_type) = match value {
        ast::Value::Number(text, _) => return number(text),
        ast::Value::SingleQuotedString(text) => (Value::string(text), DataType::String),
        ast::Value::Boolean(truth) => (Value::Boolean(*truth), DataType::Boolean),
        ast::Value::Null => (Value::Null, DataType::Null),
        ast::Value::DoubleQuotedString(text) => {
            return Err(SqlError::new(format!("\"{text}\" is neither a text nor a name"))
                .help(format!("write '{text}' for a text, `{text}` for a name")));
        }
        other => return Err(SqlError::unsupported(format!("the literal {other}"))),
    };
    Ok(Typed::new(Expr::Literal(value), data_type))
}

/// `12` is INT, or BIGINT when it has to be; `1.5` is DECIMAL(2, 1); `1e3` is DOUBLE.
fn number(text: &str) -> SqlResult<Typed> {
    if text.contains(['e', 'E']) {
        let value = text
            .parse()
            .map_err(|_| SqlError::new(format!("{text} is no number")))?;
        return Ok(Typed::new(Expr::Literal(Value::Double(value)), DataType::Double));
    }
    if let Ok(value) = text.parse::<i64>() {
        let data_type = if i32::try_from(value).is_ok() {
            DataType::Int
        } else {
            DataType::BigInt
        };
        return Ok(Typed::new(Expr::Literal(Value::Int(value)), data_type));
    }
    let decimal =
        Decimal::parse(text).ok_or_else(|| SqlError::new(format!("{text} has more than 38 digits")))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = fraction.len().min(38) as u8;
    let precision = (whole.trim_start_matches('0').len() as u8)
        .saturating_add(scale)
        .clamp(1, 38);
    Ok(Typed::new(
        Expr::Literal(Value::Decimal(decimal)),
        DataType::Decimal(precision.max(scale), scale),
    ))
}

fn typed_string(typed: &ast::TypedString) -> SqlResult<Typed> {
    let ast::Value::SingleQuotedString(text) = &typed.value.value else {
        return Err(SqlError::new("expected a text in single quotes"));
    };
    let unread = |shape: &str| SqlError::new(format!("'{text}' is not written like {shape}"));
    let (value, data_type) = match &typed.data_type {
        ast::DataType::Timestamp(..) => {
            let time = time::parse_timestamp(text, ' ', "").ok_or_else(|| unread("2026-03-01 18:00:54"))?;
            let digits = text
                .split_once('.')
                .map_or(0, |(_, fraction)| fraction.len() as u8);
            (Value::Timestamp(time), DataType::Timestamp(digits))
        }
        ast::DataType::Date => {
            let days = time::parse_date(text).ok_or_else(|| unread("2026-03-01"))?;
            (Value::Date(days), DataType::Date)
        }
        ast::DataType::Time(..) => {
            let ms = time::parse_time(text).ok_or_else(|| unread("18:00:54"))?;
            (Value::Time(ms), DataType::Time(0))
        }
        other => return Err(SqlError::unsupported(format!("the literal {other} '{text}'"))),
    };
    Ok(Typed::new(Expr::Literal(value), data_type))
}

fn interval_literal(interval: &ast::Interval) -> SqlResult<Typed> {
    let ast::Expr::Value(ast::ValueWithSpan {
        value: ast::Value::SingleQuotedString(text),
        ..
    }) = &*interval.value
    else {
        return Err(
            SqlError::new("an interval needs its number in single quotes").help("write INTERVAL '5' SECOND")
        );
    };
    if interval.last_field.is_some() {
        return Err(SqlError::unsupported("an interval of two units").help("write INTERVAL '90' SECOND"));
    }
    let unit_ms: i128 = match interval.leading_field {
        Some(DateTimeField::Second | DateTimeField::Seconds) => 1_000,
        Some(DateTimeField::Minute | DateTimeField::Minutes) => 60_000,
        Some(DateTimeField::Hour | DateTimeField::Hours) => 3_600_000,
        Some(DateTimeField::Day | DateTimeField::Days) => 86_400_000,
        Some(DateTimeField::Year | DateTimeField::Years | DateTimeField::Month | DateTimeField::Months) => {
            return Err(SqlError::unsupported("an interval of months or years").help("write it in DAYs"));
        }
        _ => return Err(SqlError::new("an interval needs a unit").help("SECOND, MINUTE, HOUR or DAY")),
    };
    let ms = Decimal::parse(text)
        .and_then(|number| number.multiply(Decimal::new(unit_ms, 0))?.to_i64())
        .ok_or_else(|| SqlError::new(format!("'{text}' is no number of an interval")))?;
    Ok(Typed::new(Expr::Literal(Value::Interval(ms)), DataType::Interval))
}

/// A type as SQL writes it.
pub(crate) fn type_of(data_type: &ast::DataType) -> SqlResult<DataType> {
    use ast::DataType as A;
    let precision = |p: &Option<u64>, default: u8| p.map_or(Ok(default), precision_of);
    Ok(match data_type {
        A::Boolean | A::Bool => DataType::Boolean,
        A::TinyInt(_) => DataType::TinyInt,
        A::SmallInt(_) => DataType::SmallInt,
        A::Int(_) | A::Integer(_) => DataType::Int,
        A::BigInt(_) => DataType::BigInt,
        A::Float(_) => DataType::Float,
        A::Double(_) | A::DoublePrecision => DataType::Double,
        A::Decimal(info) | A::Numeric(info) | A::Dec(info) => decimal_type(info)?,
        A::String(_) | A::Varchar(_) | A::Char(_) | A::Character(_) => DataType::String,
        A::Date => DataType::Date,
        A::Time(p, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) => {
            DataType::Time(precision(p, 0)?)
        }
        A::Timestamp(p, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp(precision(p, 6)?)
        }
        A::Custom(name, modifiers) if name.to_string().eq_ignore_ascii_case("TIMESTAMP_LTZ") => {
            let digits = match modifiers.as_slice() {
                [] => 6,
                [digits, ..] => digits
                    .to_string()
                    .parse()
                    .map_err(|_| SqlError::new("a precision is 0 to 9"))?,
            };
            DataType::TimestampLtz(precision_of(digits)?)
        }
        A::Custom(name, _) if name.to_string().eq_ignore_ascii_case("ROW") => return Err(nested("ROW")),
        A::Array(_) => return Err(nested("ARRAY")),
        A::Map(..) => return Err(nested("MAP")),
        A::Timestamp(_, ast::TimezoneInfo::WithTimeZone | ast::TimezoneInfo::Tz) => {
            return Err(SqlError::unsupported("TIMESTAMP WITH TIME ZONE").help("write TIMESTAMP_LTZ(3)"));
        }
        other => {
            let name = other.to_string();
            return Err(SqlError::unsupported(format!("the type {name}")).did_you_mean(
                &name,
                [
                    "BOOLEAN",
                    "TINYINT",
                    "SMALLINT",
                    "INT",
                    "BIGINT",
                    "FLOAT",
                    "DOUBLE",
                    "DECIMAL",
                    "STRING",
                    "DATE",
                    "TIME",
                    "TIMESTAMP",
                    "TIMESTAMP_LTZ",
                ],
            ));
        }
    })
}

fn nested(name: &str) -> SqlError {
    SqlError::unsupported(format!("the type {name}"))
        .help("declare the field as STRING: it then holds its JSON text")
}

fn precision_of(digits: u64) -> SqlResult<u8> {
    match u8::try_from(digits) {
        Ok(digits) if digits <= 9 => Ok(digits),
        _ => Err(SqlError::new("the precision of a time is 0 to 9 digits")),
    }
}

fn decimal_type(info: &ast::ExactNumberInfo) -> SqlResult<DataType> {
    let (precision, scale) = match info {
        ast::ExactNumberInfo::None => (10, 0),
        ast::ExactNumberInfo::Precision(p) => (*p, 0),
        ast::ExactNumberInfo::PrecisionAndScale(p, s) => (*p, *s),
    };
    if !(1..=38).contains(&precision) || scale < 0 || scale as u64 > precision {
        return Err(SqlError::new(
            "a DECIMAL has 1 to 38 digits, and no more of them after the point",
        ));
    }
    Ok(DataType::Decimal(precision as u8, scale as u8))
}
