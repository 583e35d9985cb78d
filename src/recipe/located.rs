//! How a mistake is shown: the words it is about, what is wrong with them, and what was probably meant.

use super::error::RecipeError;
use super::place::Place;

/// What is known of an error that words of a configuration file cause.
#[derive(Clone, Debug)]
pub struct Finding {
    pub place: Place,
    /// What is wrong, without the place.
    pub message: String,
    /// What to write beside the words.
    pub remark: Option<String>,
}

/// An error that words of a configuration file may have caused.
pub trait Located: std::error::Error {
    /// Returns the words and what is wrong with them; `None` when the error is nobody's line.
    fn finding(&self) -> Option<Finding>;
}

impl Located for RecipeError {
    fn finding(&self) -> Option<Finding> {
        let origin = self.origin()?;
        let place = self.narrowed(origin.place()?);
        let text = self.to_string();
        let message = text.strip_prefix(&format!("{origin}: ")).unwrap_or(&text);
        Some(Finding {
            place,
            message: message.to_owned(),
            remark: self.meant(),
        })
    }
}

impl RecipeError {
    /// Returns which of the words of an assignment are wrong.
    fn narrowed(&self, place: &Place) -> Place {
        match self {
            Self::Syntax { .. } | Self::UnknownSection { .. } | Self::Assertion { .. } => {
                place.clone()
            }
            Self::UnknownSetting { .. }
            | Self::UnknownCondition { .. }
            | Self::UnsupportedCondition { .. }
            | Self::FormerName { .. }
            | Self::WrongSection { .. }
            | Self::Scope { .. } => place.of_key(),
            Self::Value { value, .. } | Self::Unsupported { value, .. } => place.of_word(value),
            Self::UnknownSpecifier { letter, .. } | Self::UnsetSpecifier { letter, .. } => {
                place.of_word(&format!("%{letter}"))
            }
            Self::UnknownDelayedSpecifier { letter, .. } => place.of_word(&format!("&{letter}")),
            Self::NoMatch { pattern: word, .. } | Self::PathVariable { path: word, .. } => {
                place.of_word(word)
            }
            Self::UnsetVariable { name, .. }
            | Self::UnknownImage { name, .. }
            | Self::MissingProfile { name, .. }
            | Self::CallersVariable { name, .. } => place.of_word(name),
            _ => place.of_words(),
        }
    }
}
