//! Events as JSON objects, one a line. Whoever prints them makes untrusted text in them inert.

use std::time::Duration;

use serde_json::{Value, json};

use super::Detail;
use crate::build::Event;

/// Returns the object of an event, or nothing for program output that was not asked for.
pub(super) fn object(event: &Event<'_>, detail: Detail) -> Option<Value> {
    Some(match *event {
        Event::BuildStarted { image_count } => {
            json!({ "event": "build-started", "image_count": image_count })
        }
        Event::ImageUpToDate { image } => json!({ "event": "image-up-to-date", "image": image }),
        Event::ImageDue { image, changes } => {
            let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
            json!({ "event": "image-due", "image": image, "changes": changes })
        }
        Event::ImageStarted { image } => json!({ "event": "image-started", "image": image }),
        Event::StepStarted { image, step } => {
            json!({ "event": "step-started", "image": image, "step": step })
        }
        Event::StepProgress {
            image,
            step,
            item,
            done,
            total,
        } => json!({
            "event": "step-progress",
            "image": image,
            "step": step,
            "item": item,
            "done": done,
            "total": total,
        }),
        Event::StepOutput { image, step, line } => {
            if detail != Detail::ProgramOutput {
                return None;
            }
            json!({ "event": "step-output", "image": image, "step": step, "line": line })
        }
        Event::StepFinished {
            image,
            step,
            elapsed,
            cached,
        } => json!({
            "event": "step-finished",
            "image": image,
            "step": step,
            "elapsed_seconds": elapsed.as_secs_f64(),
            "cached": cached,
        }),
        Event::OutputWritten {
            image,
            path,
            size_bytes,
            elapsed,
        } => json!({
            "event": "output-written",
            "image": image,
            "path": path.to_string_lossy(),
            "size_bytes": size_bytes,
            "elapsed_seconds": elapsed.as_secs_f64(),
        }),
        Event::Finding { image, finding } => {
            json!({ "event": "finding", "image": image, "finding": finding })
        }
        Event::Warning { image, text } => {
            json!({ "event": "warning", "image": image, "text": text })
        }
    })
}

/// Returns the last object of a build that succeeded.
pub(super) fn build_finished(elapsed: Duration) -> Value {
    json!({ "event": "build-finished", "elapsed_seconds": elapsed.as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_has_the_events_fields_and_escapes_untrusted_text() {
        let event = Event::StepOutput {
            image: "base",
            step: "install",
            line: "a\x1b\r",
        };
        assert_eq!(object(&event, Detail::Steps), None);
        assert_eq!(
            object(&event, Detail::ProgramOutput).map(|object| object.to_string()),
            Some(
                r#"{"event":"step-output","image":"base","line":"a\u001b\r","step":"install"}"#
                    .to_owned()
            )
        );
        let event = Event::StepFinished {
            image: "base",
            step: "install",
            elapsed: Duration::from_millis(1500),
            cached: false,
        };
        assert_eq!(
            object(&event, Detail::Steps),
            Some(json!({
                "event": "step-finished",
                "image": "base",
                "step": "install",
                "elapsed_seconds": 1.5,
                "cached": false,
            }))
        );
    }
}
