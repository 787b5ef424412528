//! The `raw` format: the bytes of one STRING column.

use super::FormatError;
use crate::types::Value;

#[derive(Debug)]
pub(crate) struct RawColumn {
    pub(crate) column: usize,
}

impl RawColumn {
    pub(super) fn read(&self, bytes: &[u8], row: &mut [Value]) -> Result<(), FormatError> {
        // As Java decodes: what is no UTF-8 becomes the replacement character.
        let text = String::from_utf8_lossy(bytes);
        let slot = row
            .get_mut(self.column)
            .ok_or_else(|| FormatError("the row has no such column".into()))?;
        *slot = Value::string(text);
        Ok(())
    }

    pub(super) fn write(&self, row: &[Value]) -> Result<Option<Vec<u8>>, FormatError> {
        match row.get(self.column) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_bytes().to_vec())),
            Some(_) => Err(FormatError(
                "the format 'raw' writes STRING only: CAST the column".into(),
            )),
        }
    }
}
