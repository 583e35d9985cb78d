//! Takes values out of a fuzzer's input, so that every input stands for something.

/// The rest of an input. What is taken past its end is zero or empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn number(&mut self) -> u32 {
        let mut number = [0; 4];
        let taken = self.take(4);
        number[..taken.len()].copy_from_slice(taken);
        u32::from_le_bytes(number)
    }

    /// Takes a length of one byte, and as many bytes.
    pub(crate) fn text(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    /// Takes one of `choices`.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}
