//! What a check found, for people.

use crate::check::{Comparison, Finding, Part, Report, Verdict};
use crate::cli::table::{Align, size, table};
use crate::extension::{FindingItem, Severity};

/// How many places of a finding are shown; `--json` has them all.
const SHOWN: usize = 5;

pub(super) fn text(image: &str, report: &Report) -> String {
    let mut text = format!("{image}: a {}", report.kind);
    if let Some(file) = &report.release_file {
        text.push_str(&format!(", described by {file}"));
    }
    text.push_str("\n\n");
    if !report.comparison.is_empty() {
        text.push_str(&comparison(&report.comparison));
        text.push('\n');
    }
    for found in &report.findings {
        text.push_str(&finding(found));
        text.push('\n');
    }
    text.push_str(&sizes(report));
    let count = |severity| {
        let findings = report.findings.iter();
        findings.filter(|found| found.severity == severity).count()
    };
    let counts = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Note), "note"),
    ];
    let counts = counts.map(|(count, name)| match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    });
    text.push_str(&format!("{}\n", counts.join(", ")));
    text
}

fn comparison(rows: &[Comparison]) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let head = ["field", "extension", "host", "", "rule"].map(str::to_owned);
    let rows = rows.iter().map(|row| {
        let verdict = match row.verdict {
            Verdict::Fits => "fits",
            Verdict::Differs => "differs",
            Verdict::Ignored => "ignored",
            Verdict::Unknown => "unknown",
        };
        [
            row.field.to_owned(),
            or_none(&row.extension),
            or_none(&row.host),
            verdict.to_owned(),
            row.reason.to_owned(),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    table([Align::Left; 5], &rows)
}

fn finding(found: &Finding) -> String {
    let severity = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let rule = found.rule;
    let mut text = format!("{severity} {} {}: {}\n", rule.code, rule.name, found.reason);
    for item in found.items.iter().take(SHOWN) {
        text.push_str(&format!("    {}\n", place(item)));
    }
    if found.items.len() > SHOWN {
        text.push_str(&format!("    and {} more\n", found.items.len() - SHOWN));
    }
    if let Some(remedy) = &found.remedy {
        text.push_str(&format!("    hint: {remedy}\n"));
    }
    text
}

fn place(item: &FindingItem) -> String {
    match &item.reason {
        Some(reason) => format!("{}: {reason}", item.path),
        None => item.path.clone(),
    }
}

fn sizes(report: &Report) -> String {
    let sizes = &report.sizes;
    let mut text = format!("size without compression: {}\n", size(sizes.total_bytes));
    for (name, parts) in [
        ("directory", &sizes.directories),
        ("package", &sizes.packages),
    ] {
        if parts.is_empty() {
            continue;
        }
        let row = |part: &Part| [size(part.size_bytes), part.name.clone()];
        let head = ["size".to_owned(), name.to_owned()];
        let rows: Vec<_> = std::iter::once(head).chain(parts.iter().map(row)).collect();
        text.push_str(&table([Align::Right, Align::Left], &rows));
    }
    text.push('\n');
    text
}
