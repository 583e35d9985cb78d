//! How strictly the steps of a build are confined, and what they do without.

use overcoat_sandbox::seccomp::Profile;
use overcoat_sandbox::{Network, Spec, Strictness};

use crate::plan::KeyBuilder;
use crate::recipe::Grants;

/// Returns what becomes of a build on a kernel that lacks a part of Landlock that a promise needs.
pub fn strictness(grants: &Grants) -> Strictness {
    match grants.weaker_sandbox() {
        true => Strictness::BestEffort,
        false => Strictness::Required,
    }
}

/// Returns what the promises need and this kernel lacks, where a person lets a build go on without it.
pub fn missing_protection(grants: &Grants) -> Vec<String> {
    match grants.weaker_sandbox() {
        // No step has the host's network.
        true => overcoat_sandbox::missing_protection(&Network::None),
        false => Vec::new(),
    }
}

/// Says it in words; `None` for who lets nothing go on.
pub fn describe_weaker(grants: &Grants, missing: &[String]) -> Option<String> {
    grants.weaker_sandbox().then(|| match missing {
        [] => "`--allow=weaker-sandbox` is not needed: the kernel lacks nothing that is promised"
            .to_owned(),
        missing => format!(
            "the sandbox is weaker (`--allow=weaker-sandbox`): the kernel lacks {}",
            missing.join("; ")
        ),
    })
}

/// The strictness that a person chose for all steps of a build.
#[derive(Debug)]
pub(super) struct Protection {
    strictness: Strictness,
    /// The person's own filter of system calls.
    profile: Option<Profile>,
}

impl Protection {
    pub(super) fn new(strictness: Strictness, profile: Option<&Profile>) -> Self {
        Self {
            strictness,
            profile: profile.cloned(),
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use overcoat_sandbox::Strictness;
    use overcoat_sandbox::seccomp::Profile;

    use super::{Protection, describe_weaker, missing_protection};
    use crate::plan::KeyBuilder;
    use crate::recipe::{Grants, Origin};

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
    fn what_is_missing_is_told_to_who_asked_for_less() {
        let none = Grants::default();
        assert_eq!(missing_protection(&none), [""; 0]);
        assert_eq!(describe_weaker(&none, &["walls".to_owned()]), None);
        let given = [("weaker-sandbox", Origin::Default)];
        let grants = Grants::read(given, Path::new("/")).unwrap();
        let missing = ["locks".to_owned(), "walls".to_owned()];
        for (missing, expected) in [
            (
                &missing[..],
                "the sandbox is weaker (`--allow=weaker-sandbox`): the kernel lacks locks; walls",
            ),
            (
                &[],
                "`--allow=weaker-sandbox` is not needed: the kernel lacks nothing that is promised",
            ),
        ] {
            assert_eq!(describe_weaker(&grants, missing).unwrap(), expected);
        }
    }
}
