//! `%` specifiers in values.

use super::bounds::Bounds;
use super::error::RecipeError;
use super::findings::Findings;
use super::origin::Origin;

/// Expands the specifiers in `text`, asking `lookup` for each letter; `None` when they stand for too much.
///
/// `lookup` answers `Err(None)` for a letter that means nothing and `Err(Some(setting))` for one whose setting is unset:
/// both stand for nothing, with a warning.
pub(super) fn expand(
    setting: &str,
    text: &str,
    origin: &Origin,
    bounds: &Bounds,
    lookup: impl Fn(char) -> Result<String, Option<&'static str>>,
    findings: &mut Findings,
) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        let letter = match characters.next() {
            // A lone `%` at the end stays as well.
            None | Some('%') => {
                expanded.push('%');
                continue;
            }
            Some(letter) => letter,
        };
        // Asking takes time, too.
        let value = bounds.may_expand().then(|| lookup(letter));
        let (origin, setting) = (origin.clone(), setting.to_owned());
        match value {
            Some(Ok(value)) if bounds.expand(value.len()) => expanded.push_str(&value),
            None | Some(Ok(_)) => {
                findings.error(RecipeError::ExpandedTooFar { origin, setting });
                return None;
            }
            Some(Err(Some(unset))) => findings.warn(RecipeError::UnsetSpecifier {
                origin,
                setting,
                letter,
                unset,
            }),
            Some(Err(None)) => findings.warn(RecipeError::UnknownSpecifier {
                origin,
                setting,
                letter,
            }),
        }
    }
    Some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_stand_for_values() {
        for (text, expected, warning) in [
            ("plain", "plain", None),
            ("%d-x", "debian-x", None),
            ("%%d", "%d", None),
            ("100%", "100%", None),
            (
                "a%vb",
                "ab",
                Some("--output: `%v` in `Output=` stands for `ImageVersion=`, which is not set"),
            ),
            (
                "a%zb",
                "ab",
                Some("--output: unknown specifier `%z` in `Output=`"),
            ),
        ] {
            let origin = Origin::CommandLine {
                option: "--output".to_owned(),
            };
            let lookup = |letter| match letter {
                'd' => Ok("debian".to_owned()),
                'v' => Err(Some("ImageVersion")),
                _ => Err(None),
            };
            let mut findings = Findings::default();
            let bounds = Bounds::default();
            let expanded = expand("Output", text, &origin, &bounds, lookup, &mut findings);
            assert_eq!(expanded.as_deref(), Some(expected), "{text}");
            let warnings = findings.settle().unwrap().warnings;
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            assert_eq!(warnings, Vec::from_iter(warning), "{text}");
        }
    }
}
