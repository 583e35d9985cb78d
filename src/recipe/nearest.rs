//! The name a person probably meant.

/// Returns the candidate nearest to `name`, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters wrong is still recognisably the same word; more is a guess.
    let limit = (name.chars().count() / 3).max(1);
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let name = lower(name);
    candidates
        .into_iter()
        .map(|candidate| (lower(candidate), candidate))
        // Each letter more or less is one to insert or delete. A name of megabytes is not worth a table of gigabytes.
        .filter(|(letters, _)| letters.len().abs_diff(name.len()) <= limit)
        .map(|(letters, candidate)| (distance(&name, &letters), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    // `rows[i][j]` is the distance between the first `i` letters of `a` and the first `j` of `b`.
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_find_their_neighbour() {
        let names = ["Packages", "PackageDirectories", "Output", "Overlay"];
        for (typed, meant) in [
            ("Pakages", Some("Packages")),
            ("packages", Some("Packages")),
            ("Package", Some("Packages")),
            ("Ouptut", Some("Output")),
            ("Otuput", Some("Output")),
            ("Frobnicate", None),
            ("", None),
            (&"P".repeat(1 << 20), None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
