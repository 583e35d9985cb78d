//! `overcoat sandbox`: what a command may do by default, what each option adds, and what each kind of step may do.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Transcript, World, names};

/// Returns a world, or none where the host lacks what a sandbox needs, which fails where it was promised.
fn world() -> Option<World> {
    let world = World::new();
    let report = world.run(&["doctor", "--json"]).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let lacking = report["checks"].as_array().unwrap().iter().find(|check| {
        let programs = ["apt-get", "dpkg", "dpkg-deb", "tar"];
        check["status"] == "missing" && !programs.contains(&check["name"].as_str().unwrap())
    });
    let Some(lacking) = lacking else {
        return Some(world);
    };
    let is_required = std::env::var_os("OVERCOAT_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!is_required, "{lacking}");
    skip(&lacking.to_string());
    None
}

#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn skip(reason: &str) {
    println!("SKIP: {reason}");
}

/// Lets their owner read the directories below `path`: the kernel makes those of overlays with modes that shut it out.
fn open_directories(path: &Path) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs_err::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            open_directories(&entry.path());
        }
    }
}

/// Runs a shell script in a sandbox with these options.
fn shell(world: &World, options: &[&str], script: &str) -> Transcript {
    world.run(&[&["sandbox"], options, &["--", "sh", "-c", script]].concat())
}

#[track_caller]
fn assert_ran(transcript: &Transcript, stdout: &str) {
    assert_eq!(
        (transcript.stdout.as_str(), transcript.stderr.as_str()),
        (stdout, "")
    );
    assert_eq!(transcript.status, Some(0));
}

#[test]
fn the_exit_status_is_that_of_a_shell() {
    let Some(world) = world() else { return };
    let status = |script| shell(&world, &[], script).status;
    assert_eq!(status("exit 7"), Some(7));
    assert_eq!(status("kill -KILL $$"), Some(137));
    assert_eq!(shell(&world, &["--time=1"], "sleep 60").status, Some(124));
    assert_eq!(shell(&world, &["--time=60"], ":").status, Some(0));
}

#[test]
fn nothing_ran_when_the_status_is_125() {
    let Some(world) = world() else { return };
    world.run(&["sandbox", "--", "absent"]).assert_failed(
        125,
        "error: the program `absent` is not in the sandbox\n\n\
         hint: a script's interpreter or a program's dynamic loader that is missing looks the same\n",
    );
    world.run(&["sandbox"]).assert_failed(
        125,
        "error: no command is given after `--`\n\nhint: `overcoat --help` lists the options\n",
    );
}

#[test]
fn a_command_that_exceeds_a_limit_is_told_of_it() {
    let Some(world) = world() else { return };
    let script = "head -c 200M /dev/zero | tail -c 200M >/dev/null";
    let ran = shell(&world, &["--limit=memory=64M"], script);
    assert_eq!(
        (ran.stderr.as_str(), ran.status),
        (
            "error: the command used more than the limit of <size> of memory\n",
            Some(137)
        )
    );
    assert_ran(&shell(&world, &["--limit=memory=4G"], script), "");
    let json = world.run(&[
        "sandbox",
        "--limit=open-files=64",
        "--print-spec",
        "--",
        "true",
    ]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let limits = json["oci"]["process"]["rlimits"].as_array().unwrap();
    let open_files = limits.iter().find(|limit| limit["type"] == "RLIMIT_NOFILE");
    assert_eq!(open_files.unwrap()["hard"], 64);
    for (limit, message) in [
        ("time=1h", "the time of a command is limited by `--time`"),
        ("disk=1G", "the limit `disk` is for builds"),
    ] {
        let message = format!("error: {message}\n\nhint: `overcoat --help` lists the options\n");
        world
            .run(&["sandbox", "--limit", limit, "--", "true"])
            .assert_failed(125, &message);
    }
}

#[test]
fn a_profile_refuses_what_it_names() {
    let Some(world) = world() else { return };
    world.write(
        "profile.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#,
    );
    let profile = ["--seccomp-profile=profile.json"];
    let script = "mkdir /tmp/x 2>/dev/null; echo $?; ls /tmp";
    assert_ran(&shell(&world, &profile, script), "1\n");
    assert_ran(&shell(&world, &[], script), "0\nx\n");
}

#[test]
fn files_of_the_host_are_seen_when_they_are_bound() {
    let Some(world) = world() else { return };
    world.write("shown/file", "text\n");
    let path = world.path("shown").display().to_string();
    let read = format!("cat {path}/file");
    let write = format!("echo more >> {path}/file");
    assert_eq!(shell(&world, &[], &read).status, Some(1));
    let read_only = ["--bind-read-only", &path];
    assert_ran(&shell(&world, &read_only, &read), "text\n");
    assert_ne!(shell(&world, &read_only, &write).status, Some(0));
    assert_ran(&shell(&world, &["--bind", &path], &write), "");
    assert_ran(&shell(&world, &read_only, &read), "text\nmore\n");
    // Below another name, from a path that is not absolute.
    let renamed = ["--bind-read-only=shown:/x"];
    assert_ran(&shell(&world, &renamed, "cat /x/file"), "text\nmore\n");
}

#[test]
fn overlays_take_changes_where_they_may() {
    let Some(world) = world() else { return };
    world.write("top/a", "top\n");
    world.write("bottom/a", "bottom\n");
    world.write("bottom/b", "bottom\n");
    let read_only = ["--overlay=top:bottom:/o"];
    assert_ran(&shell(&world, &read_only, "cat /o/a /o/b"), "top\nbottom\n");
    assert_ne!(shell(&world, &read_only, "echo x > /o/c").status, Some(0));
    world.write("upper/d", "");
    fs_err::create_dir(world.path("work")).unwrap();
    let writable = ["--overlay-writable=top:bottom:upper:work:/o"];
    assert_ran(&shell(&world, &writable, "echo x > /o/c"), "");
    assert_eq!(
        fs_err::read_to_string(world.path("upper/c")).unwrap(),
        "x\n"
    );
    open_directories(&world.path("work"));
}

#[test]
fn the_environment_is_what_was_asked_for() {
    let Some(world) = world() else { return };
    let run = |options: &[&str]| {
        let arguments = [&["sandbox"], options, &["--", "env"]].concat();
        let mut command = world.command(&arguments);
        command.env("SECRET", "x").env("LANG", "de_DE.UTF-8");
        let mut lines: Vec<String> = world
            .finish(command)
            .stdout
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(run(&[]), ["HOME=/tmp", "LANG=C.UTF-8", path, "TERM=dumb"]);
    assert_eq!(
        run(&["--env=SECRET", "--env=A=b", "--env=HOME=/x"]),
        [
            "A=b",
            "HOME=/x",
            "LANG=C.UTF-8",
            path,
            "SECRET=x",
            "TERM=dumb"
        ]
    );
}

#[test]
fn the_network_is_the_hosts_only_when_it_is_asked_for() {
    let Some(world) = world() else { return };
    let own = fs_err::read_link("/proc/self/ns/net").unwrap();
    let own = format!("{}\n", own.display());
    let script = "readlink /proc/self/ns/net";
    assert_ne!(shell(&world, &[], script).stdout, own);
    assert_ran(&shell(&world, &["--network"], script), &own);
}

#[test]
fn options_change_what_they_say() {
    let Some(world) = world() else { return };
    assert_ran(&shell(&world, &["--directory=/usr"], "pwd"), "/usr\n");
    assert_ran(&shell(&world, &["--chdir=/usr"], "pwd"), "/usr\n");
    assert_ran(
        &shell(&world, &[], "pwd; echo $(ls /tmp /var /run)"),
        "/\n/run: /tmp: /var:\n",
    );
    assert_ran(
        &shell(
            &world,
            &["--hostname=other"],
            "cat /proc/sys/kernel/hostname",
        ),
        "other\n",
    );
    assert_ran(
        &shell(&world, &["--tmpfs=/x"], "echo y > /x/y; cat /x/y"),
        "y\n",
    );
    let chown = "cd /tmp; : > f; chown 7:8 f && stat -c %u:%g f";
    assert_eq!(shell(&world, &[], chown).status, Some(1));
    assert_ran(&shell(&world, &["--record-owners"], chown), "0:0\n");
    assert_ran(&shell(&world, &["--record-owners=answer"], chown), "7:8\n");
    let without = world.run(&["sandbox", "--no-host-programs", "--", "/bin/sh"]);
    assert_eq!(without.status, Some(125));
}

#[test]
fn a_tree_can_take_the_place_of_the_hosts_programs() {
    let Some(world) = world() else { return };
    world.write("tree/etc/name", "tree\n");
    for directory in ["proc", "dev", "tmp", "usr", "bin", "lib", "lib64"] {
        fs_err::create_dir(world.path("tree").join(directory)).unwrap();
    }
    let mut options = vec!["--root=tree".to_owned()];
    options.extend(["usr", "bin", "lib", "lib64"].map(|name| format!("--bind-read-only=/{name}")));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    assert_ran(
        &shell(&world, &options, "cat /etc/name; : > /tmp/x"),
        "tree\n",
    );
    assert_ne!(shell(&world, &options, "echo > /etc/name").status, Some(0));
}

#[test]
fn streams_are_copied_byte_for_byte() {
    let Some(world) = world() else { return };
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut command = world.command(&["sandbox", "--", "sh", "-c", "cat; printf '\\033[31m' >&2"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
    assert_eq!(output.stderr, b"\x1b[31m");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_reader_that_is_gone_ends_the_writer_as_in_any_pipeline() {
    let Some(world) = world() else { return };
    let mut child = world
        .command(&["sandbox", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    assert_eq!(line, "y\n");
    assert_eq!(
        child.wait().unwrap().code(),
        Some(128 + Signal::SIGPIPE as i32)
    );
}

#[test]
fn a_file_that_takes_output_cannot_be_changed_otherwise() {
    let Some(world) = world() else { return };
    let path = world.path("log");
    let mut command = world.command(&[
        "sandbox",
        "--",
        "sh",
        "-c",
        "chmod 4777 /proc/self/fd/1; echo text",
    ]);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(command.stdout(log).status().unwrap().success());
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "text\n");
}

#[test]
fn a_terminal_is_neither_driven_nor_read() {
    let Some(world) = world() else { return };
    let pty = nix::pty::openpty(None, None).unwrap();
    let stream = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = world.command(&[
        "sandbox",
        "--",
        "sh",
        "-c",
        "printf '\\033]0;title\\007\\n'; cat; [ -t 0 ] || [ -t 1 ] || [ -t 2 ] || echo none; : < /dev/tty",
    ]);
    command.stdin(stream()).stdout(stream()).stderr(stream());
    let mut child = command.spawn().unwrap();
    // What is typed stays with the terminal.
    nix::unistd::write(&pty.master, b"typed\n").unwrap();
    let status = child.wait().unwrap();
    drop((command, pty.slave));
    let shown = read_terminal(pty.master);
    assert!(shown.contains("^[]0;title^G\r\nnone\r\n"), "{shown:?}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    // There is no controlling terminal to open.
    assert_ne!(status.code(), Some(0));
}

fn read_terminal(master: OwnedFd) -> String {
    let mut shown = Vec::new();
    // Without anybody at the other side it fails with EIO, after all that is there.
    let _ = File::from(master).read_to_end(&mut shown);
    String::from_utf8(shown).unwrap()
}

/// A command that runs until it is killed, and a pipe with a name that ends when it is gone.
fn start_sleeper(world: &World) -> (std::process::Child, BufReader<File>) {
    let fifo = world.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command: Command = world.command(&[
        "sandbox",
        "--bind=.:/world",
        "--",
        "sh",
        "-c",
        "exec 3>/world/fifo; echo started >&3; (trap '' TERM INT HUP; sleep 600) & sleep 600",
    ]);
    let child = command.spawn().unwrap();
    let mut reader = BufReader::new(File::options().read(true).open(fifo).unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    (child, reader)
}

#[test]
fn a_signal_to_the_tool_ends_the_command() {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGKILL,
    ] {
        let Some(world) = world() else { return };
        let (mut child, mut reader) = start_sleeper(&world);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = child.wait().unwrap();
        let expected = (signal != Signal::SIGKILL).then_some(128 + signal as i32);
        assert_eq!(status.code(), expected);
        // It ends when the last process with the pipe has.
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn json_is_the_last_line_of_standard_error() {
    let Some(world) = world() else { return };
    let transcript = shell(&world, &["--json"], "echo '{}' >&2; exit 3");
    let last = transcript.stderr.lines().last().unwrap();
    let json: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(json["status"]["exited"], 3);
    assert_eq!(json["enforcement"]["seccomp"], true);
    assert_eq!(json["enforcement"]["network"], "none");
    assert_eq!(transcript.status, Some(3));
}

const STEPS: [&str; 11] = [
    "configuration",
    "sync",
    "metadata",
    "resolve",
    "download",
    "unpack",
    "install",
    "script",
    "set-up",
    "finalize",
    "postoutput",
];

#[test]
fn the_policy_of_every_step_is_printed_as_oci_and_what_that_lacks() {
    let world = World::new();
    let names: Vec<String> = world
        .run(&["sandbox", "--print-spec"])
        .stdout
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, STEPS);
    for step in STEPS {
        let printed = world.run(&["sandbox", "--print-spec", step]);
        assert_eq!((printed.stderr.as_str(), printed.status), ("", Some(0)));
        let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
        assert_eq!(json["step"]["name"], step);
        assert_eq!(json["oci"]["ociVersion"], "1.2.0");
        assert_eq!(json["oci"]["process"]["noNewPrivileges"], true);
        let seccomp = &json["oci"]["linux"]["seccomp"];
        assert_eq!(seccomp["defaultAction"], "SCMP_ACT_ALLOW");
        for row in json["seccomp"]["rows"].as_array().unwrap() {
            assert!(!row["reason"].as_str().unwrap().is_empty(), "{row}");
        }
        let has_network = ["metadata", "download"].contains(&step);
        assert_eq!(json["network"] != "none", has_network, "{step}");
    }
}

#[test]
fn what_would_run_is_printed_instead() {
    let world = World::new();
    let printed = world.run(&["sandbox", "--tmpfs=/x", "--print-spec", "--", "ls", "-l"]);
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    let expected = serde_json::json!(["ls", "-l"]);
    assert_eq!(json["oci"]["process"]["args"], expected);
    let mounts = json["oci"]["mounts"].as_array().unwrap();
    assert_eq!(mounts.last().unwrap()["destination"], "/x");
}

/// Makes what a build would give a step.
fn make_places(world: &World) {
    for place in [
        "LISTS",
        "ARCHIVES",
        "IMAGE",
        "CHANGES",
        "WORK",
        "GUARD",
        "SOURCES",
        "HIDING",
        "SOURCE-CHANGES",
        "SOURCE-WORK",
        "BUILD",
        "DESTINATION",
        "PACKAGES",
        "ARTIFACTS",
        "OUTPUT",
    ] {
        fs_err::create_dir_all(world.path(place)).unwrap();
        world.write(&format!("{place}/name"), place);
    }
    for empty in [
        "WORK/name",
        "HIDING/name",
        "SOURCE-CHANGES/name",
        "SOURCE-WORK/name",
    ] {
        fs_err::remove_file(world.path(empty)).unwrap();
    }
    world.write("GUARD/machine-id", "");
}

/// What the kinds of steps may do in which directory: nothing, read (`r`) or write (`w`); what is written to the sources
/// is thrown away.
const SIGHT: [(&str, [&str; 7]); 9] = [
    ("configuration", ["", "", "", "r", "", "", ""]),
    ("sync", ["", "", "", "w", "", "", ""]),
    ("set-up", ["", "", "w", "", "", "", ""]),
    ("postoutput", ["", "", "", "w", "", "", "w"]),
    ("resolve", ["r", "", "r", "", "", "", ""]),
    ("unpack", ["", "r", "w", "", "", "", ""]),
    ("install", ["r", "r", "w", "", "", "", ""]),
    ("script", ["", "", "w", "w", "w", "w", ""]),
    ("finalize", ["", "", "w", "w", "r", "", "w"]),
];
const DIRECTORIES: [&str; 7] = [
    "/apt/lists",
    "/apt/archives",
    "/buildroot",
    "/work/src",
    "/work/build",
    "/work/dest",
    "/work/out",
];

#[test]
fn a_step_sees_what_its_row_names_and_nothing_else() {
    for (step, sight) in SIGHT {
        let Some(world) = world() else { return };
        make_places(&world);
        let options = ["--step", step, "--places=."];
        let script = format!(
            "for directory in {}; do
                if echo x > $directory/new; then echo w; elif cat $directory/name > /dev/null; then echo r; else echo; fi
            done 2>&-",
            DIRECTORIES.join(" ")
        );
        let found = shell(&world, &options, &script).stdout;
        assert_eq!(found.lines().collect::<Vec<_>>(), sight, "{step}");
        assert_eq!(names(&world.path("SOURCES")), ["name"]);
        for work in ["WORK", "SOURCE-WORK"] {
            open_directories(&world.path(work));
        }
    }
}

#[test]
fn a_step_has_the_privileges_that_its_row_names() {
    const CHOWN: &str =
        "cd /tmp; : > f; chown 7:8 f 2>&- && echo chown; grep CapEff /proc/self/status";
    let cases = [
        ("configuration", "CapEff:\t0000000000000000\n"),
        ("resolve", "CapEff:\t0000000000000000\n"),
        ("unpack", "chown\nCapEff:\t000000000000001b\n"),
    ];
    for (step, expected) in cases {
        let Some(world) = world() else { return };
        make_places(&world);
        let options = ["--step", step, "--places=."];
        assert_ran(&shell(&world, &options, CHOWN), expected);
        // None of these has a network.
        let own = fs_err::read_link("/proc/self/ns/net").unwrap();
        let found = shell(&world, &options, "readlink /proc/self/ns/net");
        assert_ne!(found.stdout.trim_end(), own.to_string_lossy(), "{step}");
    }
}

#[test]
fn help_lists_the_options() {
    let help = World::new().run(&["sandbox", "--help"]);
    assert_eq!((help.stderr.as_str(), help.status), ("", Some(0)));
    for option in ["--bind-read-only", "--print-spec", "--network"] {
        assert!(help.stdout.contains(option), "{option}");
    }
}
