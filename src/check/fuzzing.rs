//! What must hold of any extension on any base.

use super::{Host, RULES, Subject, check};
use crate::tree::fuzzing::{Bytes, tree};

/// The check ends, and each finding has a rule.
pub fn checked_extension(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (Some(base), Some(payload)) = (tree(&mut bytes), tree(&mut bytes)) else {
        return;
    };
    let subject = Subject {
        name: "x.raw",
        tree: &payload,
        protection: None,
        packages: &[],
    };
    let Ok(of_tree) = Host::of_tree(&base) else {
        return;
    };
    for host in [of_tree, Host::default()] {
        let Ok(report) = check(&subject, &host) else {
            return;
        };
        for finding in &report.findings {
            assert!(RULES.contains(finding.rule) && !finding.reason.is_empty());
        }
    }
}
