//! The programs that others make images with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::measure::Program;
use crate::ours::Keys;
use crate::{Contestant, Failure};

const TOOLS: [&str; 4] = ["mkfs.erofs", "mksquashfs", "systemd-repart", "zstd"];

/// File systems by `mkfs.erofs`: a name and its options.
const EROFS: [(&str, &[&str]); 8] = [
    ("uncompressed", &[]),
    ("lz4", &["-zlz4"]),
    ("lz4 64K fragments", &["-zlz4", "-C65536", "-Efragments"]),
    ("lz4hc-9 64K", &["-zlz4hc,level=9", "-C65536"]),
    ("lz4hc-12 64K", &["-zlz4hc,level=12", "-C65536"]),
    ("zstd-3 64K", &["-zzstd,level=3", "-C65536"]),
    (
        "zstd-3 64K fragments",
        &["-zzstd,level=3", "-C65536", "-Efragments"],
    ),
    (
        "zstd-3 128K all-fragments dedupe",
        &["-zzstd,level=3", "-C131072", "-Eall-fragments,dedupe"],
    ),
];

/// File systems by `mksquashfs`.
const SQUASHFS: [(&str, &[&str]); 2] = [
    ("zstd-3", &["-comp", "zstd", "-Xcompression-level", "3"]),
    ("lz4", &["-comp", "lz4"]),
];

/// Whole images by `systemd-repart`: the file system, its compression and level.
const REPART: [(&str, &str, &str); 3] = [
    ("erofs", "", ""),
    ("erofs", "lz4", ""),
    ("squashfs", "zstd", "3"),
];

pub(crate) fn contestants(
    tree: &Path,
    scratch: &Path,
    keys: &Keys,
) -> Result<Vec<Contestant>, Failure> {
    let directory = tools(scratch)?;
    let path = match &directory {
        Some(directory) => directory.display().to_string() + ":/usr/sbin:/usr/bin:/sbin:/bin",
        None => std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin",
    };
    let has = |tool: &str| {
        let found = std::env::split_paths(&path).any(|directory| directory.join(tool).exists());
        if !found {
            println!("`{tool}` is not installed, and left out");
        }
        found
    };
    let source = tree.display().to_string();
    let mut contestants = Vec::new();
    let mut add = |name: String, file_system, arguments: Vec<&str>, image: &Path| {
        contestants.push(Contestant {
            name,
            program: Program {
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                environment: vec![("PATH", path.clone())],
            },
            image: image.to_owned(),
            offset_bytes: 0,
            file_system,
        });
    };
    let image = scratch.join("theirs");
    let output = image.display().to_string();
    if has("mkfs.erofs") {
        for (name, options) in EROFS {
            let arguments = [
                &["mkfs.erofs", "--quiet", "-T0"],
                options,
                &[&output, &source],
            ];
            add(
                format!("mkfs.erofs {name}"),
                Some("erofs"),
                arguments.concat(),
                &image,
            );
        }
    }
    if has("mksquashfs") {
        for (name, options) in SQUASHFS {
            let fixed = [
                "mksquashfs",
                &source,
                &output,
                "-noappend",
                "-quiet",
                "-no-progress",
            ];
            let arguments = [&fixed[..], options].concat();
            add(
                format!("mksquashfs {name}"),
                Some("squashfs"),
                arguments,
                &image,
            );
        }
    }
    if has("systemd-repart") {
        for (file_system, compression, level) in REPART {
            let definitions = definitions(scratch, file_system, compression, level)?;
            let options = [
                format!("--definitions={}", definitions.display()),
                format!("--copy-source={source}"),
                format!("--private-key={}", keys.private_key.display()),
                format!("--certificate={}", keys.certificate.display()),
            ];
            let mut arguments = vec!["systemd-repart", "--empty=create", "--size=auto"];
            arguments.extend(["--dry-run=no", "--no-pager", "--offline=yes"]);
            arguments.extend(options.iter().map(String::as_str));
            arguments.push(&output);
            let name = format!("systemd-repart {file_system} {compression}{level}");
            add(name, None, arguments, &image);
        }
    }
    if has("zstd") {
        let script = "tar -c --sort=name -C \"$0\" . | zstd -q -3 -T2 -o \"$1\"";
        let arguments = vec!["sh", "-c", script, &source, &output];
        add("tar | zstd -3 -T2".to_owned(), None, arguments, &image);
    }
    Ok(contestants)
}

/// Writes what `systemd-repart` shall make, and returns the directory.
fn definitions(
    scratch: &Path,
    file_system: &str,
    compression: &str,
    level: &str,
) -> Result<PathBuf, Failure> {
    let directory = scratch.join(format!("repart.{file_system}{compression}"));
    fs_err::create_dir(&directory)?;
    let mut root = format!(
        "[Partition]\nType=root\nFormat={file_system}\nCopyFiles=/\nVerity=data\nVerityMatchKey=root\nMinimize=best\n"
    );
    for (key, value) in [("Compression", compression), ("CompressionLevel", level)] {
        if !value.is_empty() {
            root += &format!("{key}={value}\n");
        }
    }
    fs_err::write(directory.join("10-root.conf"), root)?;
    for (number, partition_type, verity) in [
        (20, "root-verity", "hash\nMinimize=best"),
        (30, "root-verity-sig", "signature"),
    ] {
        let text =
            format!("[Partition]\nType={partition_type}\nVerity={verity}\nVerityMatchKey=root\n");
        fs_err::write(
            directory.join(format!("{number}-{partition_type}.conf")),
            text,
        )?;
    }
    Ok(directory)
}

/// Makes a directory of programs that run those of the tree in `OVERCOAT_BENCH_TOOLS`, with the libraries of that tree.
fn tools(scratch: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some(tree) = std::env::var_os("OVERCOAT_BENCH_TOOLS") else {
        return Ok(None);
    };
    let tree = std::path::absolute(tree)?;
    let libraries: Vec<_> = fs_err::read_dir(tree.join("usr/lib"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Failure>>()?;
    let libraries = libraries
        .iter()
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .ok_or("the tools tree has no libraries")?;
    let loader = fs_err::read_dir(tree.join("usr/lib64"))?
        .find_map(|entry| {
            let path = entry.ok()?.path();
            path.to_string_lossy().contains("/ld-linux").then_some(path)
        })
        .ok_or("the tools tree has no dynamic loader")?;
    let directory = scratch.join("tools");
    fs_err::create_dir(&directory)?;
    for tool in TOOLS {
        let Some(program) = ["usr/bin", "usr/sbin"]
            .iter()
            .map(|place| tree.join(place).join(tool))
            .find(|program| program.exists())
        else {
            continue;
        };
        let script = format!(
            "#!/bin/sh\nexec '{}' --library-path '{}:{}/systemd' '{}' \"$@\"\n",
            loader.display(),
            libraries.display(),
            libraries.display(),
            program.display()
        );
        let wrapper = directory.join(tool);
        fs_err::write(&wrapper, script)?;
        fs_err::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(Some(directory))
}
