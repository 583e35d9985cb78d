//! Builds that are interrupted, killed, or fail: at any moment, no process, mount, lock or half-written output is left.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use self::fixture::{Fixture, Running, STAGES, Stage, write_recipe};
use self::traces::{
    Files, GONE, assert_nothing_is_staged, assert_nothing_lasts, files, held_locks, processes_of,
    sizes,
};
use crate::harness::World;
use crate::require;
use crate::tutorial;

mod disk;
pub(crate) mod fixture;
mod range;
pub(crate) mod traces;

#[test]
fn signals_end_a_build_and_leave_what_was_there() {
    let fixture = require!(Fixture::new());
    let interrupt = |stage, signal: &dyn Fn(Pid)| {
        let before = fixture.output();
        let running = fixture.start(stage);
        signal(running.pid());
        let (status, said) = fixture.end(running);
        assert_eq!(status.code(), Some(130), "{stage:?}: {status}\n{said}");
        let last = said.lines().last().unwrap();
        assert!(last.ends_with(": interrupted"), "{stage:?}:\n{said}");
        fixture.assert_nothing_lasts(&before);
        fixture.assert_nothing_is_staged();
    };
    let to_process = |signal| move |pid| kill(pid, signal).unwrap();
    // Once where nothing was built before, so that there is no output directory either.
    interrupt(Stage::Install, &to_process(Signal::SIGTERM));
    assert!(!fixture.world.path("mkosi.output").exists());
    fixture.build();
    for stage in STAGES {
        interrupt(stage, &to_process(Signal::SIGINT));
    }
    interrupt(Stage::Download, &to_process(Signal::SIGHUP));
    // A terminal signals the whole group.
    interrupt(Stage::Install, &|pid| {
        killpg(pid, Signal::SIGINT).unwrap();
    });
    fixture.build();
}

#[test]
fn a_second_signal_ends_a_build_at_once() {
    let fixture = require!(Fixture::new());
    fixture.build();
    let before = fixture.output();
    let running = fixture.start(Stage::Install);
    for _ in 0..5 {
        // It may have ended already.
        let _ = kill(running.pid(), Signal::SIGINT);
        sleep(Duration::from_millis(1));
    }
    let (status, said) = fixture.end(running);
    assert_eq!(status.code(), Some(130), "{said}");
    fixture.assert_nothing_lasts(&before);
    fixture.build();
    fixture.assert_nothing_is_staged();
}

#[test]
fn interrupted_bootstrap_leaves_nothing() {
    require!(require::building());
    // Its packages are in the cache then.
    tutorial::signed();
    let world = tutorial::world_with("tutorial");
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        for moment in [Duration::from_millis(300), Duration::from_secs(2)] {
            let mut running = Running::start(tutorial::build_command(&world));
            running.wait_for("base: bootstrap ...");
            sleep(moment);
            kill(running.pid(), signal).unwrap();
            let (status, said) = running.end();
            assert!(!status.success(), "{said}");
            assert_nothing_lasts(&world);
            assert_eq!(files(&world.path("mkosi.output")), Files::new());
        }
    }
    // The last ones were asked to end, and cleared what the killed ones had left.
    assert_nothing_is_staged(&world);
}

#[test]
fn kills_of_the_build_leave_nothing_that_lasts() {
    let fixture = require!(Fixture::new());
    fixture.build();
    for stage in STAGES {
        let before = fixture.output();
        let running = fixture.start(stage);
        if stage == Stage::Install {
            // The searches find what is there: the build, its sandbox's three, the package manager and its scripts.
            assert!(processes_of(&fixture.world.path("")).len() > 6);
            assert_ne!(held_locks(&fixture.store()), Vec::<PathBuf>::new());
        }
        kill(running.pid(), Signal::SIGKILL).unwrap();
        let (status, said) = fixture.end(running);
        assert_eq!(
            status.signal(),
            Some(Signal::SIGKILL as i32),
            "{stage:?}:\n{said}"
        );
        fixture.assert_nothing_lasts(&before);
        if stage == Stage::RepositoryMetadata {
            // What was fetched by half is not taken for what can do without the network.
            let mut command = fixture.command();
            command.args(["--cache-only", "metadata"]);
            let built = fixture.world.finish(command);
            assert_eq!(built.status, Some(0), "{}", built.stderr);
        }
        fixture.build();
        fixture.assert_nothing_is_staged();
    }
}

#[test]
fn kills_of_a_sandbox_fail_the_build_cleanly() {
    let fixture = require!(Fixture::new());
    fixture.build();
    for stage in [Stage::RepositoryMetadata, Stage::Download, Stage::Install] {
        for (victim, told) in [
            "` ended before its time",
            "` ended before its time",
            "` ended before its time",
            // The program itself.
            "` was killed by signal 9",
        ]
        .into_iter()
        .enumerate()
        {
            let before = fixture.output();
            let running = fixture.start(stage);
            kill(running.wait_for_programs()[victim], Signal::SIGKILL).unwrap();
            let (status, said) = fixture.end(running);
            assert_eq!(status.code(), Some(1), "{stage:?} {victim}:\n{said}");
            assert!(said.contains(told), "{stage:?} {victim}:\n{said}");
            fixture.assert_nothing_lasts(&before);
            fixture.assert_nothing_is_staged();
        }
    }
    fixture.build();
}

#[test]
fn kills_at_random_moments_leave_nothing_that_lasts() {
    kill_at_random(&require!(Fixture::new()), 100);
}

/// Kills builds at random moments; of the next one, which is killed as well or succeeds, nothing may be spoilt.
#[expect(clippy::print_stdout, reason = "a test that fails shows it")]
fn kill_at_random(fixture: &Fixture, kills: usize) {
    fixture.build();
    fixture.forget();
    let started = Instant::now();
    fixture.build();
    let longest = started.elapsed();
    // The seed of this process's own, so that a failure can be repeated by putting it here.
    let mut random = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    println!("seed {random}, a build takes {longest:?}");
    for number in 0..kills {
        // The generator of Numerical Recipes; its low bits are weak.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let part = u32::try_from(random >> 32).unwrap();
        let after = longest.mul_f64(f64::from(part) / f64::from(u32::MAX));
        // Every other build starts with what the killed one left in the store.
        if number % 2 == 0 {
            fixture.forget();
        }
        let before = fixture.output();
        let running = Running::start(fixture.command());
        sleep(after);
        println!("killed after {after:?}");
        kill(running.pid(), Signal::SIGKILL).unwrap();
        let (status, said) = fixture.end(running);
        // One that is killed after its output is in place has put all of it there.
        let now = fixture.output();
        assert!(
            now == before || sizes(&now) == sizes(&before),
            "{status}\n{said}"
        );
        fixture.assert_nothing_lasts(&now);
        if number % 4 == 3 {
            fixture.build();
            fixture.assert_nothing_is_staged();
        }
    }
    fixture.build();
    fixture.assert_nothing_is_staged();
}

#[test]
fn builds_at_once_share_one_layer_and_give_the_same() {
    let fixture = require!(Fixture::new());
    fixture.tell("pause");
    let other = World::new();
    write_recipe(&other, &fixture.repository);
    let copied = Command::new("/bin/cp")
        .arg("--archive")
        .args([fixture.world.path("base"), other.path("base")])
        .status();
    assert!(copied.unwrap().success());
    let transcripts = std::thread::scope(|scope| {
        let builds = [&fixture.world, &other].map(|world| {
            let mut command = world.command(&["-f", "--debug", "--cache-directory"]);
            command.arg(fixture.store());
            scope.spawn(move || world.finish(command))
        });
        builds.map(|build| build.join().unwrap())
    });
    for transcript in &transcripts {
        assert_eq!(transcript.status, Some(0), "{}", transcript.stderr);
    }
    let count = |text: &str| {
        let all = transcripts
            .iter()
            .map(|one| one.stderr.matches(text).count());
        all.sum::<usize>()
    };
    assert_eq!(count("postinst runs"), 1);
    assert_eq!(count("install packages: cached"), 1);
    let payload = |world: &World| world.path("mkosi.output/extension/usr/lib/payload");
    let bytes = fs_err::read(payload(&fixture.world)).unwrap();
    assert!(bytes == fs_err::read(payload(&other)).unwrap());
    fixture.assert_nothing_is_staged();
}

#[test]
fn a_build_that_waits_for_another_is_interrupted_at_once() {
    let fixture = require!(Fixture::new());
    let first = fixture.start(Stage::Install);
    let mut second = Running::start(fixture.command());
    second.wait_for("waiting for it");
    let asked = Instant::now();
    kill(second.pid(), Signal::SIGINT).unwrap();
    let (status, said) = second.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(asked.elapsed() < GONE);
    kill(first.pid(), Signal::SIGINT).unwrap();
    assert_eq!(fixture.end(first).0.code(), Some(130));
    fixture.assert_nothing_lasts(&Files::new());
    fixture.assert_nothing_is_staged();
}

#[test]
fn a_step_that_fails_changes_no_output() {
    let fixture = require!(Fixture::new());
    fixture.build();
    let before = fixture.output();
    fixture.tell("fail");
    // What it leaves behind first is hard to remove.
    for deep in [false, true] {
        if deep {
            fixture.tell("deep");
        }
        let failed = fixture.world.finish(fixture.command());
        assert_eq!(failed.status, Some(1), "{}", failed.stderr);
        assert!(failed.stderr.contains("the step `install packages` failed"));
        assert_eq!(failed.stderr.contains("dug deep"), deep);
        fixture.assert_nothing_lasts(&before);
        fixture.assert_nothing_is_staged();
    }
}

#[test]
fn a_file_that_cannot_grow_is_named_and_changes_no_output() {
    let fixture = require!(Fixture::new());
    fixture.build();
    let before = fixture.output();
    // An output that would not change is not written.
    fixture.world.write("more/usr/changed", "");
    for (format, named) in [
        ("directory", "usr/lib/payload"),
        ("cpio", "`extension.cpio.zst`"),
        ("disk", "`extension.raw`"),
    ] {
        let build = fixture
            .world
            .command(&["-f", "--format", format, "--extra-tree=more"]);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "ulimit -f 20000; exec \"$@\"", "limited"])
            .arg(build.get_program())
            .args(build.get_args())
            .current_dir(fixture.world.path(""))
            .env_clear()
            .envs(given(&build));
        let failed = fixture.world.finish(command);
        assert_eq!(failed.status, Some(1), "{}", failed.stderr);
        assert!(failed.stderr.contains(named), "{}", failed.stderr);
        fixture.assert_nothing_lasts(&before);
        fixture.assert_nothing_is_staged();
    }
}

/// Returns the environment that a command would give.
fn given(command: &Command) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    let variables = command.get_envs();
    variables.filter_map(|(name, value)| Some((name, value?)))
}
