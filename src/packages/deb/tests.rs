use std::io::Write;

use super::fuzzing::package_file;
use super::{Control, Error, read};

const CONTROL: &str = "Package: hello\nVersion: 1:2.0~rc1-1\nArchitecture: all\nFilename: /etc/passwd\n \
                       of another\nDescription: words\n more words\n";

/// Returns a tar archive of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Returns an ar archive of these members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, 0, 100_644
        );
        archive.extend(header.as_bytes());
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

fn package(member: &str, control: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        (member, control),
        ("data.tar", b""),
    ])
}

/// Returns a package with this `control` file and nothing else.
pub(crate) fn package_of(control: &str) -> Vec<u8> {
    package("control.tar", &tar(&[("control", control.as_bytes())]))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packages_are_read_in_every_compression() {
    let archive = tar(&[
        ("./postinst", &[b'x'; 700]),
        ("./control", CONTROL.as_bytes()),
    ]);
    let zstd = zstd::bulk::compress(&archive, 1).unwrap();
    for (member, control) in [
        ("control.tar", archive.clone()),
        ("control.tar/", archive.clone()),
        ("control.tar.gz", gzip(&archive)),
        ("control.tar.xz", xz(&archive)),
        ("control.tar.zst", zstd),
    ] {
        let control = read(package(member, &control).as_slice()).unwrap();
        assert_eq!(
            control.file_name(),
            "hello_1%3a2.0~rc1-1_all.deb",
            "{member}"
        );
    }
}

#[test]
fn an_index_has_its_own_word_on_files() {
    let control = Control::parse(CONTROL.as_bytes()).unwrap();
    assert_eq!(
        control.index_entry(7, "00"),
        "Package: hello\nVersion: 1:2.0~rc1-1\nArchitecture: all\nDescription: words\n more words\n\
         Filename: ./hello_1%3a2.0~rc1-1_all.deb\nSize: 7\nSHA256: 00\n\n"
    );
}

#[test]
fn what_would_be_another_package_or_another_file_is_refused() {
    let with = |from: &str, to: &str| CONTROL.replace(from, to);
    for (text, expected) in [
        (
            with("Description", "\nDescription"),
            "one paragraph of fields",
        ),
        (with("Version", " \nVersion"), "one paragraph of fields"),
        (
            with("Description", "Package: other\nDescription"),
            "each field once",
        ),
        (
            with("Description", "package: other\nDescription"),
            "each field once",
        ),
        (
            with("words\n", "wo\rrds\n"),
            "text without control characters",
        ),
        (
            with("Description: ", "Description "),
            "the name of a field and a colon",
        ),
        (format!(" x\n{CONTROL}"), "the name of a field"),
    ] {
        match Control::parse(text.as_bytes()) {
            Err(Error::Line {
                expected: found, ..
            }) => assert_eq!(found, expected, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    for (from, to, expected) in [
        ("hello", "../hello", "Package"),
        ("hello", "he_llo", "Package"),
        ("hello", "-oDir::Etc=x", "Package"),
        ("hello", "hello-", "Package"),
        ("Package: hello\n", "", "Package"),
        ("1:2.0~rc1-1", "1 2", "Version"),
        ("1:2.0~rc1-1", "1/2", "Version"),
        (": all", ": all, amd64", "Architecture"),
    ] {
        match Control::parse(with(from, to).as_bytes()) {
            Err(Error::Field { field }) => assert_eq!(field, expected, "{to}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[test]
fn files_that_are_no_packages_say_why() {
    let good = tar(&[("control", CONTROL.as_bytes())]);
    let mut wrong_sum = good.clone();
    wrong_sum[0] = b'k';
    let long = vec![b' '; (1 << 20) + 1];
    for (bytes, expected) in [
        (
            b"PK\x03\x04 and more".to_vec(),
            "it does not start as a package does (`!<arch>`)",
        ),
        (
            Vec::new(),
            "it does not start as a package does (`!<arch>`)",
        ),
        (
            ar(&[("other", b"2.0\n")]),
            "expected the member `debian-binary` and found `other`",
        ),
        (
            ar(&[("debian-binary", b"3.0\n")]),
            "its format is `3.0`, and `2.x` was expected",
        ),
        (
            package("data.tar", &good),
            "expected the member `control.tar`, compressed with gzip, xz or zstd or not at all and found `data.tar`",
        ),
        (
            package("control.tar", &wrong_sum),
            "its control information is not an archive: the checksum of a header is wrong",
        ),
        (
            package("control.tar", &tar(&[("md5sums", b"x")])),
            "it has no `control` file within the first 67108864 bytes of its control information",
        ),
        (
            package("control.tar", &good[..600]),
            "its control information is not an archive: it ends within a file",
        ),
        (
            package("control.tar", &tar(&[("control", &long)])),
            "its `control` file has 1048577 bytes, and at most 1048576 were expected",
        ),
        (
            package("control.tar.gz", b"this is no stream of gzip"),
            "reading it",
        ),
        (
            package("control.tar.xz", b"this is no stream of xz"),
            "reading it",
        ),
        (
            package("control.tar.zst", b"this is no stream of zstd"),
            "reading it",
        ),
    ] {
        assert_eq!(read(bytes.as_slice()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_control_archive_that_never_ends_is_given_up() {
    let endless = vec![0; 70 << 20];
    let mut archive = tar(&[("filler", &endless[..60 << 20])]);
    archive.truncate(archive.len() - 1024);
    archive.extend(tar(&[
        ("filler", &endless[..60 << 20]),
        ("control", CONTROL.as_bytes()),
    ]));
    let bomb = zstd::bulk::compress(&archive, 1).unwrap();
    let found = read(package("control.tar.zst", &bomb).as_slice());
    assert!(matches!(found, Err(Error::NoControl { .. })), "{found:?}");
}

#[test]
fn any_start_of_a_package_is_read_or_refused() {
    let archive = tar(&[("control", CONTROL.as_bytes())]);
    let whole = package("control.tar.gz", &gzip(&archive));
    for length in 0..whole.len() {
        package_file(&whole[..length]);
        let mut damaged = whole.clone();
        damaged[length] ^= 0x20;
        package_file(&damaged);
    }
    package_file(CONTROL.as_bytes());
}
