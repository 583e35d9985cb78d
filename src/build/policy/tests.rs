//! The table as a whole, and that a specification is no more than its row.

use std::fmt::Write as _;
use std::path::Path;

use overcoat_sandbox::{IdMapping, Spec};

use super::host::{Host, TopLevel};
use super::{Column, Network, Places, StepKind, policy, spec};
use crate::build::Limits;

/// A host that is the same everywhere.
fn host() -> Host {
    Host {
        top_level: vec![("/bin".into(), TopLevel::Link("usr/bin".into()))],
        hidden: vec!["/usr/local".into()],
        files: vec!["/etc/alternatives".into()],
        network_files: vec![("/run/resolv.conf".into(), "/etc/resolv.conf".into())],
        variables: vec![
            ("http_proxy".into(), "http://proxy".into()),
            ("SECRET".into(), "x".into()),
        ],
    }
}

fn of(kind: StepKind, command: Vec<String>, places: &Places, ids: IdMapping) -> Spec {
    let limits = Limits::for_this_machine();
    spec(policy(kind), command, &host(), places, ids, &limits)
}

fn json(kind: StepKind) -> serde_json::Value {
    let places = Places::below(Path::new("/"));
    let command = vec!["COMMAND".to_owned()];
    of(kind, command, &places, IdMapping::Single)
        .to_json()
        .unwrap()
}

/// What a specification holds that can differ between kinds of steps, a line each.
fn sight(kind: StepKind) -> String {
    let json = json(kind);
    let words = |value: &serde_json::Value| -> String {
        let words = value.as_array().into_iter().flatten();
        let words: Vec<&str> = words.filter_map(serde_json::Value::as_str).collect();
        words.join(" ")
    };
    let mut text = String::new();
    for mount in json["oci"]["mounts"].as_array().unwrap() {
        let mut options = words(&mount["options"]);
        if !options.is_empty() {
            options.insert(0, ' ');
        }
        let [kind, source, target] =
            ["type", "source", "destination"].map(|key| mount[key].as_str().unwrap());
        let _ = writeln!(text, "    {target} = {kind} {source}{options}");
    }
    for entry in json["entries"].as_array().unwrap() {
        let path = entry["path"].as_str().unwrap();
        let _ = writeln!(text, "    {path}");
    }
    for variable in json["oci"]["process"]["env"].as_array().unwrap() {
        let _ = writeln!(text, "    {}", variable.as_str().unwrap());
    }
    for name in ["network", "ids", "ownership", "suppress_sync"] {
        let _ = writeln!(text, "    {name}: {}", json[name]);
    }
    text
}

fn whole_table() -> String {
    let mut text = String::new();
    for kind in StepKind::ALL {
        let _ = writeln!(text, "{}{}", policy(kind).describe(), sight(kind));
    }
    text
}

/// When this fails, a step sees more or less than before: say why in the commit. With `OVERCOAT_WRITE_TABLE=1` the test
/// writes the file.
#[test]
fn no_step_sees_more_than_was_reviewed() {
    let table = whole_table();
    if std::env::var_os("OVERCOAT_WRITE_TABLE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/build/policy/table.txt");
        fs_err::write(path, &table).unwrap();
    }
    assert_eq!(table, include_str!("table.txt"));
}

#[test]
fn every_cell_that_grants_something_has_a_reason_and_no_other() {
    for kind in StepKind::ALL {
        let row = policy(kind);
        assert_eq!(row.kind, kind);
        for cell in row.cells() {
            assert_eq!(
                cell.reason.is_some(),
                !cell.is_least,
                "{}: {}",
                row.name,
                cell.column.name()
            );
        }
        assert_eq!(
            row.reasons.len(),
            row.cells().filter(|cell| cell.reason.is_some()).count(),
            "{}",
            row.name
        );
    }
}

#[test]
fn kinds_are_found_by_their_names() {
    for kind in StepKind::ALL {
        assert_eq!(StepKind::of_name(policy(kind).name), Some(kind));
    }
    assert_eq!(StepKind::of_name(""), None);
}

#[test]
fn steps_with_a_network_see_no_image_and_no_sources_and_run_without_privileges() {
    for kind in StepKind::ALL {
        let row = policy(kind);
        if row.network == Network::None {
            assert_eq!(json(kind)["network"], "none", "{}", row.name);
            continue;
        }
        assert!(row.capabilities.is_empty(), "{}", row.name);
        let given = |column| row.cells().find(|cell| cell.column == column).unwrap();
        for column in [Column::Sources, Column::Build, Column::Destination] {
            assert!(given(column).is_least, "{}", row.name);
        }
        let text = json(kind).to_string();
        for place in ["/IMAGE", "/CHANGES", "/SOURCES", "/OUTPUT"] {
            assert!(!text.contains(place), "{}: {place}", row.name);
        }
    }
}

#[test]
fn only_named_variables_of_the_caller_arrive() {
    for kind in StepKind::ALL {
        let text = json(kind)["oci"]["process"]["env"].to_string();
        assert!(!text.contains("SECRET"));
        let has_proxy = policy(kind).network == Network::Mirrors;
        assert_eq!(text.contains("http_proxy=http://proxy"), has_proxy);
    }
}

#[test]
fn a_range_of_ids_is_for_steps_that_record_others() {
    let places = Places::below(Path::new("/"));
    for kind in StepKind::ALL {
        let [single, range] = [IdMapping::Single, IdMapping::Range]
            .map(|ids| of(kind, vec!["x".into()], &places, ids).ids);
        let expected = match policy(kind).ids {
            super::Ids::One => IdMapping::Single,
            super::Ids::Record | super::Ids::RecordAndAnswer => IdMapping::Range,
        };
        assert_eq!((single, range), (IdMapping::Single, expected));
    }
}

#[test]
fn a_place_that_no_row_names_is_not_given() {
    let places = Places::below(Path::new("/"));
    let kind = StepKind::Configuration;
    let configuration = of(kind, vec!["x".into()], &places, IdMapping::Single);
    let text = configuration.to_json().unwrap().to_string();
    assert!(text.contains("\"/SOURCES\""));
    for place in [
        "/LISTS",
        "/ARCHIVES",
        "/IMAGE",
        "/CHANGES",
        "/BUILD",
        "/OUTPUT",
    ] {
        assert!(!text.contains(place), "{place}");
    }
}
