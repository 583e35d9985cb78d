//! An initrd that is booted, in an emulated machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::World;
use crate::require::{self, tool};
use crate::system::{built, unchanged, world};

/// Several times what an emulated machine takes on two busy processors.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// What the machine says when the initrd has done what it is for.
const SWITCHES: &str = "initrd-switch-root.service";
/// What the initrd of the recipe may have at most; README says how large it is.
const LARGEST_MEGABYTES: u64 = 33;
const PANIC: &str = "Kernel panic";

/// Boots, until the console says one of `ends`, and returns what it has said by then.
fn boot(qemu: &Path, world: &World, kernel: &Path, initrd: &Path, ends: &[&str]) -> String {
    let console = world.path("console");
    let mut machine = Command::new(qemu)
        .args(["-accel", "tcg", "-cpu", "qemu64", "-m", "768", "-smp", "1"])
        .args(["-nodefaults", "-nographic", "-no-reboot"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 panic=-1 mitigations=off nokaslr random.trust_cpu=on audit=0 systemd.log_target=console"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let said = loop {
        let bytes = fs_err::read(&console).unwrap_or_default();
        let said = String::from_utf8_lossy(&bytes).into_owned();
        let is_over = ends.iter().any(|end| said.contains(end));
        if is_over || started.elapsed() > TIME_LIMIT || machine.try_wait().unwrap().is_some() {
            break said;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    let _ = machine.kill();
    machine.wait().unwrap();
    said
}

#[test]
fn an_initrd_boots_to_where_it_leaves_for_the_root_file_system() {
    require!(require::building());
    if std::env::consts::ARCH != "x86_64" {
        return require::lacking("the recipe's kernel is for x86-64");
    }
    let qemu = require!(tool("qemu-system-x86_64"));
    let (zstd, cpio) = (require!(tool("zstd")), require!(tool("cpio")));
    let world = world("initrd");
    let initrd = built(&world, "initrd.cpio.zst", unchanged);
    let megabytes = fs_err::metadata(&initrd).unwrap().len() >> 20;
    assert!(megabytes < LARGEST_MEGABYTES, "{megabytes} MiB");

    let archive = zstd.output(&["-dcq".as_ref(), initrd.as_os_str()]);
    world.write("unpacked/.keep", "");
    fs_err::write(world.path("initrd.cpio"), archive).unwrap();
    let mut unpack = Command::new(cpio.path());
    unpack
        .args(["-idm", "--quiet", "--no-absolute-filenames"])
        .args(["boot/*", "usr/lib/modules/*"])
        .current_dir(world.path("unpacked"))
        .stdin(
            fs_err::File::open(world.path("initrd.cpio"))
                .unwrap()
                .into_file(),
        );
    assert!(unpack.status().unwrap().success());
    assert!(!world.path("unpacked/boot").exists());
    let kernel = world.path("mkosi.output/initrd.vmlinuz");
    let modules = modules(&world.path("unpacked/usr/lib/modules"));
    for (name, expected) in [
        ("erofs", true),
        ("dm-bufio", true),
        ("virtio_blk", true),
        ("btrfs", false),
    ] {
        assert_eq!(
            modules.iter().any(|module| module == name),
            expected,
            "{name}: {modules:?}"
        );
    }

    let said = boot(qemu.path(), &world, &kernel, &initrd, &[SWITCHES, PANIC]);
    assert!(said.contains(SWITCHES) && !said.contains(PANIC), "{said}");
    assert!(!said.contains("Initramfs unpacking failed"), "{said}");
}

/// Returns the names of the modules below a directory.
fn modules(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                pending.push(path);
            } else if let Some((module, _)) = name.split_once(".ko") {
                found.push(module.to_owned());
            }
        }
    }
    found
}
