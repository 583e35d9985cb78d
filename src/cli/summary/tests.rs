//! What the summary says.

mod every_setting;
mod refused;
mod values;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::recipe::settings::{Scope, Section};
use crate::recipe::{Architecture, Distribution, HostFacts, Invocation, load};

fn project(text: &str) -> (tempfile::TempDir, Project) {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("mkosi.conf"), text).unwrap();
    let project = load(&Invocation {
        directory: directory.path().to_owned(),
        overrides: Vec::new(),
        environment: BTreeMap::new(),
        host: HostFacts {
            distribution: Some(Distribution::Debian),
            release: Some("bookworm".to_owned()),
            architecture: Architecture::X86_64,
            systemd_version: None,
        },
        grants: Default::default(),
        programs: &crate::build::SandboxedPrograms::STRICT,
    })
    .unwrap();
    (directory, project)
}

#[test]
fn text_shows_what_was_set_with_its_line() {
    let (_directory, project) =
        project("[Output]\nFormat=cpio\n[Content]\nPackages=b\nPackages=a\n[Runtime]\nRAM=1G\n");
    let text = text(&project, None);
    let (set, defaults) = text.split_once("  by default\n").unwrap();
    assert_eq!(
        set,
        "\
main: image.cpio.zst
  Format=cpio (mkosi.conf:2)
  Packages=a b (mkosi.conf:5, mkosi.conf:4)
  RAM=1G (mkosi.conf:7)
"
    );
    assert!(
        defaults.starts_with(
            "    Distribution=debian\n    Release=bookworm\n    Architecture=x86-64\n"
        ),
        "{defaults}"
    );
    assert!(defaults.ends_with("\n"), "{defaults}");
}

#[test]
fn json_has_every_setting_by_name() {
    let (directory, project) = project(
        "[Output]\nFormat=sysext\nOverlay=yes\n[Content]\nExtraTrees=x:/opt\n[Build]\nEnvironment=A=1\n",
    );
    let json: serde_json::Value = serde_json::from_str(&encoding::json(&project)).unwrap();
    let image = &json["Images"][0];
    let keys: Vec<&str> = image
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected: Vec<&str> = settings::all()
        .filter(|setting| setting.section != Section::Include && !setting.is_alias())
        .filter(|setting| setting.section != Section::Overcoat && setting.scope != Scope::Tools)
        .map(|setting| setting.name)
        .chain(["Files", "Image", "Overcoat"])
        .collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let source = fs_err::canonicalize(directory.path()).unwrap().join("x");
    for (name, value) in [
        ("Image", json!("main")),
        ("Format", json!("sysext")),
        ("Overlay", json!(true)),
        ("WithDocs", json!(true)),
        ("CleanPackageMetadata", json!("auto")),
        ("Packages", json!([])),
        ("Release", json!("bookworm")),
        ("CompressLevel", json!(3)),
        ("ImageId", json!(null)),
        ("Environment", json!({ "A": "1" })),
        (
            "ExtraTrees",
            json!([{ "Source": source, "Target": "/opt" }]),
        ),
    ] {
        assert_eq!(image[name], value, "{name}");
    }
    assert_eq!(image["Overcoat"]["FileSystem"], json!("erofs"));
}
