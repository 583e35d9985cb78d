//! What must hold of any text that reaches a terminal, and of limits that are typed.

use super::limits::LimitSetting;
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

/// The value of `--limit`: what is understood is a limit of some size, and said again it is the same.
pub fn limits(bytes: &[u8]) {
    for text in String::from_utf8_lossy(bytes).lines() {
        let Ok(setting) = LimitSetting::parse(text, "--limit") else {
            continue;
        };
        assert_ne!(setting.value(), Some(0));
        let value = setting.value().map(|value| value.to_string());
        let plain = format!("{}={}", setting.name(), value.as_deref().unwrap_or("none"));
        let again = LimitSetting::parse(&plain, "--limit");
        assert!(again.is_ok_and(|again| again == setting), "{plain}");
    }
}

fn is_control(c: char) -> bool {
    c != '\t' && c.is_control()
}
