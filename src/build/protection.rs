//! How strictly the steps of a build are confined, and what they do without.

use std::sync::atomic::{AtomicBool, Ordering};

use overcoat_sandbox::{Enforcement, Spec, Strictness};

use super::{Event, Observer};

/// The strictness that a person chose for all steps of a build.
#[derive(Debug)]
pub(super) struct Protection {
    strictness: Strictness,
    /// Whether the person was told what is missing, which is the same for all steps.
    told: AtomicBool,
}

impl Protection {
    pub(super) fn new(strictness: Strictness) -> Self {
        Self {
            strictness,
            told: AtomicBool::new(false),
        }
    }

    /// Returns `spec` with the build's strictness.
    pub(super) fn of(&self, spec: &Spec) -> Spec {
        spec.clone().strictness(self.strictness)
    }

    /// Tells once what is missing of the protection of a step, if anything is.
    pub(super) fn report(&self, enforcement: &Enforcement, observer: &dyn Observer) {
        if enforcement.missing.is_empty() || self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let text = format!(
            "this build is less protected, because the kernel lacks {}",
            enforcement.missing.join("; ")
        );
        observer.event(&Event::Warning {
            image: "",
            text: &text,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use overcoat_sandbox::{Enforcement, Strictness};
    use serde_json::json;

    use super::Protection;
    use crate::build::{Event, Observer};

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Observer for Warnings {
        fn event(&self, event: &Event<'_>) {
            if let Event::Warning { text, .. } = event {
                self.0.lock().unwrap().push((*text).to_owned());
            }
        }
    }

    fn enforcement(missing: &[&str]) -> Enforcement {
        serde_json::from_value(json!({
            "landlock-abi": 5,
            "landlock-scopes": false,
            "landlock-pretended": false,
            "missing": missing,
            "network": "none",
            "seccomp": true,
            "ownership-recorded": true,
            "sync-suppressed": true,
            "capabilities": [],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_missing_is_told_once_in_a_build() {
        let warnings = Warnings::default();
        let protection = Protection::new(Strictness::BestEffort);
        for missing in [&[][..], &["locks", "walls"], &["locks", "walls"]] {
            protection.report(&enforcement(missing), &warnings);
        }
        assert_eq!(
            *warnings.0.lock().unwrap(),
            ["this build is less protected, because the kernel lacks locks; walls"]
        );
    }
}
