//! From a query to a chain of steps.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use sqlparser::ast::{self, Distinct, GroupByExpr, SelectItem, SetExpr, Spanned, TableFactor};
use sqlparser::tokenizer::Span;

use super::catalog::{Catalog, ColumnSource, Entry, Table};
use super::options::{Connector, Startup};
use crate::error::{SqlError, SqlResult};
use crate::expr::bind::{Grouping, Scope};
use crate::expr::functions::cast;
use crate::expr::{Expr, Typed};
use crate::operator::aggregate::AggregateCall;
use crate::operator::window_aggregate::WindowGroups;
use crate::sql::Insert;
use crate::types::{DataType, Field, Role, Value};
use crate::window::{KINDS, Kind, WindowAssigner};

/// How deep views may use views.
const MAX_DEPTH: usize = 32;

/// One operator to be.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Calc {
        filter: Option<Expr>,
        projection: Option<Vec<Expr>>,
    },
    WindowAssign {
        name: &'static str,
        assigner: Arc<dyn WindowAssigner>,
        time_column: usize,
        zone: Option<TimeZone>,
    },
    WindowAggregate(WindowGroups),
    GroupAggregate {
        keys: Vec<Expr>,
        calls: Vec<AggregateCall>,
    },
    Limit(u64),
}

impl Step {
    /// The stem of the operator's id.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Calc { .. } => "calc",
            Self::WindowAssign { .. } => "window",
            Self::WindowAggregate(_) => "window-aggregate",
            Self::GroupAggregate { .. } => "group-aggregate",
            Self::Limit(_) => "limit",
        }
    }
}

/// A planned query: a source, and what happens to its rows.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// The name that columns can be qualified with.
    name: Option<String>,
    pub(crate) source: Arc<Table>,
    pub(crate) steps: Vec<Step>,
    pub(crate) fields: Vec<Field>,
    /// Its rows change rows that were sent before.
    pub(crate) updating: bool,
}

/// Plans queries of one session.
pub(crate) struct Planner<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) zone: &'a TimeZone,
}

type Ctes<'q> = Vec<(&'q ast::Ident, &'q ast::Query)>;

impl Planner<'_> {
    /// Plans a query.
    pub(crate) fn query(&self, query: &ast::Query) -> SqlResult<Relation> {
        self.query_in(query, &Vec::new(), 0)
    }

    fn query_in(&self, query: &ast::Query, outer: &Ctes<'_>, depth: usize) -> SqlResult<Relation> {
        if depth > MAX_DEPTH {
            return Err(SqlError::new("views and queries are nested too deeply"));
        }
        let mut ctes: Ctes<'_> = outer.clone();
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(SqlError::unsupported("WITH RECURSIVE"));
            }
            ctes.extend(with.cte_tables.iter().map(|cte| (&cte.alias.name, &*cte.query)));
        }
        if let Some(order) = &query.order_by {
            return Err(SqlError::unsupported("ORDER BY")
                .help("an endless stream has no last row to sort; window results come in the order of their windows")
                .at(order.span()));
        }
        if query.fetch.is_some() || !query.locks.is_empty() {
            return Err(SqlError::unsupported("FETCH and FOR UPDATE").help("write LIMIT n"));
        }
        let mut relation = match &*query.body {
            SetExpr::Select(select) => self.select(select, &ctes, depth)?,
            SetExpr::Query(inner) => self.query_in(inner, &ctes, depth + 1)?,
            SetExpr::SetOperation { op, .. } => {
                return Err(SqlError::unsupported(op.to_string())
                    .help("write one INSERT INTO for each SELECT")
                    .at(query.body.span()));
            }
            other => {
                return Err(SqlError::unsupported("this kind of query")
                    .help("write a SELECT")
                    .at(other.span()));
            }
        };
        if let Some(limit) = &query.limit_clause {
            relation.steps.push(Step::Limit(limit_of(limit)?));
        }
        Ok(relation)
    }

    fn select(&self, select: &ast::Select, ctes: &Ctes<'_>, depth: usize) -> SqlResult<Relation> {
        refuse_clauses(select)?;
        let mut input = self.from(select, ctes, depth)?;
        if let Some(condition) = &select.selection {
            let filter = input.scope(self.zone).condition(condition, None, "WHERE")?;
            input.steps.push(Step::Calc {
                filter: Some(filter),
                projection: None,
            });
        }
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => keys,
            _ => return Err(SqlError::unsupported("GROUP BY ALL, ROLLUP and CUBE").at(select.span())),
        };
        let grouped =
            !keys.is_empty() || select.having.is_some() || select.projection.iter().any(has_aggregate);
        let mut relation = if grouped {
            self.grouped(select, keys, input)?
        } else {
            let (fields, projection) = self.projection(select, &input, None)?;
            input.project(fields, projection);
            input
        };
        match &select.distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                let keys = (0..relation.fields.len()).map(Expr::Column).collect();
                relation.refuse_updates("DISTINCT")?;
                relation.steps.push(Step::GroupAggregate {
                    keys,
                    calls: Vec::new(),
                });
            }
            Some(Distinct::On(_)) => return Err(SqlError::unsupported("DISTINCT ON").at(select.span())),
        }
        relation.name = None;
        Ok(relation)
    }

    fn grouped(&self, select: &ast::Select, keys: &[ast::Expr], mut input: Relation) -> SqlResult<Relation> {
        let mut grouping = Grouping::default();
        let mut key_fields = Vec::with_capacity(keys.len());
        {
            let scope = input.scope(self.zone);
            for key in keys {
                let typed = scope.bind(key)?;
                let role = match typed.expr {
                    Expr::Column(index) => input.fields[index].role,
                    _ => Role::Plain,
                };
                key_fields.push(role);
                grouping.keys.push(typed);
            }
        }
        // HAVING and the select list see the groups, and say which aggregates there are.
        let (fields, projection) = self.projection(select, &input, Some((&mut grouping, &key_fields)))?;
        let having = match &select.having {
            Some(having) => Some(
                input
                    .scope(self.zone)
                    .condition(having, Some(&mut grouping), "HAVING")?,
            ),
            None => None,
        };
        input.refuse_updates("GROUP BY")?;
        let span = keys.first().map_or_else(|| select.span(), Spanned::span);
        let has = |role| key_fields.contains(&role);
        match (has(Role::WindowStart), has(Role::WindowEnd)) {
            (true, true) => self.group_windows(&mut input, &grouping),
            (false, false) => {
                let keys = grouping.keys.iter().map(|key| key.expr.clone()).collect();
                input.steps.push(Step::GroupAggregate {
                    keys,
                    calls: grouping.calls.clone(),
                });
                input.updating = true;
            }
            _ => {
                return Err(SqlError::new("a window is grouped by both its bounds")
                    .help("write GROUP BY window_start, window_end")
                    .at(span));
            }
        }
        input.fields = fields;
        input.steps.push(Step::Calc {
            filter: having,
            projection: Some(projection),
        });
        Ok(input)
    }

    fn group_windows(&self, input: &mut Relation, grouping: &Grouping) {
        let at = |role| {
            input
                .fields
                .iter()
                .position(|field| field.role == role)
                .unwrap_or_default()
        };
        let of_key = |role| {
            grouping.keys.iter().find_map(|key| match key.expr {
                Expr::Column(index) if input.fields[index].role == role => Some(index),
                _ => None,
            })
        };
        input.steps.push(Step::WindowAggregate(WindowGroups {
            keys: grouping.keys.iter().map(|key| key.expr.clone()).collect(),
            calls: grouping.calls.clone(),
            start: of_key(Role::WindowStart).unwrap_or_else(|| at(Role::WindowStart)),
            end: of_key(Role::WindowEnd).unwrap_or_else(|| at(Role::WindowEnd)),
            zone: input.event_time_zone(self.zone),
        }));
    }

    /// The select list: its columns and their expressions.
    fn projection(
        &self,
        select: &ast::Select,
        input: &Relation,
        mut grouped: Option<(&mut Grouping, &[Role])>,
    ) -> SqlResult<(Vec<Field>, Vec<Expr>)> {
        let scope = input.scope(self.zone);
        let mut fields: Vec<Field> = Vec::new();
        let mut exprs = Vec::new();
        for item in &select.projection {
            let (expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    if grouped.is_some() {
                        return Err(SqlError::new("* does not go with GROUP BY")
                            .help("name the columns of GROUP BY and the aggregates")
                            .at(item.span()));
                    }
                    exprs.extend((0..input.fields.len()).map(Expr::Column));
                    fields.extend(input.fields.iter().cloned());
                    continue;
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(SqlError::unsupported("an expression with several names").at(item.span()));
                }
            };
            let (typed, role) = match &mut grouped {
                None => {
                    let typed = scope.bind(expr)?;
                    let role = role_of(&typed, |index| input.fields.get(index).map(|field| field.role));
                    (typed, role)
                }
                Some((grouping, roles)) => {
                    let typed = scope.bind_grouped(expr, grouping)?;
                    let role = role_of(&typed, |index| roles.get(index).copied());
                    (typed, role)
                }
            };
            let name = match (alias, expr) {
                (Some(alias), _) => alias.value.clone(),
                (None, ast::Expr::Identifier(ident)) => ident.value.clone(),
                (None, ast::Expr::CompoundIdentifier(parts)) => {
                    parts.last().map(|part| part.value.clone()).unwrap_or_default()
                }
                _ => format!("EXPR${}", fields.len()),
            };
            fields.push(Field {
                name,
                data_type: typed.data_type,
                role,
            });
            exprs.push(typed.expr);
        }
        Ok((fields, exprs))
    }

    fn from(&self, select: &ast::Select, ctes: &Ctes<'_>, depth: usize) -> SqlResult<Relation> {
        let [from] = select.from.as_slice() else {
            return Err(if select.from.is_empty() {
                SqlError::unsupported("a SELECT without FROM")
                    .help("select FROM a table")
                    .at(select.span())
            } else {
                join_error(select.span())
            });
        };
        if let Some(join) = from.joins.first() {
            return Err(join_error(join.span()));
        }
        let factor = &from.relation;
        let relation = match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let mut relation = self.named(name, ctes, depth)?;
                relation.rename(alias.as_ref())?;
                relation
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                ..
            } => {
                let mut relation = self.window(&name.to_string(), name.span(), &args.args, ctes, depth)?;
                relation.rename(alias.as_ref())?;
                relation
            }
            TableFactor::TableFunction {
                expr: ast::Expr::Function(function),
                alias,
            } => {
                let ast::FunctionArguments::List(list) = &function.args else {
                    return Err(SqlError::new("a window function needs its arguments").at(function.span()));
                };
                let name = function.name.to_string();
                let mut relation = self.window(&name, function.name.span(), &list.args, ctes, depth)?;
                relation.rename(alias.as_ref())?;
                relation
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias,
                ..
            } => {
                let mut relation = self.query_in(subquery, ctes, depth + 1)?;
                relation.rename(alias.as_ref())?;
                relation
            }
            other => return Err(SqlError::unsupported(format!("FROM {other}")).at(other.span())),
        };
        Ok(relation)
    }

    fn named(&self, name: &ast::ObjectName, ctes: &Ctes<'_>, depth: usize) -> SqlResult<Relation> {
        let span = name.span();
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else {
            return Err(SqlError::new("expected the name of a table").at(span));
        };
        if let Some(at) = ctes.iter().rposition(|(cte, _)| cte.value == ident.value) {
            // A query of WITH sees the ones before it.
            let mut relation = self.query_in(ctes[at].1, &ctes[..at].to_vec(), depth + 1)?;
            relation.name = Some(ident.value.clone());
            return Ok(relation);
        }
        match self.catalog.get(&ident.value) {
            Some(Entry::Table(table)) => scan(table, span),
            Some(Entry::View(view)) => {
                let mut relation = self.query_in(&view.query, &Vec::new(), depth + 1)?;
                relation.set_names(&view.columns)?;
                relation.name = Some(ident.value.clone());
                Ok(relation)
            }
            None => {
                let names = self
                    .catalog
                    .keys()
                    .map(String::as_str)
                    .chain(ctes.iter().map(|(cte, _)| cte.value.as_str()));
                let error = SqlError::new(format!("there is no table {}", ident.value)).at(span);
                let error = error.did_you_mean(&ident.value, names);
                Err(if error.help.is_none() {
                    error.help(format!(
                        "put CREATE TABLE {} (…) before it, in the same file",
                        ident.value
                    ))
                } else {
                    error
                })
            }
        }
    }

    /// `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)` and its kin.
    fn window(
        &self,
        name: &str,
        span: Span,
        args: &[ast::FunctionArg],
        ctes: &Ctes<'_>,
        depth: usize,
    ) -> SqlResult<Relation> {
        let Some(kind) = KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name)) else {
            let error = if name.eq_ignore_ascii_case("SESSION") {
                SqlError::unsupported("the window function SESSION")
            } else {
                SqlError::new(format!("there is no window function {name}"))
            };
            return Err(error
                .did_you_mean(name, KINDS.iter().map(|kind| kind.name))
                .at(span));
        };
        let args = WindowArgs::read(kind, args, span)?;
        let mut input = self.named(&args.table, ctes, depth)?;
        input.refuse_updates(kind.name)?;
        let time_column = input.scope(self.zone).column(&args.time.value, args.time.span)?;
        let field = &input.fields[time_column];
        if !matches!(field.role, Role::EventTime | Role::WindowTime) {
            let table = args.table.to_string();
            let error = SqlError::new(format!(
                "{} is no event time of {table}: no watermark is declared for it",
                field.name
            ));
            return Err(error
                .help(format!(
                    "add WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND to CREATE TABLE {table}",
                    field.name
                ))
                .at(args.time.span));
        }
        let zone = matches!(field.data_type, DataType::TimestampLtz(_)).then(|| self.zone.clone());
        let time_type = field.data_type.clone();
        let assigner = args.assigner(kind, self.zone)?;
        input.steps.push(Step::WindowAssign {
            name: kind.name,
            assigner,
            time_column,
            zone,
        });
        for field in &mut input.fields {
            // The windows of a window of windows are those of the outer one.
            if matches!(field.role, Role::WindowStart | Role::WindowEnd) {
                field.role = Role::Plain;
            }
        }
        let bound = |name: &str, role, data_type| Field {
            name: name.into(),
            data_type,
            role,
        };
        input
            .fields
            .push(bound("window_start", Role::WindowStart, DataType::Timestamp(3)));
        input
            .fields
            .push(bound("window_end", Role::WindowEnd, DataType::Timestamp(3)));
        input
            .fields
            .push(bound("window_time", Role::WindowTime, time_type));
        Ok(input)
    }

    /// Plans an INSERT INTO: the query, with the columns of the sink.
    pub(crate) fn insert(&self, insert: &Insert) -> SqlResult<(Relation, Arc<Table>)> {
        let span = insert.table.span;
        let sink = match self.catalog.get(&insert.table.value) {
            Some(Entry::Table(table)) => Arc::clone(table),
            Some(Entry::View(_)) => {
                return Err(SqlError::new(format!(
                    "{} is a view: it can't be written to",
                    insert.table.value
                ))
                .at(span));
            }
            None => {
                let tables = self
                    .catalog
                    .iter()
                    .filter(|(_, entry)| matches!(entry, Entry::Table(_)));
                return Err(SqlError::new(format!("there is no table {}", insert.table.value))
                    .did_you_mean(&insert.table.value, tables.map(|(name, _)| name.as_str()))
                    .at(span));
            }
        };
        let mut relation = self.query(&insert.query)?;
        if relation.updating && matches!(sink.connector, Connector::Kafka(_)) {
            return Err(SqlError::new(format!(
                "{} can't take this result: its rows change, and a topic of 'kafka' only grows",
                sink.name
            ))
            .help("group by the windows of TUMBLE, so that each result is final; or write to 'connector' = 'print'")
            .at(span));
        }
        let writable = writable_columns(&sink).map_err(|error| error.at(span))?;
        let projection = self.sink_projection(insert, &relation, &sink, &writable)?;
        let fields = writable
            .iter()
            .map(|index| sink.columns[*index].field.clone())
            .collect();
        relation.project(fields, projection);
        Ok((relation, sink))
    }

    fn sink_projection(
        &self,
        insert: &Insert,
        relation: &Relation,
        sink: &Table,
        writable: &[usize],
    ) -> SqlResult<Vec<Expr>> {
        let span = insert.query.span();
        let names: Vec<&str> = writable
            .iter()
            .map(|index| sink.columns[*index].field.name.as_str())
            .collect();
        let targets: Vec<usize> = if insert.columns.is_empty() {
            (0..writable.len()).collect()
        } else {
            let find = |column: &ast::Ident| {
                names
                    .iter()
                    .position(|name| *name == column.value)
                    .ok_or_else(|| {
                        SqlError::new(format!("{} has no column {} to write", sink.name, column.value))
                            .did_you_mean(&column.value, names.iter().copied())
                            .at(column.span)
                    })
            };
            insert.columns.iter().map(find).collect::<SqlResult<_>>()?
        };
        if targets.len() != relation.fields.len() {
            let selected: Vec<&str> = relation.fields.iter().map(|field| field.name.as_str()).collect();
            return Err(SqlError::new(format!(
                "{} takes {} columns ({}), and the query gives {} ({})",
                sink.name,
                targets.len(),
                names.join(", "),
                selected.len(),
                selected.join(", ")
            ))
            .help("columns are matched by their place, not by their name")
            .at(span));
        }
        let mut projection = vec![Expr::Literal(Value::Null); writable.len()];
        for (index, (target, field)) in targets.iter().zip(&relation.fields).enumerate() {
            let column = &sink.columns[writable[*target]].field;
            if !implicitly_castable(&field.data_type, &column.data_type) {
                return Err(SqlError::new(format!(
                    "the column {} of {} is {}, and the query gives {} ({}) for it",
                    column.name, sink.name, column.data_type, field.data_type, field.name
                ))
                .help(format!(
                    "write CAST(… AS {}), or change the column's type",
                    column.data_type
                ))
                .at(span));
            }
            let typed = Typed::new(Expr::Column(index), field.data_type.clone());
            projection[*target] = cast(typed, &column.data_type, self.zone).expr;
        }
        Ok(projection)
    }
}

/// The arguments of a window function.
struct WindowArgs<'a> {
    table: ast::ObjectName,
    time: ast::Ident,
    intervals: Vec<&'a ast::Expr>,
    usage: &'static str,
    span: Span,
}

impl<'a> WindowArgs<'a> {
    fn read(kind: &Kind, args: &'a [ast::FunctionArg], span: Span) -> SqlResult<Self> {
        let wrong = || {
            SqlError::new(format!("{} is not written like this", kind.name))
                .help(kind.usage)
                .at(span)
        };
        let mut positional = Vec::new();
        for (index, arg) in args.iter().enumerate() {
            let (name, arg) = match arg {
                ast::FunctionArg::Unnamed(arg) => (None, arg),
                ast::FunctionArg::Named { name, arg, .. } => (Some(name.value.to_uppercase()), arg),
                ast::FunctionArg::ExprNamed { .. } => return Err(wrong()),
            };
            let ast::FunctionArgExpr::Expr(expr) = arg else {
                return Err(wrong());
            };
            let place = match name.as_deref() {
                None => index,
                Some("DATA") => 0,
                Some("TIMECOL") => 1,
                Some("SLIDE" | "STEP") => 2,
                Some("SIZE") => 1 + kind.intervals,
                Some("OFFSET") => 2 + kind.intervals,
                Some(_) => return Err(wrong()),
            };
            positional.push((place, expr));
        }
        positional.sort_by_key(|(place, _)| *place);
        if !positional
            .iter()
            .enumerate()
            .all(|(index, (place, _))| index == *place)
        {
            return Err(wrong());
        }
        let mut exprs = positional.into_iter().map(|(_, expr)| expr);
        let (Some(table), Some(time)) = (exprs.next(), exprs.next()) else {
            return Err(wrong());
        };
        let ast::Expr::Prefixed { value, .. } = table else {
            return Err(wrong());
        };
        let ast::Expr::CompoundIdentifier(table) = &**value else {
            return Err(wrong());
        };
        let intervals: Vec<&ast::Expr> = exprs.collect();
        if intervals.len() != kind.intervals && intervals.len() != kind.intervals + 1 {
            return Err(wrong());
        }
        Ok(Self {
            table: ast::ObjectName::from(table.clone()),
            time: descriptor(time).ok_or_else(wrong)?,
            intervals,
            usage: kind.usage,
            span,
        })
    }

    fn assigner(&self, kind: &Kind, zone: &TimeZone) -> SqlResult<Arc<dyn WindowAssigner>> {
        let scope = Scope {
            relation: None,
            fields: &[],
            zone,
        };
        let mut ms = Vec::with_capacity(self.intervals.len());
        for interval in &self.intervals {
            match scope.bind(interval)? {
                Typed {
                    expr: Expr::Literal(Value::Interval(value)),
                    ..
                } => ms.push(value),
                other => {
                    return Err(SqlError::new(format!(
                        "{} takes intervals, and this is {}",
                        kind.name, other.data_type
                    ))
                    .help(self.usage)
                    .at(interval.span()));
                }
            }
        }
        if ms.len() > kind.intervals {
            return Err(SqlError::unsupported(format!("the offset of {}", kind.name))
                .help("leave it out: Flink 2.2 itself loses rows of windows with an offset")
                .at(self.span));
        }
        (kind.build)(&ms).map_err(|error| error.at(self.span))
    }
}

fn descriptor(expr: &ast::Expr) -> Option<ast::Ident> {
    let ast::Expr::Function(function) = expr else {
        return None;
    };
    let ast::FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let is_descriptor = function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR");
    match (is_descriptor, list.args.as_slice()) {
        (true, [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Identifier(ident)))]) => {
            Some(ident.clone())
        }
        _ => None,
    }
}

impl Relation {
    fn scope<'s>(&'s self, zone: &'s TimeZone) -> Scope<'s> {
        Scope {
            relation: self.name.as_deref(),
            fields: &self.fields,
            zone,
        }
    }

    fn project(&mut self, fields: Vec<Field>, projection: Vec<Expr>) {
        let is_identity = projection.len() == self.fields.len()
            && projection
                .iter()
                .enumerate()
                .all(|(index, expr)| *expr == Expr::Column(index));
        self.fields = fields;
        if !is_identity {
            self.steps.push(Step::Calc {
                filter: None,
                projection: Some(projection),
            });
        }
    }

    fn rename(&mut self, alias: Option<&ast::TableAlias>) -> SqlResult<()> {
        if let Some(alias) = alias {
            self.name = Some(alias.name.value.clone());
            let columns: Vec<ast::Ident> = alias.columns.iter().map(|column| column.name.clone()).collect();
            self.set_names(&columns)?;
        }
        Ok(())
    }

    fn set_names(&mut self, names: &[ast::Ident]) -> SqlResult<()> {
        if names.is_empty() {
            return Ok(());
        }
        if names.len() != self.fields.len() {
            return Err(
                SqlError::new(format!("{} names for {} columns", names.len(), self.fields.len()))
                    .at(names[0].span),
            );
        }
        for (field, name) in self.fields.iter_mut().zip(names) {
            field.name.clone_from(&name.value);
        }
        Ok(())
    }

    fn refuse_updates(&self, what: &str) -> SqlResult<()> {
        if self.updating {
            return Err(
                SqlError::unsupported(format!("{what} over a result that changes"))
                    .help("group by the windows of TUMBLE first"),
            );
        }
        Ok(())
    }

    /// The session's zone, when the event time is a TIMESTAMP_LTZ: windows follow its wall clock.
    fn event_time_zone(&self, zone: &TimeZone) -> Option<TimeZone> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::WindowAssign { zone: own, .. } => Some(own.as_ref().map(|_| zone.clone())),
            _ => None,
        })?
    }

    /// Whether times of this job are instants rather than wall clocks.
    pub(crate) fn has_instants(&self) -> bool {
        match &self.source.watermark {
            Some((index, _)) => matches!(
                self.source.columns[*index].field.data_type,
                DataType::TimestampLtz(_)
            ),
            None => false,
        }
    }
}

impl fmt::Display for Relation {
    /// The plan, source first, for EXPLAIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}", self.source.name)?;
        if let Some((index, _)) = &self.source.watermark {
            write!(f, ", event time {}", self.source.columns[*index].field.name)?;
        }
        for step in &self.steps {
            match step {
                Step::Calc {
                    filter: Some(_),
                    projection: None,
                } => write!(f, "\n  filter")?,
                Step::Calc { filter: Some(_), .. } => write!(f, "\n  filter and project")?,
                Step::Calc { .. } => write!(f, "\n  project")?,
                Step::WindowAssign { name, .. } => write!(f, "\n  window {name}")?,
                Step::WindowAggregate(groups) => {
                    write!(
                        f,
                        "\n  aggregate each window: {} keys, {} aggregates",
                        groups.keys.len(),
                        groups.calls.len()
                    )?;
                }
                Step::GroupAggregate { keys, calls } => {
                    write!(
                        f,
                        "\n  aggregate, updating: {} keys, {} aggregates",
                        keys.len(),
                        calls.len()
                    )?;
                }
                Step::Limit(count) => write!(f, "\n  limit {count}")?,
            }
        }
        let columns: Vec<String> = self
            .fields
            .iter()
            .map(|field| format!("{} {}", field.name, field.data_type))
            .collect();
        write!(f, "\nresult ({})", columns.join(", "))
    }
}

fn scan(table: &Arc<Table>, span: Span) -> SqlResult<Relation> {
    match &table.connector {
        Connector::Kafka(kafka) => {
            if kafka.startup == Startup::Group && !kafka.properties.contains_key("group.id") {
                return Err(SqlError::new(format!(
                    "the table {} does not say where to start reading",
                    table.name
                ))
                .help("add 'scan.startup.mode' = 'earliest-offset', or a 'properties.group.id', to its WITH")
                .at(span));
            }
        }
        Connector::Print | Connector::Blackhole => {
            return Err(
                SqlError::new(format!("the table {} can only be written to", table.name))
                    .help("read from a table of the connector 'kafka'")
                    .at(span),
            );
        }
    }
    Ok(Relation {
        name: Some(table.name.clone()),
        source: Arc::clone(table),
        steps: Vec::new(),
        fields: table.fields(),
        updating: false,
    })
}

fn join_error(span: Span) -> SqlError {
    SqlError::unsupported("a join")
        .help("read one table; joins work on a real Flink")
        .at(span)
}

fn refuse_clauses(select: &ast::Select) -> SqlResult<()> {
    let clause = if select.qualify.is_some() {
        "QUALIFY"
    } else if !select.named_window.is_empty() {
        "WINDOW"
    } else if select.top.is_some() {
        "TOP"
    } else if select.into.is_some() {
        "SELECT INTO"
    } else if !select.lateral_views.is_empty() {
        "LATERAL VIEW"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(clause).at(select.span()))
}

fn limit_of(limit: &ast::LimitClause) -> SqlResult<u64> {
    match limit {
        ast::LimitClause::LimitOffset {
            limit: Some(ast::Expr::Value(value)),
            offset: None,
            limit_by,
        } if limit_by.is_empty() => match &value.value {
            ast::Value::Number(text, _) => text
                .parse()
                .map_err(|_| SqlError::new("LIMIT needs a whole number")),
            _ => Err(SqlError::new("LIMIT needs a whole number")),
        },
        _ => Err(SqlError::unsupported("OFFSET")
            .help("write LIMIT n")
            .at(limit.span())),
    }
}

/// Whether an aggregate is somewhere in it: then the query is grouped, also without GROUP BY.
fn has_aggregate(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    contains_aggregate(expr)
}

fn contains_aggregate(expr: &ast::Expr) -> bool {
    use ast::Expr as E;
    match expr {
        E::Function(function) => {
            let name = function.name.to_string();
            let is_aggregate = crate::expr::bind::AGGREGATES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name));
            let in_args = match &function.args {
                ast::FunctionArguments::List(list) => list.args.iter().any(|arg| {
                    matches!(arg, ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) if contains_aggregate(expr))
                }),
                _ => false,
            };
            (is_aggregate && function.over.is_none()) || in_args
        }
        E::Nested(a)
        | E::UnaryOp { expr: a, .. }
        | E::Cast { expr: a, .. }
        | E::IsNull(a)
        | E::IsNotNull(a) => contains_aggregate(a),
        E::BinaryOp { left, right, .. } => contains_aggregate(left) || contains_aggregate(right),
        E::Case {
            conditions,
            else_result,
            ..
        } => {
            conditions
                .iter()
                .any(|branch| contains_aggregate(&branch.condition) || contains_aggregate(&branch.result))
                || else_result.as_deref().is_some_and(contains_aggregate)
        }
        _ => false,
    }
}

fn role_of(typed: &Typed, role: impl Fn(usize) -> Option<Role>) -> Role {
    match typed.expr {
        Expr::Column(index) => role(index).unwrap_or_default(),
        _ => Role::Plain,
    }
}

/// The columns of a sink that a query fills.
pub(crate) fn writable_columns(table: &Table) -> SqlResult<Vec<usize>> {
    let mut writable = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        match column.source {
            ColumnSource::Physical => writable.push(index),
            ColumnSource::Metadata { is_virtual: true, .. } | ColumnSource::Computed(_) => {}
            ColumnSource::Metadata {
                key,
                is_virtual: false,
            } => {
                if key != super::catalog::Metadata::Timestamp {
                    return Err(SqlError::new(format!(
                        "the metadata column {} can't be written",
                        column.field.name
                    ))
                    .help("declare it as METADATA VIRTUAL"));
                }
                writable.push(index);
            }
        }
    }
    Ok(writable)
}

/// What INSERT INTO casts by itself: nothing that could lose digits.
fn implicitly_castable(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let rank = |t: &T| match t {
        T::TinyInt => Some(1),
        T::SmallInt => Some(2),
        T::Int => Some(3),
        T::BigInt => Some(4),
        T::Decimal(..) => Some(5),
        T::Float => Some(6),
        T::Double => Some(7),
        _ => None,
    };
    match (from, to) {
        (T::Null, _) => true,
        (a, b) if a == b => true,
        (a, b) if rank(a).is_some() && rank(b).is_some() => rank(a) <= rank(b),
        (a, b) if a.is_timestamp() && b.is_timestamp() => true,
        (T::Date, b) => b.is_timestamp(),
        (T::Time(_), T::Time(_)) => true,
        _ => false,
    }
}
