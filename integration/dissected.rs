//! Every kind of disk image that can be made, judged by `systemd-dissect`, `veritysetup` and the kernel.

use std::path::Path;

use overcoat::format::file_system::KernelVersion;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::ddi::{ROOT, ROOT_VERITY, ROOT_VERITY_SIG};
use crate::harness::{self, World};
use crate::private_mounts;
use crate::require::{self, Tool, tool};

/// What of `systemd-dissect --json` tells of a kind of image.
struct Format {
    name: &'static str,
    /// A file that the image has, of the recipe's tree.
    file: &'static str,
    /// What the release is called, and the first systemd that shows it.
    releases: &'static [&'static str],
    shown_since: u32,
}

const FORMATS: [Format; 3] = [
    Format {
        name: "sysext",
        file: "usr/bin/tool",
        // The name that it has since 254, and the one before.
        releases: &["sysextRelease", "extensionRelease"],
        shown_since: 248,
    },
    Format {
        name: "confext",
        file: "etc/tool.conf",
        releases: &["confextRelease"],
        shown_since: 254,
    },
    Format {
        name: "portable",
        file: "usr/bin/tool",
        releases: &["osRelease"],
        shown_since: 248,
    },
];

/// The file systems, each with the first kernel that mounts it.
const FILE_SYSTEMS: [(&str, &str, KernelVersion); 10] = [
    ("erofs", "none", KernelVersion::new(5, 4)),
    ("erofs", "lz4", KernelVersion::new(5, 13)),
    ("erofs", "lz4hc", KernelVersion::new(5, 13)),
    ("erofs", "gzip", KernelVersion::new(6, 6)),
    ("erofs", "zstd", KernelVersion::new(6, 10)),
    ("squashfs", "gzip", KernelVersion::new(2, 6)),
    ("squashfs", "xz", KernelVersion::new(2, 6)),
    ("squashfs", "lz4", KernelVersion::new(3, 19)),
    ("squashfs", "lz4hc", KernelVersion::new(3, 19)),
    ("squashfs", "zstd", KernelVersion::new(4, 14)),
];

/// What protects an image, with the types of its partitions and what systemd calls it.
const PROTECTIONS: [(&str, &[&str], &str); 3] = [
    ("disabled", &[ROOT], "no"),
    ("hash", &[ROOT, ROOT_VERITY], "no"),
    ("signed", &[ROOT, ROOT_VERITY, ROOT_VERITY_SIG], "signed"),
];

/// The sizes of sectors, each with the first systemd that finds the partition table of one by itself.
const SECTORS: [(&str, u32); 2] = [("512", 248), ("4096", 253)];

/// The part of `overcoat inspect --json` that tells where partitions are.
#[derive(Debug, Deserialize)]
struct Inspected {
    partition_table: Table,
    verity: Option<Verity>,
}

#[derive(Debug, Deserialize)]
struct Table {
    sector_size_bytes: u64,
    partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    #[serde(rename = "type")]
    partition_type: String,
    offset_bytes: u64,
    size_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Verity {
    root_hash: String,
}

/// One of all combinations.
struct Case<'a> {
    format: &'a Format,
    file_system: &'a str,
    kernel: KernelVersion,
    verity: &'a str,
    types: &'a [&'a str],
    shown_verity: &'a str,
    sector: &'a str,
    found_since: u32,
}

impl Case<'_> {
    fn judge_verity(&self, image: &[u8], inspected: &Inspected, scratch: &Path) {
        let Some(verity) = &inspected.verity else {
            assert_eq!(self.verity, "disabled");
            return;
        };
        let veritysetup = require!(tool("veritysetup"));
        let part = |number: usize, name: &str| {
            let partition = &inspected.partition_table.partitions[number];
            let begin = usize::try_from(partition.offset_bytes).unwrap();
            let end = begin + usize::try_from(partition.size_bytes).unwrap();
            let path = scratch.join(name);
            fs_err::write(&path, &image[begin..end]).unwrap();
            path
        };
        let (data, tree) = (part(0, "data"), part(1, "tree"));
        veritysetup.output(&[
            "verify".as_ref(),
            data.as_os_str(),
            tree.as_os_str(),
            verity.root_hash.as_ref(),
        ]);
    }

    /// Has systemd look, which needs a loop device, and so root, before 254.
    fn judge_systemd(&self, dissect: &Tool, release: u32, image: &Path) {
        let is_found = release >= self.found_since;
        if release >= 254 {
            let policy = match self.verity {
                "disabled" => "root=unprotected",
                "hash" => "root=verity",
                _ => "root=signed",
            };
            let policy = format!("--image-policy={policy}");
            let arguments = ["--validate".as_ref(), policy.as_ref(), image.as_os_str()];
            dissect.output::<&std::ffi::OsStr>(&arguments);
        }
        if !require::is_root() {
            return;
        }
        let output = std::process::Command::new(dissect.path())
            .arg("--json=short")
            .arg(image)
            .output()
            .unwrap();
        assert_eq!(output.status.success(), is_found, "{self}: {output:?}");
        if !is_found {
            return;
        }
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mounts = found["mounts"].as_array().unwrap();
        assert_eq!(mounts.len(), self.types.len(), "{self}: {found}");
        assert_eq!(mounts[0]["designator"], "root", "{self}");
        assert_eq!(mounts[0]["fstype"], self.file_system, "{self}");
        assert_eq!(mounts[0]["verity"], self.shown_verity, "{self}");
        if release >= self.format.shown_since {
            let mut releases = self.format.releases.iter();
            let lines = releases.find_map(|name| found[name].as_array());
            let id = lines.and_then(|lines| lines.iter().find(|line| *line == "ID=debian"));
            assert!(id.is_some(), "{self}: {found}");
        }
    }

    fn judge_kernel(&self, inspected: &Inspected, image: &Path, place: &Path) {
        if !require::is_root() || require::running_kernel() < self.kernel {
            return;
        }
        let data = &inspected.partition_table.partitions[0];
        let options = format!(
            "ro,loop,offset={},sizelimit={}",
            data.offset_bytes, data.size_bytes
        );
        let content = private_mounts::within(|| {
            private_mounts::mount(&["-t", self.file_system, "-o", &options], image, place);
            fs_err::read_to_string(place.join(self.format.file)).unwrap()
        });
        assert_eq!(content, content_of(self.format.file), "{self}");
    }
}

impl std::fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            file_system,
            verity,
            sector,
            ..
        } = self;
        write!(f, "{} {file_system} {verity} {sector}", self.format.name)
    }
}

fn content_of(file: &str) -> String {
    format!("{file}\n").repeat(1000)
}

fn world() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nOutput=tools\n[Content]\nBaseTrees=base\nExtraTrees=tree\n",
    );
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    for file in ["usr/bin/tool", "etc/tool.conf"] {
        world.write(&format!("tree/{file}"), &content_of(file));
    }
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    world
}

/// Returns the number of `systemd 252 (252.39-1~deb12u2)`.
fn systemd_release(dissect: &Tool) -> u32 {
    let version = dissect.text(&["--version"]);
    let number = version.split_whitespace().nth(1).unwrap();
    let digits = number.split(|c: char| !c.is_ascii_digit()).next();
    digits.unwrap().parse().unwrap()
}

#[test]
fn systemd_veritysetup_and_the_kernel_take_every_kind_of_image() {
    let dissect = require!(tool("systemd-dissect"));
    for file_system in ["erofs", "squashfs"] {
        if require::is_root() {
            require!(require::mountable(file_system));
        }
    }
    let release = systemd_release(&dissect);
    if release < 254 {
        require::say_skipped(
            "this systemd-dissect is older than 254, which cannot validate images",
        );
    }
    if !require::is_root() {
        require::say_skipped("a loop device, for systemd-dissect and the kernel, needs root");
    }
    let running = require::running_kernel();
    for (file_system, compression, kernel) in FILE_SYSTEMS {
        if running < kernel {
            let what = format!("{file_system} with {compression}");
            require::say_skipped(&format!("Linux {running} does not mount {what}"));
        }
    }
    let world = world();
    let scratch = TempDir::new_in(harness::directory()).unwrap();
    let mut count = 0;
    for format in &FORMATS {
        for (file_system, compression, kernel) in FILE_SYSTEMS {
            for (verity, types, shown_verity) in PROTECTIONS {
                for (sector, found_since) in SECTORS {
                    let case = Case {
                        format,
                        file_system,
                        kernel,
                        verity,
                        types,
                        shown_verity,
                        sector,
                        found_since,
                    };
                    let build = world.run(&[
                        "-f",
                        &format!("--format={}", format.name),
                        &format!("--file-system={file_system}"),
                        &format!("--compression={compression}"),
                        &format!("--verity={verity}"),
                        &format!("--sector-size={sector}"),
                    ]);
                    assert_eq!(build.status, Some(0), "{case}: {}", build.stderr);
                    let path = world.path("tools.raw");
                    let inspected = world.run(&["inspect", "--json", "tools.raw"]);
                    let inspected: Inspected = serde_json::from_str(&inspected.stdout).unwrap();
                    let table = &inspected.partition_table;
                    assert_eq!(table.sector_size_bytes.to_string(), sector, "{case}");
                    let found = table.partitions.iter();
                    let found: Vec<_> = found
                        .map(|found| found.partition_type.to_uppercase())
                        .collect();
                    assert_eq!(found, types, "{case}");
                    let image = fs_err::read(&path).unwrap();
                    case.judge_verity(&image, &inspected, scratch.path());
                    case.judge_systemd(&dissect, release, &path);
                    case.judge_kernel(&inspected, &path, scratch.path());
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 3 * 10 * 3 * 2);
}
