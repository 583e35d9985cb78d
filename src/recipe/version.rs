//! Comparison of versions, as the UAPI group's version format specification orders them
//! (<https://uapi-group.org/specifications/specs/version_format_specification/>).

use std::cmp::Ordering;

/// Compares two versions.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let skipped = |c: char| !(c.is_ascii_alphanumeric() || "~-^.".contains(c));
        a = a.trim_start_matches(skipped);
        b = b.trim_start_matches(skipped);
        // `~` is below everything, even below the end.
        for (mark, present) in [
            ('~', Ordering::Less),
            ('\0', Ordering::Equal),
            ('-', Ordering::Less),
            ('^', Ordering::Less),
            ('.', Ordering::Less),
        ] {
            if mark == '\0' {
                match (a.is_empty(), b.is_empty()) {
                    (true, true) => return Ordering::Equal,
                    (true, false) => return Ordering::Less,
                    (false, true) => return Ordering::Greater,
                    (false, false) => continue,
                }
            }
            match (a.strip_prefix(mark), b.strip_prefix(mark)) {
                (Some(rest_a), Some(rest_b)) => (a, b) = (rest_a, rest_b),
                (Some(_), None) => return present,
                (None, Some(_)) => return present.reverse(),
                (None, None) => {}
            }
        }
        let is_digit = |c: char| c.is_ascii_digit();
        let numeric = a.starts_with(is_digit) || b.starts_with(is_digit);
        let is_part = |c: char| {
            if numeric {
                c.is_ascii_digit()
            } else {
                c.is_ascii_alphabetic()
            }
        };
        let (part_a, rest_a) = split(a, is_part);
        let (part_b, rest_b) = split(b, is_part);
        let ordering = if numeric {
            compare_numbers(part_a, part_b)
        } else {
            part_a.cmp(part_b)
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        if part_a.is_empty()
            && part_b.is_empty()
            && (rest_a, rest_b) == (a, b)
            && a.is_empty()
            && b.is_empty()
        {
            return Ordering::Equal;
        }
        (a, b) = (rest_a, rest_b);
    }
}

fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// Compares digits of any length; no digits are less than zero.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let digits = |text: &str| (!text.is_empty()).then(|| text.trim_start_matches('0').to_owned());
    let key = |text: &str| digits(text).map(|digits| (digits.len(), digits));
    key(a).cmp(&key(b))
}

/// Returns whether `version` satisfies a condition such as `>=1.2`; without an operator it must be equal.
pub(super) fn satisfies(version: &str, condition: &str) -> bool {
    type Test = fn(Ordering) -> bool;
    const OPERATORS: [(&str, Test); 6] = [
        ("==", Ordering::is_eq),
        ("!=", Ordering::is_ne),
        ("<=", Ordering::is_le),
        (">=", Ordering::is_ge),
        ("<", Ordering::is_lt),
        (">", Ordering::is_gt),
    ];
    for (operator, test) in OPERATORS {
        if let Some(other) = condition.strip_prefix(operator) {
            return test(compare(version, other.trim()));
        }
    }
    compare(version, condition).is_eq()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        // The examples of the specification.
        for (a, ordering, b) in [
            ("11", Ordering::Equal, "11"),
            ("systemd-123", Ordering::Equal, "systemd-123"),
            ("bar-123", Ordering::Less, "foo-123"),
            ("123a", Ordering::Greater, "123"),
            ("123.a", Ordering::Greater, "123"),
            ("123.a", Ordering::Less, "123.b"),
            ("123a", Ordering::Greater, "123.a"),
            ("11α", Ordering::Equal, "11β"),
            ("1~rc1", Ordering::Less, "1"),
            ("1.10", Ordering::Greater, "1.9"),
            ("1_", Ordering::Equal, "1"),
            ("1.01", Ordering::Equal, "1.1"),
            (
                "123456789012345678901",
                Ordering::Greater,
                "23456789012345678901",
            ),
        ] {
            assert_eq!(compare(a, b), ordering, "{a} {b}");
            assert_eq!(compare(b, a), ordering.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn conditions_compare() {
        for (version, condition, holds) in [
            ("1.2", "1.2", true),
            ("1.2", "==1.2", true),
            ("1.2", "!=1.2", false),
            ("1.10", ">=1.9", true),
            ("1.10", "> 1.10", false),
            ("1~rc1", "<1", true),
            ("2", "<=1", false),
        ] {
            assert_eq!(
                satisfies(version, condition),
                holds,
                "{version} {condition}"
            );
        }
    }
}
