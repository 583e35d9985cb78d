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
