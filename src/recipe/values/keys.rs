//! Keys, certificates, and where they come from.

use super::kind::PathRule;
use super::paths::{self, normal, python_path};
use super::value::Value;
use super::vantage::{Refused, Vantage};

/// Reads the path of a file that is there, or takes the text for the URI of a key that a provider has.
pub(super) fn key(text: &str, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    if vantage.lacks(&normal(&vantage.directory.join(text))) {
        return Ok(Value::Text(python_path(text)));
    }
    paths::path(text, PathRule::PRESENT, vantage).map(Value::Path)
}

/// Reads `file`, `engine:NAME` or `provider:NAME`.
pub(super) fn source(text: &str, kinds: &[&str]) -> Result<Value, Refused> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    if kinds.contains(&kind) {
        return Ok(Value::KeySource {
            kind: kind.to_owned(),
            name: name.to_owned(),
        });
    }
    let named = kinds.iter().filter(|kind| **kind != "file");
    let forms: Vec<String> = named.map(|kind| format!("`{kind}:NAME`")).collect();
    Err(Refused::new(
        text,
        format!("`file` or {}", forms.join(" or ")),
    ))
}
