//! The encodings that records of `__consumer_offsets` are made of: Kafka's plain fields, and the compact ones with
//! tagged fields at the end.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// A record that ends early, or holds what it can't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn;

/// Writes fields.
#[derive(Debug, Default)]
pub(crate) struct Writer(BytesMut);

impl Writer {
    /// A value of this version.
    pub(crate) fn version(version: i16) -> Self {
        let mut writer = Self::default();
        writer.i16(version);
        writer
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(crate) fn uuid(&mut self, id: Uuid) {
        self.0.put_slice(id.as_bytes());
    }

    // Lengths fit: every string came in a request, whose strings have 16-bit lengths.
    pub(crate) fn string(&mut self, text: &str) {
        self.0.put_i16(text.len() as i16);
        self.0.put_slice(text.as_bytes());
    }

    pub(crate) fn nullable(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.0.put_i16(-1),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.put_i32(bytes.len() as i32);
        self.0.put_slice(bytes);
    }

    pub(crate) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.0.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }

    /// The length of what follows, as compact fields have it: one more than it is.
    pub(crate) fn compact_len(&mut self, len: usize) {
        self.varint(len as u32 + 1);
    }

    pub(crate) fn compact(&mut self, text: &str) {
        self.compact_bytes(text.as_bytes());
    }

    pub(crate) fn compact_nullable(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.compact(text),
            None => self.varint(0),
        }
    }

    pub(crate) fn compact_bytes(&mut self, bytes: &[u8]) {
        self.compact_len(bytes.len());
        self.0.put_slice(bytes);
    }

    pub(crate) fn no_tags(&mut self) {
        self.varint(0);
    }

    /// The tagged fields: one of number 0.
    pub(crate) fn one_tag(&mut self, write: impl FnOnce(&mut Self)) {
        let mut field = Self::default();
        write(&mut field);
        self.varint(1);
        self.varint(0);
        self.varint(field.0.len() as u32);
        self.0.put_slice(&field.0);
    }
}

/// Reads fields.
#[derive(Debug, Clone)]
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    fn take(&mut self, len: usize) -> Result<Bytes, Torn> {
        if self.0.remaining() < len {
            return Err(Torn);
        }
        Ok(self.0.split_to(len))
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Torn> {
        self.0.try_get_i8().map_err(|_| Torn)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Torn> {
        self.0.try_get_i16().map_err(|_| Torn)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Torn> {
        self.0.try_get_i32().map_err(|_| Torn)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Torn> {
        self.0.try_get_i64().map_err(|_| Torn)
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, Torn> {
        let bytes = self.take(16)?;
        Uuid::from_slice(&bytes).map_err(|_| Torn)
    }

    fn text(bytes: &Bytes) -> Result<String, Torn> {
        String::from_utf8(bytes.to_vec()).map_err(|_| Torn)
    }

    pub(crate) fn nullable(&mut self) -> Result<Option<String>, Torn> {
        let Ok(len) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        Self::text(&self.take(len)?).map(Some)
    }

    pub(crate) fn string(&mut self) -> Result<String, Torn> {
        self.nullable()?.ok_or(Torn)
    }

    /// Bytes; none for null.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Torn> {
        match usize::try_from(self.i32()?) {
            Ok(len) => self.take(len),
            Err(_) => Ok(Bytes::new()),
        }
    }

    /// The length of an array whose elements are of one byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, Torn> {
        let count = usize::try_from(self.i32()?.max(0)).map_err(|_| Torn)?;
        if count > self.0.remaining() {
            return Err(Torn);
        }
        Ok(count)
    }

    pub(crate) fn varint(&mut self) -> Result<u32, Torn> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.0.try_get_u8().map_err(|_| Torn)?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).ok_or(Torn)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Torn)
    }

    fn compact_len(&mut self) -> Result<Option<usize>, Torn> {
        let Some(len) = self.varint()?.checked_sub(1) else {
            return Ok(None);
        };
        let len = usize::try_from(len).map_err(|_| Torn)?;
        if len > self.0.remaining() {
            return Err(Torn);
        }
        Ok(Some(len))
    }

    /// The length of a compact array whose elements are of one byte at least.
    pub(crate) fn compact_count(&mut self) -> Result<usize, Torn> {
        Ok(self.compact_len()?.unwrap_or(0))
    }

    pub(crate) fn compact_bytes(&mut self) -> Result<Bytes, Torn> {
        let len = self.compact_len()?.unwrap_or(0);
        self.take(len)
    }

    pub(crate) fn compact_nullable(&mut self) -> Result<Option<String>, Torn> {
        match self.compact_len()? {
            Some(len) => Self::text(&self.take(len)?).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn compact(&mut self) -> Result<String, Torn> {
        self.compact_nullable()?.ok_or(Torn)
    }

    /// Skips the tagged fields; the one of number 0 is given back.
    pub(crate) fn tags(&mut self) -> Result<Option<Reader>, Torn> {
        let mut first = None;
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let len = usize::try_from(self.varint()?).map_err(|_| Torn)?;
            let field = self.take(len)?;
            if tag == 0 {
                first = Some(Reader(field));
            }
        }
        Ok(first)
    }
}
