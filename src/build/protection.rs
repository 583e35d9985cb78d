//! How strictly the steps of a build are confined, and what they do without.

use std::sync::atomic::{AtomicBool, Ordering};

use overcoat_sandbox::seccomp::Profile;
use overcoat_sandbox::{Enforcement, Spec, Strictness};

use super::{Event, Observer};
use crate::plan::KeyBuilder;
use crate::recipe::Grants;

/// Returns what becomes of a build on a kernel that lacks a part of Landlock that a promise needs.
pub fn strictness(grants: &Grants) -> Strictness {
    match grants.weaker_sandbox() {
        true => Strictness::BestEffort,
        false => Strictness::Required,
    }
}

/// The strictness that a person chose for all steps of a build.
#[derive(Debug)]
pub(super) struct Protection {
    strictness: Strictness,
    /// The person's own filter of system calls.
    profile: Option<Profile>,
    /// Whether the person was told what is missing, which is the same for all steps.
    told: AtomicBool,
}

impl Protection {
    pub(super) fn new(strictness: Strictness, profile: Option<&Profile>) -> Self {
        Self {
            strictness,
            profile: profile.cloned(),
            told: AtomicBool::new(false),
        }
    }

    /// Returns `spec` with the build's strictness and filter.
    pub(super) fn of(&self, spec: &Spec) -> Spec {
        let spec = spec.clone().strictness(self.strictness);
        match &self.profile {
            Some(profile) => spec.tighten(profile.clone()),
            None => spec,
        }
    }

    /// Adds the filter to the key of what steps make: a script that is refused something may do something else.
    pub(super) fn key(&self, key: KeyBuilder) -> KeyBuilder {
        match &self.profile {
            Some(profile) => {
                let text =
                    serde_json::to_vec(profile).expect("names and numbers can be serialised");
                key.field("seccomp profile", text)
            }
            None => key,
        }
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

    use overcoat_sandbox::seccomp::Profile;
    use overcoat_sandbox::{Enforcement, Strictness};
    use serde_json::json;

    use super::Protection;
    use crate::build::{Event, Observer};
    use crate::plan::KeyBuilder;

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
    fn profiles_have_layers_of_their_own() {
        let of = |call: &str| {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"name": "{call}", "action": "SCMP_ACT_ERRNO"}}]}}"#
            );
            Protection::new(Strictness::Required, Some(&Profile::parse(&text).unwrap()))
        };
        let key = |protection: Protection| protection.key(KeyBuilder::new("k")).finish();
        let none = Protection::new(Strictness::Required, None);
        assert_eq!(key(none), KeyBuilder::new("k").finish());
        assert_eq!(key(of("ptrace")), key(of("ptrace")));
        assert_ne!(key(of("ptrace")), key(of("chroot")));
        assert_ne!(key(of("ptrace")), KeyBuilder::new("k").finish());
    }

    #[test]
    fn what_is_missing_is_told_once_in_a_build() {
        let warnings = Warnings::default();
        let protection = Protection::new(Strictness::BestEffort, None);
        for missing in [&[][..], &["locks", "walls"], &["locks", "walls"]] {
            protection.report(&enforcement(missing), &warnings);
        }
        assert_eq!(
            *warnings.0.lock().unwrap(),
            ["this build is less protected, because the kernel lacks locks; walls"]
        );
    }
}
