//! A fuzzer's bytes as decisions.

/// What is left of an input. Where it is over, every choice is the first.
#[derive(Debug)]
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of so many.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// So many bytes as they are, or what is left.
    pub(super) fn raw(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of so many bytes.
    pub(super) fn number(&mut self, bytes: usize) -> i64 {
        (0..bytes).fold(0, |number, _| (number << 8) | i64::from(self.byte()))
    }
}
