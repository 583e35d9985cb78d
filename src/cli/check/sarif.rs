//! What a check found, in the form that code scanning takes: SARIF 2.1.0
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde_json::{Value, json};

use crate::check::{Finding, RULES, Report, Rule};
use crate::extension::{FindingItem, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Returns the log of a run on `image`: a result for each place, and one for a finding that has none.
pub(super) fn log(image: &str, report: &Report) -> Value {
    let rules: Vec<Value> = RULES.iter().map(rule).collect();
    let results: Vec<Value> = report
        .findings
        .iter()
        .flat_map(|finding| results(image, finding))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "overcoat",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            "artifacts": [{ "location": { "uri": uri(image) } }],
            "results": results,
        }],
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": { "text": rule.summary },
        "defaultConfiguration": { "level": level(rule.severity) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn results(image: &str, finding: &Finding) -> Vec<Value> {
    match finding.items.is_empty() {
        true => vec![result(image, finding, None)],
        false => {
            let items = finding.items.iter();
            items
                .map(|item| result(image, finding, Some(item)))
                .collect()
        }
    }
}

/// Places in an image are no files of a repository: the image is the file, and the place in it a logical one.
fn result(image: &str, finding: &Finding, item: Option<&FindingItem>) -> Value {
    let mut message = finding.reason.clone();
    if let Some(item) = item {
        message.push_str(&format!(" ({}", item.path));
        if let Some(reason) = &item.reason {
            message.push_str(&format!(": {reason}"));
        }
        message.push(')');
    }
    if let Some(remedy) = &finding.remedy {
        message.push_str(&format!("\n{remedy}"));
    }
    let mut location = json!({
        "physicalLocation": { "artifactLocation": { "uri": uri(image), "index": 0 } },
    });
    if let Some(item) = item {
        location["logicalLocations"] =
            json!([{ "fullyQualifiedName": item.path, "kind": "resource" }]);
    }
    let index = RULES.iter().position(|rule| rule == finding.rule);
    json!({
        "ruleId": finding.rule.code,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [location],
    })
}

/// Returns a path as a reference: relative, or `file:`, with everything encoded that is no plain letter.
fn uri(path: &str) -> String {
    let mut uri = match path.starts_with('/') {
        true => "file://".to_owned(),
        false => String::new(),
    };
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
