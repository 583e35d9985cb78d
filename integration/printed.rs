//! What strangers make the program say: their output, file names and servers drive no terminal and command no runner.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use crate::harness::Transcript;
use crate::interruption::fixture::Fixture;
use crate::require::{self, tool};

/// Longer lines are passed on in pieces.
const LINE_LIMIT_BYTES: usize = 16 << 10;

/// Lines that act on a terminal, or on GitHub Actions wherever they begin or where a line is cut.
fn shouted() -> Vec<u8> {
    let mut text = Vec::new();
    let lines: [&[u8]; 22] = [
        b"\x1b]0;title\x07\x1b[2J\x1b[31mred",
        b"\x1b]52;c;cGFzdGVk\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1bP+q544e\x1b\\",
        "\u{9b}31m\u{9d}0;title\u{9c}".as_bytes(),
        "\u{202e}reversed\u{202c} \u{2066}isolated\u{2069} \u{200f}".as_bytes(),
        b"::set-output name=x::y",
        b"::add-mask::z",
        b"::set-env name=PATH::/x",
        b"::stop-commands::token",
        b"  \t ::warning::indented",
        b"##[command]first",
        b"within ##[set-env name=A;]B",
        b"\r::error::returned",
        b"50%\r::error::overwritten\r100%\r",
        b"\x0b::error::tabbed\x0c::error::fed",
        b"\0::error::nothing",
        "\u{85}::error::next".as_bytes(),
        "\u{2028}::error::separated".as_bytes(),
        "\u{feff}::error::marked".as_bytes(),
        "\u{a0}\u{3000}::error::spaced".as_bytes(),
        b"\xff\xfe::error::invalid\xc3",
        b"\x7f\x08\x08\x08::error::erased",
        b"main: write extension ...",
    ];
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    // A piece that begins with a command, one that ends within one, and one that ends within a character.
    for (before, command) in [
        (0, "::add-mask::cut"),
        (1, "::add-mask::cut"),
        (2, "##[group]cut"),
        (1, "é"),
    ] {
        text.extend(std::iter::repeat_n(b'x', LINE_LIMIT_BYTES - before));
        text.extend_from_slice(command.as_bytes());
        text.push(b'\n');
    }
    text.extend(std::iter::repeat_n(b'y', 300_000));
    text.extend_from_slice(b"::error::last");
    text
}

/// Asserts that a text is nothing but text, on GitHub Actions too.
#[track_caller]
fn assert_inert(text: &str) {
    for line in text.split(['\n', '\r']) {
        let hidden = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
        let start: String = line.chars().take(60).collect();
        assert!(
            !line.trim_start_matches(hidden).starts_with("::"),
            "{start}"
        );
        assert!(!line.contains("##["), "{start}");
    }
    let acts = |c: &char| {
        c.is_control() && !['\n', '\t'].contains(c)
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let found: Vec<char> = text.chars().filter(acts).collect();
    assert_eq!(found, Vec::<char>::new());
}

/// Asserts that all of an output is inert, and that standard output is events if there is any. Returns their texts.
#[track_caller]
fn assert_transcript_inert(transcript: &Transcript) -> Vec<String> {
    assert_inert(&transcript.stderr);
    assert_inert(&transcript.stdout);
    let mut texts = Vec::new();
    for line in transcript.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for name in ["line", "text"] {
            texts.extend(event[name].as_str().map(str::to_owned));
        }
    }
    texts
}

fn run(fixture: &Fixture, arguments: &[&str]) -> Transcript {
    fixture.forget();
    let mut command = fixture.world.command(&["-f"]);
    command.args(arguments).env("GITHUB_ACTIONS", "true");
    fixture.world.finish(command)
}

#[test]
fn what_a_package_prints_commands_nobody() {
    let fixture = require!(Fixture::new());
    fixture.say("shout", &shouted());
    let built = run(&fixture, &["--debug"]);
    assert_eq!(built.status, Some(0), "{}", built.stderr);
    assert_transcript_inert(&built);
    for shown in [
        "set-output",
        "add-mask::cut",
        "::error::overwritten",
        "^[[2J",
        "#\\#[command]first",
    ] {
        assert!(
            built.stderr.contains(shown),
            "no `{shown}` in:\n{}",
            built.stderr
        );
    }
    // A line that looks like one of ours says where it is from.
    assert!(
        built
            .stderr
            .contains("\nmain | main: write extension ...\n")
    );

    let silent = run(&fixture, &[]);
    assert_eq!(silent.status, Some(0), "{}", silent.stderr);
    assert!(!silent.stderr.contains("set-output"), "{}", silent.stderr);

    let json = run(&fixture, &["--debug", "--json"]);
    assert_eq!(json.status, Some(0), "{}", json.stderr);
    let lines = assert_transcript_inert(&json);
    // What was said is what a reader of the JSON gets.
    for said in [
        "::add-mask::z",
        "within ##[set-env name=A;]B",
        "\u{9b}31m\u{9d}0;title\u{9c}",
    ] {
        assert!(lines.iter().any(|line| line == said), "no `{said}`");
    }

    fixture.tell("fail");
    for arguments in [&[][..], &["--debug"], &["--json"], &["--json", "--debug"]] {
        let failed = run(&fixture, arguments);
        assert_eq!(failed.status, Some(1), "{}", failed.stderr);
        assert_transcript_inert(&failed);
        assert!(
            failed.stderr.contains("the step `install packages` failed"),
            "{}",
            failed.stderr
        );
        // The end of what it said, below the error's own line.
        let (_, error) = failed.stderr.split_once("error: building").unwrap();
        assert!(error.len() < 16 << 10, "{} bytes", error.len());
        assert!(error.lines().all(|line| line.len() < 6 << 10));
    }
}

/// Makes files whose names act, outside of an extension and with owners that are told, and removes one of the base.
const NAMES: &str = r###"#!/bin/sh
exec perl -e '
    my @names = ("\n::add-mask::name", "\e[2J\e]0;name\a", "##[group]name", "\xff\xfename", "\xe2\x80\xaename",
        "\xc2\x9b31mname", "\r::error::name", "name\ntwo\nlines");
    mkdir "/usr/share";
    for my $number (0..$#names) {
        for my $path ("/usr/share/$names[$number]", "/srv$names[$number]") {
            open my $file, ">", $path or die "$path: $!";
            chown 990 + $number, 0, $path or die "$path: $!";
            chmod 04755, $path;
        }
        unlink "/usr/lib/base-$names[$number]" or die "unlink: $!";
    }
'
"###;

#[test]
fn names_of_files_command_nobody() {
    use std::os::unix::ffi::OsStrExt;

    let make = |dpkg_deb: &require::Tool| {
        crate::repository::Repository::of(dpkg_deb, "hostile", Some(NAMES))
    };
    let fixture = require!(Fixture::of(make));
    let names: [&[u8]; 8] = [
        b"\n::add-mask::name",
        b"\x1b[2J\x1b]0;name\x07",
        b"##[group]name",
        b"\xff\xfename",
        "\u{202e}name".as_bytes(),
        "\u{9b}31mname".as_bytes(),
        b"\r::error::name",
        b"name\ntwo\nlines",
    ];
    for name in names {
        let name = [b"base-", name].concat();
        let path = fixture
            .world
            .path("base/usr/lib")
            .join(std::ffi::OsStr::from_bytes(&name));
        fs_err::write(path, "").unwrap();
    }
    fs_err::write(
        fixture.world.path("base/etc/passwd"),
        "n::add-mask::\u{202e}x:x:990:0:::\n",
    )
    .unwrap();
    fs_err::write(
        fixture.world.path("base/usr/lib/os-release"),
        "ID=debian\nVERSION_ID=\"::add-mask::\"\n",
    )
    .unwrap();
    for arguments in [
        &["--format=sysext"][..],
        &["--format=sysext", "--json", "--debug"],
    ] {
        let built = run(&fixture, arguments);
        assert_eq!(built.status, Some(0), "{}", built.stderr);
        assert_transcript_inert(&built);
        let is_told = |line: &&str| {
            let of_people = line.starts_with("warning: main:");
            of_people || (line.contains("\"event\":\"finding\"") && line.contains("name"))
        };
        let said = built.stderr.lines().chain(built.stdout.lines());
        let told = said.filter(is_told).count();
        // One for each owner, one for all that are deleted, and one for what is left out.
        assert!(
            told > names.len() + 1,
            "{told}: {}{}",
            built.stderr,
            built.stdout
        );
    }
}

#[test]
fn what_a_mirror_answers_commands_nobody() {
    require!(require::building());
    require!(tool("dpkg-deb"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(
                "HTTP/1.1 404 ::add-mask::\x1b[2J\u{9b}31m ##[group]x \u{202e}\r\nServer: \x1b[2J\r\nConnection: close\r\n\
                 Content-Length: 0\r\n\r\n"
                    .as_bytes(),
            );
        }
    });
    let fixture = require!(Fixture::new());
    let mirror = format!("--local-mirror=http://{address}/");
    for more in [&[][..], &["--debug"], &["--debug", "--json"]] {
        let arguments: Vec<&str> = [mirror.as_str()].iter().chain(more).copied().collect();
        let failed = run(&fixture, &arguments);
        assert_eq!(failed.status, Some(1), "{}", failed.stderr);
        assert_transcript_inert(&failed);
        assert!(
            failed.stderr.contains("downloading from"),
            "{}",
            failed.stderr
        );
    }
}
