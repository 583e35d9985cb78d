//! Output of a confined command on its way to a person, piece by piece as it comes.

use crate::cli::output::Style;
use crate::cli::render::inert;

/// Makes output inert. What a piece ends in the middle of is held back until the rest is there.
#[derive(Debug)]
pub(super) struct Cleaner {
    style: Style,
    held: Vec<u8>,
}

/// A longer line is passed on in pieces, so that a command cannot make us hold its output without end.
const LONGEST_LINE: usize = 16 << 10;

impl Cleaner {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            held: Vec::new(),
        }
    }

    /// Returns what to write for `bytes`; for none, the end, all that is held back.
    pub(super) fn clean(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let count = match bytes.is_empty() {
            true => self.held.len(),
            false => self.complete(),
        };
        let ready: Vec<u8> = self.held.drain(..count).collect();
        let text = String::from_utf8_lossy(&ready);
        let lines = text.split_inclusive('\n').map(|line| {
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line.strip_suffix('\r').unwrap_or(line), "\n"),
                None => (line, ""),
            };
            inert(line, self.style).into_owned() + end
        });
        lines.collect::<String>().into_bytes()
    }

    /// Returns how many of the bytes that are held can be judged without those that follow.
    fn complete(&self) -> usize {
        let held = &self.held;
        if self.style.github_actions && held.len() < LONGEST_LINE {
            // What a line is to GitHub Actions depends on its beginning.
            return held
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
        }
        self.without_cut_character()
    }

    /// Returns the length without a character at the end that is not complete.
    fn without_cut_character(&self) -> usize {
        let held = &self.held;
        let tail = held.len().saturating_sub(3);
        let start = (tail..held.len()).rev().find(|at| held[*at] >= 0xc0);
        let is_cut = |start: &usize| {
            std::str::from_utf8(&held[*start..]).is_err_and(|error| error.error_len().is_none())
        };
        start.filter(is_cut).unwrap_or(held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(style: Style, pieces: &[&str]) -> Vec<String> {
        let mut cleaner = Cleaner::new(style);
        pieces
            .iter()
            .map(|piece| piece.as_bytes())
            .chain([[].as_slice()])
            .map(|piece| String::from_utf8(cleaner.clean(piece)).unwrap())
            .collect()
    }

    #[test]
    fn control_sequences_are_shown_instead_of_obeyed() {
        assert_eq!(
            cleaned(Style::default(), &["a\x1b]0;x\x07\r\n", "50%\r", "100%\n"]),
            ["a^[]0;x^G\n", "50%^M", "100%\n", ""]
        );
    }

    #[test]
    fn characters_that_come_in_pieces_arrive_whole() {
        let text = "é漢𝄞".as_bytes();
        for cut in 0..=text.len() {
            let mut cleaner = Cleaner::new(Style::default());
            let mut all = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                if !piece.is_empty() {
                    all.extend(cleaner.clean(piece));
                }
            }
            assert_eq!(all, text, "cut at {cut}");
        }
    }

    #[test]
    fn a_character_that_never_ends_is_replaced() {
        let mut cleaner = Cleaner::new(Style::default());
        assert_eq!(cleaner.clean(b"a\xf0\x9f"), b"a");
        assert_eq!(cleaner.clean(b""), "\u{fffd}".as_bytes());
        assert_eq!(cleaner.clean(b"\x9b31m"), "\u{fffd}31m".as_bytes());
    }

    #[test]
    fn commands_of_github_actions_are_recognised_in_pieces() {
        let style = Style {
            github_actions: true,
            ..Style::default()
        };
        assert_eq!(
            cleaned(style, &[":", ":set-env name=A::b\nrest"]),
            ["", "\\::set-env name=A::b\n", "rest"]
        );
    }

    #[test]
    fn a_line_without_end_is_not_held_for_ever() {
        let style = Style {
            github_actions: true,
            ..Style::default()
        };
        let mut cleaner = Cleaner::new(style);
        assert_eq!(cleaner.clean(&[b'a'; LONGEST_LINE]).len(), LONGEST_LINE);
    }
}
