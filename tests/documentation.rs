use crate::harness::World;

#[test]
fn setting_is_described_by_its_name_and_its_option() {
    let world = World::new();
    for name in ["ImageVersion", "imageversion=", "--image-version"] {
        let text = world.run(&["documentation", "--", name]);
        assert_eq!((text.status, text.stderr.as_str()), (Some(0), ""));
        let lines: Vec<&str> = text.stdout.lines().collect();
        assert_eq!(lines[..3], ["[Output]", "", "ImageVersion=TEXT"]);
        for line in [
            "    option: --image-version",
            "    set in: any image; others start with the main image's",
            "    files: mkosi.version (its text)",
            "    specifier: %v",
            "    condition: in `[Match]`, a comparison of versions",
        ] {
            assert!(lines.contains(&line), "{}", text.stdout);
        }
    }
}

#[test]
fn sections_and_everything_are_described() {
    let world = World::new();
    let headers = |arguments: &[&str]| -> Vec<String> {
        let text = world.run(arguments);
        assert_eq!((text.status, text.stderr.as_str()), (Some(0), ""));
        let lines = text.stdout.lines();
        lines
            .filter(|line| line.starts_with('['))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(headers(&["documentation", "[Build]"]), ["[Build]"]);
    assert_eq!(
        headers(&["documentation", "Seed", "Content"]),
        ["[Output]", "[Content]"]
    );
    assert_eq!(
        headers(&["documentation"]),
        [
            "[Include]",
            "[Config]",
            "[Distribution]",
            "[Output]",
            "[Content]",
            "[Validation]",
            "[Build]",
            "[Runtime]",
            "[Overcoat]"
        ]
    );
}

#[test]
fn how_far_each_setting_is_supported_is_said_with_it_and_in_one_table() {
    let text = World::new().run(&["documentation"]).stdout;
    let (settings, table) = text.split_once("Support at a glance\n\n").unwrap();
    let described = settings
        .lines()
        .filter(|line| line.starts_with("    support: "));
    let rows: Vec<_> = table
        .lines()
        .map(|line| line.trim_start().split_once(": ").unwrap())
        .collect();
    let words: Vec<_> = rows
        .iter()
        .map(|(word, _)| word.split(" (").next().unwrap())
        .collect();
    assert_eq!(words, ["yes", "in part", "none", "no"]);
    let names: Vec<_> = rows
        .iter()
        .flat_map(|(_, names)| names.split(", "))
        .collect();
    assert_eq!(names.len(), described.count());
    for (index, name) in [
        (0, "Packages"),
        (1, "Distribution"),
        (2, "Bootloader"),
        (3, "Bootable"),
    ] {
        assert!(
            rows[index].1.split(", ").any(|found| found == name),
            "{name}"
        );
    }
}

#[test]
fn mistyped_setting_is_told_with_what_was_meant() {
    World::new()
        .run(&["documentation", "Pakages"])
        .assert_failed(
            2,
            "error: unknown setting `Pakages`\n\nhint: did you mean `Packages`\n",
        );
}
