//! One thing that is found, with everything that a person or a program wants to know of it.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::rules::{Rule, rule};
use crate::extension::{self, FindingItem, Severity};
use crate::tree::TreePath;

/// Something that keeps an extension from being merged or from working, or that is good to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    pub rule: &'static Rule,
    /// That of the rule unless the case is another.
    pub severity: Severity,
    /// What it is, as a sentence fragment.
    pub reason: String,
    /// What can be done about it, as a sentence fragment.
    pub remedy: Option<String>,
    /// The places that it is about.
    pub items: Vec<FindingItem>,
}

impl Finding {
    /// Returns what is found by the rule of that name.
    pub(super) fn new(name: &str, reason: impl Into<String>) -> Self {
        let rule = rule(name);
        Self {
            rule,
            severity: rule.severity,
            reason: reason.into(),
            remedy: None,
            items: Vec::new(),
        }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(super) fn at(mut self, path: &TreePath) -> Self {
        self.items.push(item(path, None));
        self
    }

    pub(super) fn items(mut self, items: impl IntoIterator<Item = FindingItem>) -> Self {
        self.items.extend(items);
        self
    }
}

/// Returns a place with what is so there.
pub(super) fn item(path: &TreePath, reason: Option<String>) -> FindingItem {
    FindingItem {
        path: format!("/{path}"),
        reason,
        remedies: Vec::new(),
    }
}

impl From<extension::Finding> for Finding {
    /// Builds find some of it too, and have no numbers for it.
    fn from(found: extension::Finding) -> Self {
        Self {
            rule: rule(found.code),
            severity: found.severity,
            reason: found.reason,
            remedy: found.remedy,
            items: found.items,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 6)?;
        fields.serialize_field("code", self.rule.code)?;
        fields.serialize_field("name", self.rule.name)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("reason", &self.reason)?;
        fields.serialize_field("remedy", &self.remedy)?;
        fields.serialize_field("items", &self.items)?;
        fields.end()
    }
}
