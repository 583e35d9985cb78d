//! Repositories and caches that are not as they should be.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::features;
use crate::harness::World;
use crate::repository::Repository;
use crate::require::{self, tool};

const PACKAGE_FILE: &str = "sample_1.0_all.deb";

/// Returns a world whose recipe installs `package` from `mirror` on an empty base tree. A person has named the mirror too.
pub(crate) fn world_with(mirror: &str, package: &str) -> World {
    let world = foreign_world_with(mirror, package);
    let option = mirror
        .replace("LocalMirror", "--local-mirror")
        .replace("Mirror", "--mirror");
    world.options.lock().unwrap().push(option);
    world
}

/// Returns the same, where the mirror is the recipe's word alone.
pub(crate) fn foreign_world_with(mirror: &str, package: &str) -> World {
    let world = World::new();
    for name in ["status", "available", "info/format", "updates/.keep"] {
        let text = if name == "info/format" { "1\n" } else { "" };
        world.write(&format!("base/var/lib/dpkg/{name}"), text);
    }
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nDistribution=debian\nRelease=sid\n{mirror}\n\n\
             [Output]\nFormat=directory\nOutput=extension\nOutputDirectory=mkosi.output\nOverlay=yes\n\n\
             [Content]\nCleanPackageMetadata=no\nBaseTrees=base\nPackages={package}\n"
        ),
    );
    world
}

pub(crate) fn sample() -> Result<Repository, String> {
    require::building()?;
    Ok(Repository::of(&tool("dpkg-deb")?, "sample", None))
}

pub(crate) fn local(repository: &Repository) -> String {
    format!("LocalMirror={}", repository.url())
}

fn cached_package(world: &World) -> std::path::PathBuf {
    let targets = world.home().join(".cache/overcoat/packages");
    let target = fs_err::read_dir(targets).unwrap().next().unwrap().unwrap();
    target.path().join("archives").join(PACKAGE_FILE)
}

#[test]
fn unknown_package_is_named_with_its_line() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample\nPackages=sampel");
    world.run(&["-f"]).assert_failed(
        2,
        "main: repository metadata ...\n\
         main: repository metadata: <time>\n\
         main: resolve packages ...\n\
         error: building the image `main`\n  \
         caused by: mkosi.conf:16: no package matches `sampel` in debian sid\n\n\
         hint: check the name, or add the component that has it with `Repositories=`\n",
    );
}

#[test]
fn unreachable_mirror_is_told_within_seconds() {
    require!(require::building());
    let world = world_with("Mirror=http://127.0.0.1:1", "sample");
    let started = Instant::now();
    let build = world.run(&["-f", "--repository-key-check=no"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    let cause = "\n  caused by: downloading from `http://127.0.0.1:1/debian/dists/sid/InRelease`: \
                 Could not connect to 127.0.0.1:1";
    assert!(build.stderr.contains(cause), "{}", build.stderr);
    let hint = "\nhint: check the network, or name another mirror with `Mirror=`;";
    assert!(build.stderr.contains(hint), "{}", build.stderr);
}

#[test]
fn repository_that_nobody_signed_is_refused_unless_told_otherwise() {
    let repository = require!(sample());
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    require!(
        keyring
            .exists()
            .then_some(())
            .ok_or_else(|| format!("no {}", keyring.display()))
    );
    repository.describe("sid");
    let url = repository.url();
    let world = world_with(&format!("Mirror={url}"), "sample");
    world.run(&["-f"]).assert_failed(
        1,
        &format!(
            "main: repository metadata ...\n\
             error: building the image `main`\n  \
             caused by: the repository `{url}debian sid` is not signed by a trusted key\n\n\
             hint: name a mirror of the distribution itself with `Mirror=`; `RepositoryKeyCheck=no` trusts it \
             unchecked\n"
        ),
    );
    let trusting = world.run(&["-f", "--repository-key-check=no"]);
    assert_eq!(trusting.status, Some(0), "{}", trusting.stderr);
}

#[test]
fn damaged_package_in_the_cache_is_downloaded_again() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    assert_eq!(world.run(&["-f"]).status, Some(0));
    let package = cached_package(&world);
    let good = fs_err::read(&package).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs_err::write(&package, bad).unwrap();

    let again = world.run(&["-ff"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    let warning = format!(
        "warning: main: `{PACKAGE_FILE}` in the package cache is damaged and was removed\n"
    );
    assert!(again.stderr.contains(&warning), "{}", again.stderr);
    assert_eq!(fs_err::read(&package).unwrap(), good);
}

#[test]
fn warm_cache_is_enough_without_any_request() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    world.run(&["-f", "--cache-only=always"]).assert_failed(
        1,
        "error: building the image `main`\n  \
         caused by: repository metadata is not in the cache, and `CacheOnly=always` forbids to download it\n\n\
         hint: build once without `--cache-only=always`\n",
    );
    assert_eq!(world.run(&["-f"]).status, Some(0));
    assert_ne!(repository.take_requests(), Vec::<String>::new());

    let again = world.run(&["-ff", "--cache-only=always"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    fs_err::remove_file(cached_package(&world)).unwrap();
    let without = world.run(&["-ff", "--cache-only=always"]);
    assert_eq!(without.status, Some(1), "{}", without.stderr);
    assert_eq!(repository.take_requests(), Vec::<String>::new());
}

#[test]
fn release_and_architecture_reach_apt() {
    let repository = require!(sample());
    let world = world_with(&format!("Mirror={}", repository.url()), "sample");
    let arguments = [
        "-f",
        "--repository-key-check=no",
        "--architecture=arm64",
        "--repositories=contrib",
    ];
    world.run(&arguments);
    let requests = repository.take_requests();
    for component in ["main", "contrib"] {
        let index = format!("/debian/dists/sid/{component}/binary-arm64/Packages");
        assert!(
            requests.iter().any(|path| path.starts_with(&index)),
            "{requests:#?}"
        );
    }
    world.run(&["-f", "--repository-key-check=no", "--release=unstable"]);
    let requests = repository.take_requests();
    assert!(
        requests
            .iter()
            .all(|path| path.starts_with("/debian/dists/unstable/") || path.ends_with(".deb")),
        "{requests:#?}"
    );
}

#[test]
fn callers_apt_configuration_has_no_effect() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    world.write(
        "evil.conf",
        "APT::Update::Pre-Invoke { \"exit 1\"; };\nDPkg::Pre-Invoke { \"exit 1\"; };\n\
         Acquire::http::Proxy \"http://127.0.0.1:1\";\n",
    );
    let mut command = world.command(&["-f"]);
    command.env("APT_CONFIG", world.path("evil.conf"));
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);

    require!(tool("unshare"));
    let plant = format!(
        "mount -t tmpfs none /etc/apt/apt.conf.d && cp {} /etc/apt/apt.conf.d/99evil.conf",
        world.path("evil.conf").display()
    );
    let options = ["--user", "--map-root-user", "--mount"];
    let build = features::run_on(&world, &options, &plant, &["-ff"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
}

#[test]
fn main_image_of_no_format_is_not_made() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    let image = fs_err::read_to_string(world.path("mkosi.conf")).unwrap();
    let (distribution, image) = image.split_once("\n\n").unwrap();
    world.write(
        "mkosi.conf",
        &format!("{distribution}\n\n[Output]\nFormat=none\nOutputDirectory=mkosi.output\n"),
    );
    let image = image
        .replace("OutputDirectory=mkosi.output\n", "")
        .replace("BaseTrees=base", "BaseTrees=%D/base");
    world.write("mkosi.images/app/mkosi.conf", &image);
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let (steps, _) = build.stderr.split_once("\n\n").unwrap();
    assert_eq!(
        steps,
        "app: repository metadata ...\n\
         app: repository metadata: <time>\n\
         app: resolve packages ...\n\
         app: resolve packages: <time>\n\
         app: download packages ...\n\
         app: download packages: <time>\n\
         app: install packages ...\n\
         app: install packages: <time>\n\
         app: write extension ...\n\
         app: write extension: <time>"
    );
    let names: Vec<_> = fs_err::read_dir(world.path("mkosi.output"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["extension"]);
}
