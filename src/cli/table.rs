//! Sizes, times and tables as text.

use std::time::Duration;

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// Returns a size with one decimal in the largest unit it fills.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, so that no floating point rounds a byte count.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Returns a time as a person says it: `0.4 s`, `12.3 s`, `2 min 05 s`.
pub(super) fn time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        format!("{seconds}.{} s", elapsed.subsec_millis() / 100)
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Which edge of its column a cell stands at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lays rows out in columns as wide as their widest cell; the first row is the header.
pub(super) fn table<const N: usize>(aligns: [Align; N], rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .zip(aligns)
            .map(|((cell, width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_has_one_decimal_and_never_rounds_up() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (5 * 1024 * 1024 + 512 * 1024, "5.5 MiB"),
            (2 << 30, "2.0 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn time_has_tenths_below_a_minute() {
        let times = [
            (0, "0.0 s"),
            (490, "0.4 s"),
            (59_990, "59.9 s"),
            (60_000, "1 min 00 s"),
            (3_725_000, "62 min 05 s"),
        ];
        for (milliseconds, text) in times {
            assert_eq!(time(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let rows = [
            ["image".to_owned(), "size".to_owned()],
            ["b".to_owned(), "1.0 KiB".to_owned()],
        ];
        assert_eq!(
            table([Align::Left, Align::Right], &rows),
            "image     size\nb      1.0 KiB\n"
        );
        assert_eq!(
            table([Align::Left, Align::Left], &rows),
            "image  size\nb      1.0 KiB\n"
        );
    }
}
