//! What a hostile recipe cannot cost.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn specifiers_do_not_fill_the_memory() {
    let doubled = "Release=%r%r\n".repeat(64);
    let errors = mistakes(&format!("[Distribution]\nRelease=a\n{doubled}"));
    // Names of 2^22 letters and more are the ones before.
    assert_eq!(errors.len(), 64 - 22);
    let text = format!(
        "[Output]\nOutputDirectory={}\n[Content]\nEnvironment=A={}\nEnvironment=A=%O\n",
        "a".repeat(3000),
        "%O".repeat(6000)
    );
    let [first, second] = &mistakes(&text)[..] else {
        panic!("two errors were expected");
    };
    let error = "the specifiers in `Environment=` and before stand for more than 16 MiB";
    assert_eq!(*first, format!("mkosi.conf:4: {error}"));
    assert_eq!(*second, format!("mkosi.conf:5: {error}"));
}

#[test]
fn links_that_lead_back_are_followed_to_one_error() {
    let fixture = Fixture::new(&[("mkosi.conf.d/a.conf", "[Content]\nPackages=x\n")]);
    for name in ["b", "c"] {
        symlink("..", fixture.path("mkosi.conf.d").join(name)).unwrap();
    }
    let path = format!("mkosi.conf.d/{}", ["b"; 31].join("/mkosi.conf.d/"));
    assert_eq!(
        fixture.errors(),
        [format!(
            "`{path}/mkosi.conf.d/a.conf` is included too deep, perhaps in a circle"
        )]
    );
}

#[test]
fn files_are_read_in_bounded_number() {
    // Without a circle: each directory has two ways to the next.
    let fixture = Fixture::new(&[("mkosi.conf", "[Content]\nPackages=x\n")]);
    let level = |level: usize| match level {
        0 => fixture.path("mkosi.conf.d"),
        level => fixture.path(&format!("levels/{level}/mkosi.conf.d")),
    };
    for number in 0..13 {
        fs_err::create_dir_all(level(number)).unwrap();
        let next = fixture.path(&format!("levels/{}", number + 1));
        for name in ["a", "b"] {
            symlink(&next, level(number).join(name)).unwrap();
        }
    }
    fs_err::create_dir_all(level(13)).unwrap();
    let [error] = &fixture.errors()[..] else {
        panic!("one error was expected");
    };
    let start = "more than 4096 files of configuration are read, of which `mkosi.conf.d/";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn paths_that_no_file_has_are_refused() {
    let long = "a/".repeat(2048);
    let errors = mistakes(&format!(
        "[Match]\nPathExists=!{long}\n[Output]\nOutputDirectory={long}\n"
    ));
    let expected = format!(
        "mkosi.conf:4: `OutputDirectory=` is `{long}`, expected a path of less than 4096 bytes"
    );
    assert_eq!(errors, [expected]);
}

#[test]
fn images_may_depend_on_each_other_in_a_long_chain() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Config]\nDependencies=i0\n")]);
    fs_err::create_dir(fixture.path("mkosi.images")).unwrap();
    let count = 1000;
    for number in 0..count {
        let text = match number + 1 {
            next if next < count => format!("[Config]\nDependencies=i{next}\n"),
            _ => "[Config]\nDependencies=\n".to_owned(),
        };
        let name = format!("mkosi.images/i{number}.conf");
        fixture.write(&name, &format!("{text}[Output]\nFormat=none\n"));
    }
    assert_eq!(fixture.load().recipes.len(), count + 1);
}

#[test]
fn files_that_are_read_again_and_again_are_bounded() {
    let fixture = |count: usize| {
        let fixture = Fixture::new(&[("big", &"#".repeat(1 << 20))]);
        fs_err::create_dir(fixture.path("mkosi.conf.d")).unwrap();
        for number in 0..count {
            symlink(
                "../big",
                fixture.path(&format!("mkosi.conf.d/{number:02}.conf")),
            )
            .unwrap();
        }
        fixture.write("mkosi.conf", "[Output]\nFormat=none\n");
        fixture
    };
    fixture(15).load();
    assert_eq!(fixture(16).errors(), ["reading `mkosi.conf.d/15.conf`"]);

    let text = |count: usize| {
        let words = "variables ".repeat(count);
        format!("[Build]\nEnvironmentFiles={words}\n[Output]\nFormat=none\n")
    };
    let big = "#".repeat(1 << 20);
    Fixture::new(&[("mkosi.conf", &text(15)), ("variables", &big)]).load();
    let fixture = Fixture::new(&[("mkosi.conf", &text(9999)), ("variables", &big)]);
    assert_eq!(fixture.errors(), ["reading `variables`"]);
}

#[test]
fn patterns_do_not_follow_links_that_lead_back_for_ever() {
    let fixture = |depth: usize| {
        let pattern = "*/".repeat(depth);
        let text = format!("[Content]\nFinalizeScripts={pattern}x\n");
        let fixture = Fixture::new(&[("mkosi.conf", &text), ("x", "")]);
        for name in ["a", "b"] {
            symlink(".", fixture.path(name)).unwrap();
        }
        fixture
    };
    let expected = "patterns for which fewer files have to be looked at";
    assert_eq!(
        fixture(36).errors(),
        [format!(
            "mkosi.conf:2: `FinalizeScripts=` is `*`, expected {expected}"
        )]
    );
    let refusals = fixture(3).look_at().refusals;
    assert!(
        !refusals
            .iter()
            .any(|refusal| refusal.to_string().contains(expected))
    );
}

#[test]
fn long_values_match_no_pattern() {
    let text = |count: usize| {
        let id = "a".repeat(count);
        format!("[Output]\nImageId={id}\nFormat=none\n")
    };
    let condition = format!(
        "[Match]\nImageId=*{}*\n[Output]\nOutput=found\n",
        "a".repeat(100)
    );
    let output = |count: usize| {
        let fixture = Fixture::new(&[
            ("mkosi.conf", &text(count)),
            ("mkosi.conf.d/x.conf", &condition),
        ]);
        let project = fixture.look_at();
        project.images[0].values("Output")[0].value.to_string()
    };
    assert_eq!(output(255), "found");
    assert_ne!(output(256), "found");
}

#[test]
fn values_are_counted_over_all_files() {
    let fixture = |files: usize| {
        let fixture = Fixture::new(&[(
            "mkosi.conf",
            &format!("[Content]\nPackages={}\n", "a ".repeat(30_000)),
        )]);
        fs_err::create_dir(fixture.path("mkosi.conf.d")).unwrap();
        for number in 1..files {
            let link = fixture.path(&format!("mkosi.conf.d/{number}.conf"));
            symlink("../mkosi.conf", link).unwrap();
        }
        fixture
    };
    assert_eq!(
        fixture(300).errors(),
        ["mkosi.conf.d/101.conf:2: `Packages=` and what comes before have more than 131072 values"]
    );
    assert_eq!(
        fixture(4).look_at().images[0].values("Packages").len(),
        120_000
    );
}
