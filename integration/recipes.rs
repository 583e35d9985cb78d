//! The recipes that show what can be built: each is built as it stands, and foreign programs judge what comes out.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ddi::{Image, ROOT};
use crate::harness::{self, World, names};
use crate::require::{self, Tool, tool};

/// A finished build of a recipe.
struct Built(World);

impl Built {
    /// Builds a copy of the recipe `name`. All recipes share a store, so that each layer is made once.
    fn of(name: &str, options: &[&str]) -> Self {
        Self::in_world(prepared(name), options)
    }

    /// Builds the recipe in the working directory.
    fn in_world(world: World, options: &[&str]) -> Self {
        run(&world, options);
        Self(world)
    }

    /// Builds again, and returns what is said about it.
    fn rebuilt(&self) -> String {
        run(&self.0, &[])
    }

    fn output(&self, name: &str) -> PathBuf {
        self.0.path("mkosi.output").join(name)
    }

    /// Returns the directory with what is in an image, which fsck.erofs must find whole.
    fn extracted(&self, image: &str, fsck: &Tool, sfdisk: &Tool) -> PathBuf {
        let partitions = Image::read(sfdisk, self.output(image));
        if require::erofs_utils(fsck) >= (1, 6) {
            fsck.output(&[partitions.extract(ROOT)]);
        } else {
            require::say_skipped("this fsck.erofs is older than 1.6");
        }
        let to = self.0.path("extracted").join(image);
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        let (from, into) = (self.output(image), to.clone());
        let arguments = [
            "extract".as_ref(),
            "--plain".as_ref(),
            "-o".as_ref(),
            into.as_os_str(),
            from.as_os_str(),
        ];
        let extract = self.0.run(&arguments);
        assert_eq!(extract.status, Some(0), "{}", extract.stderr);
        to
    }

    /// Returns the fields of the file that says what an extension fits.
    fn release(&self, image: &str) -> Vec<String> {
        let image = self.output(image);
        let inspect = self
            .0
            .run(&["inspect".as_ref(), "--json".as_ref(), image.as_os_str()]);
        let inspected: Value = serde_json::from_str(&inspect.stdout).unwrap();
        let fields = inspected["releases"][0]["fields"].as_object();
        let fields = fields.unwrap_or_else(|| panic!("{inspected}")).iter();
        fields
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect()
    }
}

/// Returns a world whose working directory is a copy of the recipe `name`.
fn prepared(name: &str) -> World {
    let world = World::new();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("integration/recipes")
        .join(name);
    copy(&recipe, &recipe, &world);
    world
}

/// Builds, which must succeed, and returns what is said about it.
fn run(world: &World, options: &[&str]) -> String {
    let store = harness::directory().join("recipes");
    let store = format!("--cache-directory={}", store.display());
    let arguments: Vec<_> = ["-f", &store]
        .into_iter()
        .chain(options.iter().copied())
        .collect();
    let build = world.finish(world.command(&arguments));
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    build.stderr
}

/// Copies the files below `directory` into the working directory of `world`.
fn copy(directory: &Path, recipe: &Path, world: &World) {
    for name in names(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            copy(&path, recipe, world);
        } else {
            let below = path.strip_prefix(recipe).unwrap().to_str().unwrap();
            world.write(below, &fs_err::read_to_string(&path).unwrap());
        }
    }
}

fn tools() -> Result<(Tool, Tool), String> {
    require::building()?;
    Ok((tool("fsck.erofs")?, tool("sfdisk")?))
}

#[test]
fn daemon_has_its_user_its_files_and_its_start() {
    let (fsck, sfdisk) = require!(tools());
    let sysusers = require!(tool("systemd-sysusers"));
    let built = Built::of("daemon", &[]);
    let tree = built.extracted("memcached.raw", &fsck, &sfdisk);
    assert_eq!(names(&tree), ["usr"]);
    assert!(tree.join("usr/bin/memcached").is_file());
    assert!(
        tree.join("usr/lib/systemd/system/memcached.service")
            .is_file()
    );
    assert!(
        tree.join("usr/lib/systemd/system/multi-user.target.d/10-memcached.conf")
            .is_file()
    );
    assert!(
        built
            .release("memcached.raw")
            .contains(&"EXTENSION_RELOAD_MANAGER=1".to_owned())
    );
    let root = format!("--root={}", tree.display());
    let configuration = "usr/lib/sysusers.d/memcached.conf";
    sysusers.output(&[
        root.as_str(),
        "--dry-run",
        tree.join(configuration).to_str().unwrap(),
    ]);
    // What is made on the machine is made of what the extension has.
    let tmpfiles = fs_err::read_to_string(tree.join("usr/lib/tmpfiles.d/memcached.conf")).unwrap();
    for line in tmpfiles.lines().filter(|line| line.starts_with('C')) {
        let path = line.split_whitespace().nth(1).unwrap();
        assert!(
            tree.join(format!("usr/share/factory{path}")).is_file(),
            "{path}"
        );
    }
}

#[test]
fn confext_holds_etc_alone() {
    let (fsck, sfdisk) = require!(tools());
    let built = Built::of("confext", &[]);
    let tree = built.extracted("site.raw", &fsck, &sfdisk);
    assert_eq!(names(&tree), ["etc"]);
    assert_eq!(
        names(&tree.join("etc")),
        ["extension-release.d", "issue", "systemd"]
    );
    assert_eq!(
        fs_err::read_to_string(tree.join("etc/issue")).unwrap(),
        "This machine belongs to the site.\n"
    );
}

#[test]
fn container_image_has_the_layer_of_its_base_and_one_more() {
    require!(require::building());
    let (skopeo, umoci) = (require!(tool("skopeo")), require!(tool("umoci")));
    let built = Built::of("container", &[]);
    let inspect = |name: &str| -> Value {
        let image = format!("oci:{}:{name}", built.output(name).display());
        serde_json::from_str(&skopeo.text(&["inspect", &image])).unwrap()
    };
    let (base, query) = (inspect("base"), inspect("query"));
    let layers = |image: &Value| image["Layers"].as_array().unwrap().clone();
    assert_eq!(layers(&base).len(), 1);
    assert_eq!(layers(&query).len(), 2);
    assert_eq!(layers(&base)[0], layers(&query)[0]);
    assert_eq!(
        query["Labels"]["org.opencontainers.image.title"].as_str(),
        Some("query")
    );
    let image = format!("{}:query", built.output("query").display());
    let bundle = built.0.path("bundle");
    let bundle_name = bundle.display().to_string();
    umoci.text(&["unpack", "--rootless", "--image", &image, &bundle_name]);
    for program in ["jq", "bash"] {
        assert!(bundle.join("rootfs/usr/bin").join(program).is_file());
    }
}

#[test]
fn extensions_on_one_base_hold_nothing_of_each_other() {
    let (fsck, sfdisk) = require!(tools());
    let built = Built::of("two-extensions", &[]);
    let programs = |image: &str| names(&built.extracted(image, &fsck, &sfdisk).join("usr/bin"));
    assert_eq!(programs("jq.raw"), ["jq"]);
    let of_btrfs = programs("btrfs.raw");
    assert!(of_btrfs.contains(&"btrfs".to_owned()), "{of_btrfs:?}");
    assert!(!of_btrfs.contains(&"jq".to_owned()), "{of_btrfs:?}");
}

#[test]
fn portable_service_is_a_system_with_its_unit() {
    let (fsck, sfdisk) = require!(tools());
    let analyze = require!(tool("systemd-analyze"));
    let built = Built::of("portable", &[]);
    let tree = built.extracted("proxy.raw", &fsck, &sfdisk);
    assert!(tree.join("usr/lib/os-release").is_file());
    assert!(
        !tree.join("usr/share/locale").exists() || names(&tree.join("usr/share/locale")).is_empty()
    );
    let unit = "usr/lib/systemd/system/proxy.service";
    assert!(tree.join(unit).is_file());
    let root = format!("--root={}", tree.display());
    analyze.output(&[
        "verify",
        "--man=no",
        "--recursive-errors=no",
        &root,
        "proxy.service",
    ]);
}

#[test]
fn profiles_add_what_their_conditions_say() {
    require!(require::building());
    let tar = require!(tool("tar"));
    for (options, expected) in [
        (&[][..], &["archive/kind"][..]),
        (
            &["--profile=debug"],
            &["archive/kind", "debug/notes", "loud/voice"],
        ),
        (&["--profile=debug,quiet"], &["debug/notes"]),
    ] {
        let built = Built::of("profiles", options);
        let archive = built.output("tree.tar");
        let listed = tar.text(&["--list".as_ref(), "--file".as_ref(), archive.as_os_str()]);
        let files = listed.lines().filter(|line| !line.ends_with('/'));
        let files: Vec<_> = files
            .map(|line| line.rsplit_once("usr/share/").unwrap().1)
            .collect();
        assert_eq!(files, expected, "{options:?}");
    }
}

/// Makes the packages of the recipe `local-package` from its directories, with the options of `dpkg-deb` for each.
fn make_packages(world: &World, dpkg_deb: &Tool) {
    use std::os::unix::fs::PermissionsExt;

    let executable = |path: &str| {
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(world.path(path), mode).unwrap();
    };
    executable("greeting/DEBIAN/postinst");
    executable("greeting/usr/bin/greet");
    executable("farewell/usr/bin/farewell");
    for directory in ["greeting", "greeting/DEBIAN", "farewell", "farewell/DEBIAN"] {
        executable(directory);
    }
    fs_err::create_dir_all(world.path("mkosi.packages")).unwrap();
    for (tree, compression, package) in [
        ("greeting", "-Zxz", "mkosi.packages/greeting.deb"),
        ("farewell", "-Zzstd", "farewell_2_all.deb"),
    ] {
        dpkg_deb.output(&[
            "--root-owner-group".as_ref(),
            "--uniform-compression".as_ref(),
            compression.as_ref(),
            "--build".as_ref(),
            world.path(tree).as_os_str(),
            world.path(package).as_os_str(),
        ]);
    }
}

#[test]
fn local_packages_are_installed_with_what_they_need_from_the_mirror() {
    let (fsck, sfdisk) = require!(tools());
    let dpkg_deb = require!(tool("dpkg-deb"));
    let world = prepared("local-package");
    make_packages(&world, &dpkg_deb);
    let built = Built::in_world(world, &[]);
    let check = |expected: &str| {
        let tree = built.extracted("greeting.raw", &fsck, &sfdisk);
        let programs = names(&tree.join("usr/bin"));
        assert_eq!(programs, ["farewell", "greet", "jq"]);
        let made = fs_err::read_to_string(tree.join("usr/share/greeting/made")).unwrap();
        assert_eq!(made, expected);
        fs_err::remove_dir_all(tree).unwrap();
    };
    check("configured \nloud\n");
    // The same packages are the same layer, however they are packed into the directory; another content is another.
    let again = built.rebuilt();
    assert!(
        again.contains("greeting: install packages: cached\n"),
        "{again}"
    );
    let script = "#!/bin/sh\nmkdir -p /usr/share/greeting\necho \"configured anew\" >/usr/share/greeting/made\n";
    built.0.write("greeting/DEBIAN/postinst", script);
    make_packages(&built.0, &dpkg_deb);
    let changed = built.rebuilt();
    assert!(
        !changed.contains("greeting: install packages: cached\n"),
        "{changed}"
    );
    check("configured anew\n");
}
