//! `%` specifiers in values.

use super::bounds::Bounds;
use super::error::RecipeError;
use super::origin::Origin;

/// Expands the specifiers in `text`, asking `lookup` for each letter.
///
/// `lookup` answers `Err(None)` for a letter that means nothing and `Err(Some(setting))` for one whose setting is unset.
pub(super) fn expand(
    setting: &str,
    text: &str,
    origin: &Origin,
    bounds: &Bounds,
    mut lookup: impl FnMut(char) -> Result<String, Option<&'static str>>,
) -> Result<String, RecipeError> {
    let mut expanded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match characters.next() {
            // mkosi keeps a lone `%` at the end as well.
            None | Some('%') => expanded.push('%'),
            Some(letter) => {
                let too_much = || RecipeError::ExpandedTooFar {
                    origin: origin.clone(),
                    setting: setting.to_owned(),
                };
                if !bounds.may_expand() {
                    return Err(too_much());
                }
                let value = lookup(letter).map_err(|unset| match unset {
                    Some(unset) => RecipeError::UnsetSpecifier {
                        origin: origin.clone(),
                        setting: setting.to_owned(),
                        letter,
                        unset,
                    },
                    None => RecipeError::UnknownSpecifier {
                        origin: origin.clone(),
                        setting: setting.to_owned(),
                        letter,
                    },
                })?;
                if !bounds.expand(value.len()) {
                    return Err(too_much());
                }
                expanded.push_str(&value);
            }
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_all(text: &str) -> Result<String, String> {
        let origin = Origin::CommandLine {
            option: "--output".to_owned(),
        };
        let bounds = Bounds::default();
        expand("Output", text, &origin, &bounds, |letter| match letter {
            'd' => Ok("debian".to_owned()),
            'v' => Err(Some("ImageVersion")),
            _ => Err(None),
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn specifiers_stand_for_values() {
        for (text, expanded) in [
            ("plain", Ok("plain")),
            ("%d-x", Ok("debian-x")),
            ("%%d", Ok("%d")),
            ("100%", Ok("100%")),
            (
                "%v",
                Err("--output: `%v` in `Output=` stands for `ImageVersion=`, which is not set"),
            ),
            ("%z", Err("--output: unknown specifier `%z` in `Output=`")),
        ] {
            assert_eq!(
                expand_all(text),
                expanded.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
