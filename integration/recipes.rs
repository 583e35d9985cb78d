//! The recipes that show what can be built: each is built as it stands, and foreign programs judge what comes out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
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
    fn rebuilt(&self, options: &[&str]) -> String {
        run(&self.0, options)
    }

    fn output(&self, name: &str) -> PathBuf {
        self.0.path("mkosi.output").join(name)
    }

    /// Returns the directory with what a foreign program finds in an image.
    fn extracted(&self, image: &str, tools: &Tools) -> PathBuf {
        let partitions = Image::read(&tools.sfdisk, self.output(image));
        let partition = partitions.extract(ROOT);
        let to = self.0.path("extracted").join(image);
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        match &tools.reader {
            Reader::Erofs(fsck) => {
                let extract = [&b"--extract="[..], to.as_os_str().as_encoded_bytes()].concat();
                let extract = OsStr::from_bytes(&extract);
                fsck.output(&[extract, partition.as_os_str()]);
            }
            Reader::Squashfs(unsquashfs) => {
                let options = ["-quiet", "-no-progress", "-no-xattrs", "-dest"];
                let options = options.iter().map(OsStr::new);
                let arguments: Vec<_> = options
                    .chain([to.as_os_str(), partition.as_os_str()])
                    .collect();
                unsquashfs.output(&arguments);
            }
        }
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

/// Returns the option that has all recipes share a store.
fn store() -> String {
    let store = harness::directory().join("recipes");
    format!("--cache-directory={}", store.display())
}

/// Builds, which must succeed, and returns what is said about it.
fn run(world: &World, options: &[&str]) -> String {
    let store = store();
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
            // Scripts stay what they are.
            let mode = fs_err::metadata(&path).unwrap().permissions();
            fs_err::set_permissions(world.path(below), mode).unwrap();
        }
    }
}

/// The foreign programs that take images apart.
struct Tools {
    sfdisk: Tool,
    reader: Reader,
}

/// What reads the file system of an image, by name.
enum Reader {
    Erofs(Tool),
    Squashfs(Tool),
}

impl Tools {
    /// Finds the programs; the fsck.erofs of Debian 12 is too old for what its kernel reads.
    fn find() -> Result<Self, String> {
        require::building()?;
        let fsck = tool("fsck.erofs")?;
        Ok(Self {
            sfdisk: tool("sfdisk")?,
            reader: match require::erofs_utils(&fsck) >= (1, 6) {
                true => Reader::Erofs(fsck),
                false => Reader::Squashfs(tool("unsquashfs")?),
            },
        })
    }

    /// Returns the options of a build whose images these programs read.
    fn options(&self) -> &'static [&'static str] {
        match self.reader {
            Reader::Erofs(_) => &[],
            Reader::Squashfs(_) => &["--file-system=squashfs"],
        }
    }
}

#[test]
fn daemon_has_its_user_its_files_and_its_start() {
    let tools = require!(Tools::find());
    let sysusers = require!(tool("systemd-sysusers"));
    let built = Built::of("daemon", tools.options());
    let tree = built.extracted("memcached.raw", &tools);
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
    let tools = require!(Tools::find());
    let built = Built::of("confext", tools.options());
    let tree = built.extracted("site.raw", &tools);
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
    let tools = require!(Tools::find());
    let built = Built::of("two-extensions", tools.options());
    let programs = |image: &str| names(&built.extracted(image, &tools).join("usr/bin"));
    assert_eq!(programs("jq.raw"), ["jq"]);
    let of_btrfs = programs("btrfs.raw");
    assert!(of_btrfs.contains(&"btrfs".to_owned()), "{of_btrfs:?}");
    assert!(!of_btrfs.contains(&"jq".to_owned()), "{of_btrfs:?}");
}

#[test]
fn portable_service_is_a_system_with_its_unit() {
    let tools = require!(Tools::find());
    let analyze = require!(tool("systemd-analyze"));
    let built = Built::of("portable", tools.options());
    let tree = built.extracted("proxy.raw", &tools);
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
    let tools = require!(Tools::find());
    let dpkg_deb = require!(tool("dpkg-deb"));
    let world = prepared("local-package");
    make_packages(&world, &dpkg_deb);
    let built = Built::in_world(world, tools.options());
    let check = |expected: &str| {
        let tree = built.extracted("greeting.raw", &tools);
        let programs = names(&tree.join("usr/bin"));
        assert_eq!(programs, ["farewell", "greet", "jq"]);
        let made = fs_err::read_to_string(tree.join("usr/share/greeting/made")).unwrap();
        assert_eq!(made, expected);
        fs_err::remove_dir_all(tree).unwrap();
    };
    check("configured \nloud\n");
    // The same packages are the same layer, however they are packed into the directory; another content is another.
    let again = built.rebuilt(tools.options());
    assert!(
        again.contains("greeting: install packages: cached\n"),
        "{again}"
    );
    let script = "#!/bin/sh\nmkdir -p /usr/share/greeting\necho \"configured anew\" >/usr/share/greeting/made\n";
    built.0.write("greeting/DEBIAN/postinst", script);
    make_packages(&built.0, &dpkg_deb);
    let changed = built.rebuilt(tools.options());
    assert!(
        !changed.contains("greeting: install packages: cached\n"),
        "{changed}"
    );
    check("configured anew\n");
}

#[test]
fn a_program_in_go_is_built_and_its_compiler_is_not_in_the_extension() {
    let tools = require!(Tools::find());
    let built = Built::of("built", tools.options());
    let tree = built.extracted("hello_1.2.raw", &tools);
    assert_eq!(names(&tree), ["usr"]);
    assert_eq!(names(&tree.join("usr/bin")), ["hello"]);
    assert_eq!(names(&tree.join("usr")), ["bin", "lib"]);
    let hello = std::process::Command::new(tree.join("usr/bin/hello")).output();
    assert_eq!(hello.unwrap().stdout, b"hello 1.2\n");
    let image = fs_err::read(built.output("hello_1.2.raw")).unwrap();
    // Of the same sources it is the same, wherever they are.
    let elsewhere = Built::of("built", &[tools.options(), &["-ff"]].concat());
    assert!(fs_err::read(elsewhere.output("hello_1.2.raw")).unwrap() == image);
}

#[test]
fn scripts_of_every_kind_take_part() {
    require!(require::building());
    let tar = require!(tool("tar"));
    let built = Built::of("scripted", &[]);
    let archive = built.output("tree.tar");
    let archive = archive.as_os_str();
    let log = tar.text(&["-xOf".as_ref(), archive, "usr/share/scripted/log".as_ref()]);
    assert_eq!(
        log,
        "sync final\nprepare final hello\npostinst final handed on\nfinalize first\nfinalize second\n"
    );
    let listed = tar.text(&["--numeric-owner".as_ref(), "-tvf".as_ref(), archive]);
    let line = |path: &str| listed.lines().find(|line| line.ends_with(path)).unwrap();
    assert!(line("/log").starts_with("-rw-r--r-- 7/8 "), "{listed}");
    assert!(line("/greet").starts_with("-rwxr-xr-x 0/0 "), "{listed}");
    let output = |name: &str| fs_err::read_to_string(built.output(name)).unwrap();
    assert_eq!(output("tree.owner"), "7:8\n");
    assert!(output("tree.list").contains("usr/bin/greet\n"));
    let clean = built.0.run(&["clean", &store()]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(!built.output("tree.list").exists());
}

#[test]
fn extension_on_a_container_image_holds_what_is_new() {
    let tools = require!(Tools::find());
    let skopeo = require!(tool("skopeo"));
    let built = Built::of("oci-extension", tools.options());
    let tree = built.extracted("jq.raw", &tools);
    assert_eq!(names(&tree.join("usr/bin")), ["jq"]);
    let base = format!("oci:{}", built.output("base").display());
    let inspected: Value = serde_json::from_str(&skopeo.text(&["inspect", &base])).unwrap();
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
}

#[test]
fn packages_come_late_and_go_with_what_came_for_them() {
    let tools = require!(Tools::find());
    let built = Built::of("late-packages", tools.options());
    let tree = built.extracted("lister.raw", &tools);
    assert_eq!(names(&tree.join("usr/bin")), ["tree"]);
    let manifest = fs_err::read_to_string(built.output("lister.manifest")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let packages = manifest["packages"].as_array().unwrap().iter();
    let packages: Vec<_> = packages.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(packages, ["tree"]);
}
