//! What must hold of any text that reaches a terminal.

use super::output::Style;
use super::render::{indented, inert};

/// A line of text from elsewhere does nothing, and is still the text where it did nothing before.
pub fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for github_actions in [false, true] {
        let style = Style {
            colour: false,
            github_actions,
        };
        let whole = indented(&text, "", style);
        for shown in text.lines().map(|line| inert(line, style)) {
            assert!(!shown.contains(is_control), "{shown:?}");
            assert_eq!(inert(&shown, style), shown);
            if github_actions {
                assert!(!shown.trim_start().starts_with("::") && !shown.contains("##["));
            }
        }
        assert!(!whole.contains(|c| c != '\n' && is_control(c)), "{whole:?}");
    }
}

fn is_control(c: char) -> bool {
    c != '\t' && c.is_control()
}
