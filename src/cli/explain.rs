//! `overcoat explain`: what a build would make again, and why.

use std::fmt::Write;

use serde_json::{Value, json};

use super::output::Style;
use super::render::inert;
use crate::build::Explanation;

/// Returns a line for each image, and below it one for each change.
pub(super) fn text(images: &[Explanation], style: Style) -> String {
    let mut text = String::new();
    for explanation in images {
        let fate = match (&explanation.left_alone, explanation.is_due) {
            (Some(reason), _) => format!("left alone: {reason}"),
            (None, false) => "up to date".to_owned(),
            (None, true) if explanation.changes.is_empty() => "not built yet".to_owned(),
            (None, true) => "made again".to_owned(),
        };
        let image = inert(&explanation.image, style);
        let _ = writeln!(text, "{image}: {}", inert(&fate, style));
        for change in &explanation.changes {
            let _ = writeln!(text, "  {}", inert(&change.to_string(), style));
        }
    }
    text
}

/// Returns the same as an object.
pub(super) fn json(images: &[Explanation]) -> Value {
    let image = |explanation: &Explanation| {
        let changes: Vec<_> = { explanation.changes.iter() }
            .map(ToString::to_string)
            .collect();
        json!({
            "image": explanation.image,
            "due": explanation.is_due,
            "changes": changes,
            "left_alone": explanation.left_alone,
        })
    };
    json!({ "images": images.iter().map(image).collect::<Vec<_>>() })
}
