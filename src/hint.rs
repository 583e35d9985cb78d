//! Advice that goes with an error, kept apart from its message.

/// An error that may know what the person can do about it.
///
/// The command line walks the chain of causes and prints each hint once, after the error.
pub trait Hint: std::error::Error {
    /// Returns advice as a sentence fragment without a final full stop, in which commands stand in backticks.
    fn hint(&self) -> Option<String>;
}

impl Hint for overcoat_sandbox::seccomp::ProfileError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

impl Hint for overcoat_sandbox::Error {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}
