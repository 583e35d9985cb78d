//! A line of a recipe with the words marked that a finding is about.

use std::fmt::Write as _;
use std::ops::Range;

use super::output::Style;
use super::render::{inert, push_visible};
use crate::recipe::Place;

/// How much of a line is shown, in columns of the terminal.
const MOST_COLUMNS: usize = 100;

/// How much of a long line is shown before what is marked.
const COLUMNS_BEFORE: usize = 30;

/// No line needs more bytes to fill the columns: a character has four at most, and some have no width.
const MOST_BYTES: usize = 1024;

/// Every so many columns there is a tab stop.
const TAB: usize = 4;

/// Renders the line of a place, and below it the mark and a remark.
pub(super) fn excerpt(place: &Place, colour: u8, remark: Option<&str>, style: Style) -> String {
    let shown = Shown::new(place.text(), place.range());
    let number = place.line().to_string();
    let gutter = " ".repeat(number.len());
    let mark = "^".repeat(shown.marked.len().max(1));
    let mut below = format!(
        "{}{}",
        " ".repeat(shown.marked.start),
        style.paint(colour, &mark)
    );
    if let Some(remark) = remark {
        let _ = write!(below, " {}", inert(remark, style));
    }
    // The number stands before what GitHub Actions would take for a command at the start of a line.
    let line = format!("  {number} | {}", shown.text);
    let line = inert(line.trim_end(), style);
    format!("{line}\n  {gutter} | {below}\n")
}

/// A line as the terminal shows it, or a part of it.
#[derive(Debug, Eq, PartialEq)]
struct Shown {
    text: String,
    /// The columns that are marked.
    marked: Range<usize>,
}

/// A character as the terminal shows it.
#[derive(Debug)]
struct Cell {
    text: String,
    columns: Range<usize>,
    is_marked: bool,
}

impl Shown {
    fn new(line: &str, marked: Range<usize>) -> Self {
        let near = near(line, &marked);
        let cells = cells(line, &near, &marked);
        let width = cells.last().map_or(0, |cell| cell.columns.end);
        let first = cells
            .iter()
            .find(|cell| cell.is_marked)
            .map_or(width, |cell| cell.columns.start);
        let end = |cells: &[Cell]| {
            let last = cells.iter().rfind(|cell| cell.is_marked);
            last.map_or(first, |cell| cell.columns.end)
        };
        let from = match end(&cells) <= MOST_COLUMNS {
            true => 0,
            false => first.saturating_sub(COLUMNS_BEFORE),
        };
        let until = from + MOST_COLUMNS;
        let is_cut = width > until || near.end < line.len();
        let visible: Vec<Cell> = cells
            .into_iter()
            .filter(|cell| cell.columns.start >= from && cell.columns.end <= until)
            .collect();
        let text: String = visible.iter().map(|cell| cell.text.as_str()).collect();
        let lead = match from > 0 || near.start > 0 {
            true => ELLIPSIS,
            false => "",
        };
        let trail = match is_cut {
            true => ELLIPSIS,
            false => "",
        };
        // A wide character may have been cut in two.
        let from = visible.first().map_or(from, |cell| cell.columns.start);
        let column = |column: usize| column.saturating_sub(from) + lead.len();
        Self {
            marked: column(first)..column(end(&visible).max(first)),
            text: format!("{lead}{text}{trail}"),
        }
    }
}

const ELLIPSIS: &str = "...";

/// Returns the bytes of a line that are near enough to be shown.
fn near(line: &str, marked: &Range<usize>) -> Range<usize> {
    let start = marked.start.saturating_sub(MOST_BYTES);
    let end = line.len().min(marked.start + MOST_BYTES);
    line.ceil_char_boundary(start)..line.floor_char_boundary(end)
}

fn cells(line: &str, near: &Range<usize>, marked: &Range<usize>) -> Vec<Cell> {
    let mut column = 0;
    line[near.clone()]
        .char_indices()
        .map(|(index, c)| {
            let text = match c {
                '\t' => " ".repeat(TAB - column % TAB),
                c => push_visible(String::new(), c),
            };
            let start = column;
            column += text.chars().map(width).sum::<usize>();
            Cell {
                text,
                columns: start..column,
                is_marked: marked.contains(&(near.start + index)),
            }
        })
        .collect()
}

/// Returns how many columns a terminal needs for a character.
///
/// These are the blocks of <https://www.unicode.org/reports/tr11/> and of combining marks that texts are likely to have.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x0591..=0x05bd
        | 0x0610..=0x061a
        | 0x064b..=0x065f
        | 0x0e34..=0x0e3a
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200d
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a line with the mark below it.
    fn shown(line: &str, marked: &str) -> (String, String) {
        let start = line.find(marked).unwrap();
        let shown = Shown::new(line, start..start + marked.len());
        let mark = " ".repeat(shown.marked.start) + &"^".repeat(shown.marked.len());
        (shown.text, mark)
    }

    #[test]
    fn mark_is_below_the_words() {
        for (line, marked, text, mark) in [
            ("Key=value", "value", "Key=value", "    ^^^^^"),
            ("\tKey=a\tb", "b", "    Key=a   b", "            ^"),
            ("x=漢字 b", "b", "x=漢字 b", "       ^"),
            ("x=漢字 b", "字", "x=漢字 b", "    ^^"),
            ("x=e\u{301} b", "b", "x=e\u{301} b", "    ^"),
            ("x=\u{1b}b", "\u{1b}", "x=^[b", "  ^^"),
            ("x=\u{202e}b", "b", "x=<U+202E>b", "          ^"),
        ] {
            assert_eq!(
                shown(line, marked),
                (text.to_owned(), mark.to_owned()),
                "{line}"
            );
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_words() {
        let long = format!("Key={} word {}", "a ".repeat(100), "b ".repeat(2000));
        let (text, mark) = shown(&long, "word");
        assert_eq!(mark, format!("{}^^^^", " ".repeat(33)));
        assert_eq!(text.len(), 106);
        assert!(text.starts_with("... a"), "{text}");
        assert!(text.ends_with("b b..."), "{text}");
        assert_eq!(&text[33..37], "word");

        let (text, mark) = shown(&long, &"b ".repeat(1000));
        assert_eq!(mark.len(), 103);
        assert!(text.starts_with("...a a"), "{text}");

        let (text, mark) = shown(&long, "Key");
        assert_eq!(text.len(), 103);
        assert_eq!(mark, "^^^");
    }

    #[test]
    fn end_of_a_line_can_be_marked() {
        let end = Shown::new("漢=", 4..4);
        assert_eq!((end.text.as_str(), end.marked), ("漢=", 3..3));
    }
}
