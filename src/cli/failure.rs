//! The end of a verb that failed: its errors, their hints, and the exit status.

use std::error::Error;

use super::args::ArgumentError;
use super::exit;
use super::limits::LimitError;
use super::output::{self, Style};
use super::render::{self, Knowledge, Severity, finding_of, hint_of};
use crate::recipe::{GrantError, RecipeError, RecipeErrors, in_order_of_lines};
use crate::{build, ddi, distribution, extension, plan, publish, signing, store};

/// Errors with the exit status that they lead to.
#[derive(Debug)]
pub(super) struct Failure {
    errors: Vec<(Severity, Box<dyn Error>)>,
    exit: u8,
}

/// Every type of error that knows a hint, or the line that caused it.
const KNOWN: Knowledge = Knowledge {
    hints: &[
        hint_of::<ArgumentError>,
        hint_of::<LimitError>,
        hint_of::<GrantError>,
        hint_of::<RecipeError>,
        hint_of::<plan::Error>,
        hint_of::<build::Error>,
        hint_of::<build::WriteError>,
        hint_of::<distribution::Error>,
        hint_of::<super::extract::Error>,
        hint_of::<extension::Error>,
        hint_of::<overcoat_sandbox::Error>,
        hint_of::<overcoat_sandbox::seccomp::ProfileError>,
        hint_of::<publish::Error>,
        hint_of::<signing::Error>,
        hint_of::<signing::GenerateError>,
        hint_of::<signing::OpenPgpError>,
        hint_of::<signing::WriteKeyError>,
        hint_of::<store::Error>,
        hint_of::<store::PlaceError>,
        hint_of::<ddi::SignError>,
        hint_of::<ddi::AssembleError<build::FileSystemError>>,
    ],
    findings: &[finding_of::<RecipeError>],
};

impl Failure {
    /// Returns the failure of one error.
    pub(super) fn new(error: impl Error + 'static, exit: u8) -> Self {
        Self {
            errors: vec![(Severity::Error, Box::new(error))],
            exit,
        }
    }

    /// Returns the failure of a recipe with all that is wrong with it.
    fn of_recipe<E: Error + 'static>(errors: Vec<E>) -> Self {
        let boxed = |error| (Severity::Error, Box::new(error) as Box<dyn Error>);
        Self {
            errors: errors.into_iter().map(boxed).collect(),
            exit: exit::BAD_RECIPE,
        }
    }

    /// Prints the errors and returns the exit status.
    pub(super) fn report(&self, style: Style) -> u8 {
        let errors = self.errors.iter();
        let errors = errors.map(|(severity, error)| (*severity, error.as_ref()));
        output::people(format_args!("{}", render::errors(errors, KNOWN, style)));
        self.exit
    }
}

impl From<RecipeErrors> for Failure {
    fn from(errors: RecipeErrors) -> Self {
        let (errors, warnings) = errors.into_parts();
        let exit = errors.iter().find_map(exit_of_program);
        let boxed =
            |(severity, error)| -> (Severity, Box<dyn Error>) { (severity, Box::new(error)) };
        Self {
            errors: by_line(errors, warnings).into_iter().map(boxed).collect(),
            exit: exit.unwrap_or(exit::BAD_RECIPE),
        }
    }
}

/// Merges what is found in a recipe, in the order of its lines.
fn by_line(errors: Vec<RecipeError>, warnings: Vec<RecipeError>) -> Vec<(Severity, RecipeError)> {
    let errors = errors.into_iter().map(|error| (Severity::Error, error));
    let warnings = warnings
        .into_iter()
        .map(|warning| (Severity::Warning, warning));
    let mut found: Vec<_> = errors.chain(warnings).collect();
    in_order_of_lines(&mut found, |(_, error)| error);
    found
}

/// Tells people what stops nothing.
pub(super) fn warn<'a>(warnings: impl IntoIterator<Item = &'a RecipeError>, style: Style) {
    let mut warnings: Vec<&RecipeError> = warnings.into_iter().collect();
    in_order_of_lines(&mut warnings, |warning| warning);
    let warnings = warnings
        .into_iter()
        .map(|warning| (Severity::Warning, warning as &(dyn Error + 'static)));
    output::people(format_args!("{}", render::errors(warnings, KNOWN, style)));
}

/// Returns the exit status for a program of a recipe that could not be confined: that is no mistake of the recipe.
fn exit_of_program(error: &RecipeError) -> Option<u8> {
    let RecipeError::Program { source, .. } = error else {
        return None;
    };
    let error = source.downcast_ref::<build::Error>()?;
    match () {
        () if error.is_missing_feature() => Some(exit::HOST_LACKS_FEATURE),
        () if error.is_sandbox_setup() => Some(exit::SANDBOX_SETUP),
        () => None,
    }
}

impl From<Vec<GrantError>> for Failure {
    fn from(errors: Vec<GrantError>) -> Self {
        Self::of_recipe(errors)
    }
}

impl From<Vec<plan::Error>> for Failure {
    fn from(errors: Vec<plan::Error>) -> Self {
        Self::of_recipe(errors)
    }
}

impl From<overcoat_sandbox::Error> for Failure {
    fn from(error: overcoat_sandbox::Error) -> Self {
        let exit = match error.is_missing_feature() {
            true => exit::HOST_LACKS_FEATURE,
            false => exit::SANDBOX_SETUP,
        };
        Self::new(error, exit)
    }
}

impl From<build::Error> for Failure {
    fn from(error: build::Error) -> Self {
        let exit = match () {
            () if error.is_interrupted() => exit::INTERRUPTED,
            () if error.is_bad_recipe() => exit::BAD_RECIPE,
            () if error.is_missing_feature() => exit::HOST_LACKS_FEATURE,
            () if error.is_sandbox_setup() => exit::SANDBOX_SETUP,
            () => exit::BUILD_FAILED,
        };
        Self::new(error, exit)
    }
}
