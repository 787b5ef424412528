//! LIMIT: the first rows, then nothing.

use super::Operator;
use crate::error::RunError;
use crate::expr::Env;
use crate::types::Record;

pub(crate) struct Limit {
    id: String,
    left: u64,
}

impl Limit {
    pub(crate) fn new(id: String, count: u64) -> Self {
        Self { id, left: count }
    }
}

impl Operator for Limit {
    fn id(&self) -> &str {
        &self.id
    }

    fn on_record(
        &mut self,
        _input: usize,
        record: Record,
        _env: &Env,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        if self.left > 0 {
            self.left -= 1;
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<serde_json::Value>, RunError> {
        Ok(Some(self.left.into()))
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), RunError> {
        self.left = state
            .as_u64()
            .ok_or_else(|| RunError::State(format!("{} holds no number", self.id)))?;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}
