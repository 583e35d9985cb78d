//! What a setting's text may be, and the value it stands for.
//!
//! The kinds and what they accept are mkosi's. Nothing is started to parse a value, and only what [`Vantage`] permits is
//! looked at in the file system.

mod glob;
mod keys;
mod kind;
mod parse;
mod paths;
mod runtime;
mod scalars;
mod uki;
mod value;
mod vantage;
mod words;

#[cfg(test)]
mod tests;

pub use self::kind::{Kind, PathRule, TreeRule};
pub(super) use self::parse::{found, idle_words, open_secret, parse, violation};
pub(super) use self::paths::{PATH_LIMIT_BYTES, normal};
pub(super) use self::scalars::feature;
pub use self::value::{Credential, Drive, Feature, TreeSource, UkiProfile, Value};
pub(super) use self::vantage::{Denied, Outlook, Refused, Vantage};
