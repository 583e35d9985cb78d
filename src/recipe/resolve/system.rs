//! What the image is as a system, from the settings of `[Content]`.

use super::super::findings::Findings;
use super::super::resolved::{FileChoice, MachineId, RootPassword, System};
use super::super::values::Value;
use super::{Resolver, unsupported};
use crate::recipe::builtin;

/// The value that stands for the modules of the default initrd.
const DEFAULT: &str = "default";
/// The value that stands for the modules that the host has loaded.
const HOST: &str = "host";

impl Resolver<'_> {
    /// Returns what the image is as a system.
    pub(super) fn system(&self, findings: &mut Findings) -> System {
        System {
            machine_id: self.machine_id(findings),
            locale: self.text("Locale"),
            locale_messages: self.text("LocaleMessages"),
            keymap: self.text("Keymap"),
            timezone: self.text("Timezone"),
            hostname: self.text("Hostname"),
            root_password: self.root_password(),
            root_shell: self.text("RootShell"),
            autologin: self.boolean("Autologin", false),
            kernel_modules: self.files("KernelModules", findings).with_hyphens(),
            firmware: self.files("FirmwareFiles", findings),
        }
    }

    /// Returns the machine id as machine-id(5) writes it.
    fn machine_id(&self, findings: &mut Findings) -> Option<MachineId> {
        let sourced = self.one("MachineId")?;
        let text = sourced.value.to_string();
        if text != "random" {
            return Some(MachineId::Given(text.replace('-', "")));
        }
        let note = "`MachineId=random` is made of the recipe instead, so that builds repeat";
        findings.note(&sourced.origin, note);
        Some(MachineId::OfRecipe)
    }

    fn root_password(&self) -> Option<RootPassword> {
        match self.one("RootPassword")?.value {
            Value::Password { text, hashed: true } => Some(RootPassword::Hashed(text)),
            Value::Password {
                text,
                hashed: false,
            } => Some(RootPassword::Plain(text)),
            _ => None,
        }
    }

    fn files(&self, setting: &'static str, findings: &mut Findings) -> FileChoice {
        let mut patterns = Vec::new();
        for sourced in self.all(setting) {
            let value = sourced.value.to_string();
            match value.as_str() {
                DEFAULT if setting == "KernelModules" => patterns.extend(builtin::initrd_modules()),
                HOST if setting == "KernelModules" => {
                    let reason = "an image does not depend on the machine that it is built on";
                    findings.refuse(unsupported(setting, sourced, reason));
                }
                _ => patterns.push(value),
            }
        }
        FileChoice::new(patterns)
    }
}
