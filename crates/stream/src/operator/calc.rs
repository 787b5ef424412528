//! WHERE, HAVING and the select list.

use super::Operator;
use crate::error::RunError;
use crate::expr::{Env, Expr};
use crate::types::Record;

pub(crate) struct Calc {
    id: String,
    filter: Option<Expr>,
    /// `None`: the row as it is.
    projection: Option<Vec<Expr>>,
    watermark_ms: Option<i64>,
}

impl Calc {
    pub(crate) fn new(id: String, filter: Option<Expr>, projection: Option<Vec<Expr>>) -> Self {
        Self {
            id,
            filter,
            projection,
            watermark_ms: None,
        }
    }
}

impl Operator for Calc {
    fn id(&self) -> &str {
        &self.id
    }

    fn on_record(
        &mut self,
        _input: usize,
        record: Record,
        env: &Env,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        let env = Env {
            watermark_ms: self.watermark_ms,
            ..*env
        };
        if let Some(filter) = &self.filter
            && filter.truth(&record.row, &env)? != Some(true)
        {
            return Ok(());
        }
        let Some(projection) = &self.projection else {
            out.push(record);
            return Ok(());
        };
        let mut row = Vec::with_capacity(projection.len());
        for expr in projection {
            row.push(expr.eval(&record.row, &env)?);
        }
        out.push(Record { row, ..record });
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark_ms: i64,
        _env: &Env,
        _out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        self.watermark_ms = Some(watermark_ms);
        Ok(())
    }
}
