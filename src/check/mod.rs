//! Whether an extension will merge on a host, and whether it will work there.
//!
//! A pure function on two trees, the extension and the host's, and on what the image says of itself. Each theme has a
//! file, which looks at both and returns findings; [`RULES`] names all that can be found. Nothing is run, and whatever
//! is read may have been written by strangers.
//!
//! What is merged is seen as systemd-sysext(8) makes it: an overlay of the extension's hierarchies on the host's.

mod error;
mod finding;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod hierarchies;
mod libraries;
mod merged;
mod names;
mod objects;
mod owners;
mod protection;
mod release;
mod report;
mod rules;
mod scripts;
mod services;
mod shadowing;
mod size;
#[cfg(test)]
mod tests;
mod units;

pub use self::error::Error;
pub use self::finding::Finding;
pub use self::protection::{Protection, SignatureState};
pub use self::release::{Comparison, Verdict};
pub use self::report::{Host, Report, Subject, check};
pub use self::rules::{RULES, Rule};
pub use self::size::{Part, Sizes};
