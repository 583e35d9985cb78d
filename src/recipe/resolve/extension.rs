//! What an extension-release file is to say, from the settings of `[Overcoat]`.

use super::super::error::RecipeError;
use super::super::extension::ExtensionSettings;
use super::super::findings::Findings;
use super::super::resolved::Format;
use super::super::values::Value;
use super::Resolver;

impl Resolver<'_> {
    /// Returns what the recipe says of the extension; other images have none, and no mistakes about it.
    pub(super) fn extension(
        &self,
        format: Option<Format>,
        findings: &mut Findings,
    ) -> ExtensionSettings {
        if !format.is_some_and(Format::is_extension) {
            return ExtensionSettings::default();
        }
        let restart_units = self.each_once("RestartUnits");
        let mut reload_or_restart_units = self.each_once("ReloadOrRestartUnits");
        // systemd restarts what is in both.
        reload_or_restart_units.retain(|unit| !restart_units.contains(unit));
        let has_units = !restart_units.is_empty() || !reload_or_restart_units.is_empty();
        ExtensionSettings {
            id: self.text("ExtensionId"),
            level: self.text("ExtensionLevel"),
            scope: self.each_once("ExtensionScope"),
            reload_manager: self.reload_manager(has_units, findings),
            restart_units,
            reload_or_restart_units,
        }
    }

    /// Returns whether units are read again: systemd cannot restart units of an extension that it does not know of.
    fn reload_manager(&self, has_units: bool, findings: &mut Findings) -> Option<bool> {
        let Some(sourced) = self.one("ReloadManager") else {
            return has_units.then_some(true);
        };
        let Value::Boolean(reload) = sourced.value else {
            return None;
        };
        if has_units && !reload {
            findings.error(RecipeError::Value {
                origin: sourced.origin,
                setting: "ReloadManager".to_owned(),
                value: "no".to_owned(),
                expected: "`yes`, because units that are restarted are read first".to_owned(),
                nearest: None,
            });
        }
        Some(reload)
    }

    /// Returns the words of a list without those that were there before.
    fn each_once(&self, name: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for word in self.texts(name) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}
