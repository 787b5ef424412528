//! The shape of a request, just enough to bound what decoding it may allocate.
//!
//! The decoder reserves room for as many elements as an array's length claims. A peer may claim anything, so every
//! frame is walked first: lengths must fit into what is there, and all arrays together may have [`MAX_ELEMENTS`].

use bytes::{Buf, BufMut, BytesMut};
use uuid::Uuid;

/// All arrays of one frame together may have this many elements.
pub(crate) const MAX_ELEMENTS: usize = 200_000;

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The first version that has it.
    pub(crate) from: i16,
    /// The last one.
    pub(crate) to: i16,
}

/// What a field is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// Bytes or records, null or not.
    Bytes,
    /// An array of structures.
    Structs(&'static [Field]),
    /// A structure, or a single byte for none.
    Maybe(&'static [Field]),
    /// An array of plain values.
    Values(&'static Kind),
}

use Kind::{Bytes, Fixed, Maybe, Structs, Text, Values};

/// An 8-bit number or a boolean.
pub(crate) const I8: Kind = Fixed(1);
/// A 16-bit number.
pub(crate) const I16: Kind = Fixed(2);
/// A 32-bit number.
pub(crate) const I32: Kind = Fixed(4);
/// A 64-bit number.
pub(crate) const I64: Kind = Fixed(8);
/// A topic id.
pub(crate) const UUID: Kind = Fixed(ID_LEN);
/// Nothing but a topic id has this many bytes.
const ID_LEN: usize = 16;
/// Characters of an id's text.
const ID_TEXT: usize = 32;

/// A field of every version.
pub(crate) const fn all(kind: Kind) -> Field {
    Field {
        kind,
        from: 0,
        to: i16::MAX,
    }
}

/// A field from this version on.
pub(crate) const fn since(from: i16, kind: Kind) -> Field {
    Field {
        kind,
        from,
        to: i16::MAX,
    }
}

/// A field of these versions.
pub(crate) const fn between(from: i16, to: i16, kind: Kind) -> Field {
    Field { kind, from, to }
}

/// A frame that can't be what it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is malformed: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    /// How far from the body's end topic ids begin, where that is wanted.
    ids: Option<Vec<usize>>,
}

/// Checks the body of a request against its shape.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(body: &[u8], shape: &[Field], version: i16, flexible: bool) -> Result<(), Malformed> {
    walk(body, shape, version, flexible, None).map(|_| ())
}

/// The body of a version that has a topic's id where the one before has its name, as the version before it would be:
/// the id's text is the name.
///
/// # Errors
/// The body does not fit its shape.
pub(crate) fn ids_as_names(body: &[u8], shape: &[Field], version: i16) -> Result<BytesMut, Malformed> {
    let ids = walk(body, shape, version, true, Some(Vec::new()))?
        .ids
        .unwrap_or_default();
    let mut older = BytesMut::with_capacity(body.len() + ids.len() * ID_TEXT);
    let mut done = 0;
    for from_end in ids {
        let at = body.len() - from_end;
        older.put_slice(&body[done..at]);
        // Compact strings are one longer than they are.
        older.put_u8(ID_TEXT as u8 + 1);
        let id = Uuid::from_slice(&body[at..at + ID_LEN]).unwrap_or_default();
        older.put_slice(id.simple().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        done = at + ID_LEN;
    }
    older.put_slice(&body[done..]);
    Ok(older)
}

/// The id whose text a name is, as [`ids_as_names`] has made it.
pub(crate) fn id_of_name(name: &str) -> Uuid {
    Uuid::try_parse(name).unwrap_or_default()
}

fn walk<'a>(
    body: &'a [u8],
    shape: &[Field],
    version: i16,
    flexible: bool,
    ids: Option<Vec<usize>>,
) -> Result<Walk<'a>, Malformed> {
    let mut walk = Walk {
        rest: body,
        version,
        flexible,
        elements: 0,
        ids,
    };
    walk.fields(shape)?;
    Ok(walk)
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.value(&field.kind)?;
            }
        }
        if self.flexible { self.tags() } else { Ok(()) }
    }

    fn value(&mut self, kind: &Kind) -> Result<(), Malformed> {
        match kind {
            Fixed(len) => {
                if let Some(ids) = &mut self.ids
                    && *len == ID_LEN
                {
                    ids.push(self.rest.len());
                }
                self.skip(*len)
            }
            Text => {
                let len = if self.flexible {
                    self.compact_len()?
                } else {
                    i64::from(self.i16()?)
                };
                self.skip(usize::try_from(len).unwrap_or(0))
            }
            Bytes => {
                let len = if self.flexible {
                    self.compact_len()?
                } else {
                    i64::from(self.i32()?)
                };
                self.skip(usize::try_from(len).unwrap_or(0))
            }
            Structs(fields) => {
                for _ in 0..self.array_len()? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Maybe(fields) => {
                let mark = self.rest.try_get_i8().map_err(|_| Malformed("it ends early"))?;
                if mark < 0 { Ok(()) } else { self.fields(fields) }
            }
            Values(kind) => {
                for _ in 0..self.array_len()? {
                    self.value(kind)?;
                }
                Ok(())
            }
        }
    }

    fn array_len(&mut self) -> Result<usize, Malformed> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            i64::from(self.i32()?)
        };
        let len = usize::try_from(len).unwrap_or(0);
        self.elements += len;
        if len > self.rest.len() || self.elements > MAX_ELEMENTS {
            return Err(Malformed("an array is longer than the frame allows"));
        }
        Ok(len)
    }

    fn tags(&mut self) -> Result<(), Malformed> {
        let count = self.varint()? as usize;
        self.elements += count;
        if self.elements > MAX_ELEMENTS {
            return Err(Malformed("too many tagged fields"));
        }
        for _ in 0..count {
            self.varint()?;
            let len = self.varint()? as usize;
            self.skip(len)?;
        }
        Ok(())
    }

    fn compact_len(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(|_| Malformed("it ends early"))?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    fn i16(&mut self) -> Result<i16, Malformed> {
        self.rest.try_get_i16().map_err(|_| Malformed("it ends early"))
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.rest.try_get_i32().map_err(|_| Malformed("it ends early"))
    }

    fn skip(&mut self, len: usize) -> Result<(), Malformed> {
        if len > self.rest.len() {
            return Err(Malformed("a length points past its end"));
        }
        self.rest.advance(len);
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn left_over(
    body: &[u8],
    shape: &[Field],
    version: i16,
    flexible: bool,
) -> Result<usize, Malformed> {
    walk(body, shape, version, flexible, None).map(|walk| walk.rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[Field] = &[all(Structs(&[all(Text)]))];

    #[test]
    fn an_array_that_claims_too_much_is_refused_before_it_is_decoded() {
        let huge = i32::MAX.to_be_bytes();
        assert!(check(&huge, NAMES, 0, false).is_err());
        assert!(check(&[0, 0, 0, 1, 0, 1, b'a'], NAMES, 0, false).is_ok());
        assert!(check(&[0, 0, 0, 1, 0, 9, b'a'], NAMES, 0, false).is_err());
        assert!(check(&[2, 2, b'a', 0, 0], NAMES, 0, true).is_ok());
        assert!(check(&[0xff, 0xff, 0xff, 0xff, 0xff], NAMES, 0, true).is_err());
    }

    #[test]
    fn an_id_becomes_the_name_that_it_is_found_by() {
        const TOPIC: &[Field] = &[between(0, 1, Text), since(2, UUID), all(I32)];
        let shape = &[all(Structs(TOPIC)), all(I8)];
        let id = Uuid::from_u128(0x1234_5678);
        let newer = [&[2], id.as_bytes().as_slice(), &[0, 0, 0, 7, 0], &[9, 0]].concat();
        assert_eq!(left_over(&newer, shape, 2, true), Ok(0));
        let older = ids_as_names(&newer, shape, 2).unwrap();
        assert_eq!(left_over(&older, shape, 1, true), Ok(0));
        let name = std::str::from_utf8(&older[2..34]).unwrap();
        assert_eq!(id_of_name(name), id);
        assert_eq!(&older[34..], [0, 0, 0, 7, 0, 9, 0]);
        assert!(ids_as_names(&newer[..20], shape, 2).is_err());
    }
}
