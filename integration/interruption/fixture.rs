//! A build whose moments are under control: of one package, on a base tree that has little more than a shell.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::traces::{self, Files, files, processes, store_of, wait_until};
use crate::harness::{Transcript, World};
use crate::repository::Repository;
use crate::require::{self, Tool, tool};

/// What the maintainer script does is told by files of the base tree, which it finds in its root. It has processes of
/// its own, in a session of their own, that nobody waits for.
const POSTINST: &str = r#"#!/bin/sh
echo "postinst runs"
setsid sleep 601 <&- >&- 2>&- &
: >/usr/lib/privileged; chmod 6755 /usr/lib/privileged
if [ -e /hang ]; then sleep 602 & sleep 603; fi
if [ -e /pause ]; then sleep 1; fi
if [ -e /shout ]; then
    cat /shout
    cat /shout >&2
fi
if [ -e /deep ]; then
    # Each round puts the chain so far below a new directory, since no path may be longer than 4096 bytes.
    cd /usr/lib
    i=0; while [ $i -lt 300 ]; do
        mkdir -p new/1/2/3/4 && if [ -e deep ]; then mv deep new/1/2/3/4/deep; fi && mv new deep
        chmod 0 deep/1
        i=$((i + 1))
    done
    echo "dug deep"
fi
if [ -e /fail ]; then exit 7; fi
head -c 30000000 /dev/urandom >/usr/lib/payload
"#;

/// How long a build may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a build is interrupted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    RepositoryMetadata,
    Download,
    Install,
    Write,
}

pub(crate) const STAGES: [Stage; 4] = [
    Stage::RepositoryMetadata,
    Stage::Download,
    Stage::Install,
    Stage::Write,
];

/// A recipe of one package on a base tree that has little more than a shell.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) repository: Repository,
    /// What every build is told besides.
    pub(crate) options: &'static [&'static str],
}

impl Fixture {
    pub(crate) fn new() -> Result<Self, String> {
        Self::of(|dpkg_deb| Repository::of(dpkg_deb, "hostile", Some(POSTINST)))
    }

    /// Makes one whose repository has another package of the same name.
    pub(crate) fn of(make: impl FnOnce(&Tool) -> Repository) -> Result<Self, String> {
        require::building()?;
        let repository = make(&tool("dpkg-deb")?);
        let world = World::new();
        make_base(&world.path("base"), &tool("ldd")?);
        write_recipe(&world, &repository);
        Ok(Self {
            world,
            repository,
            options: &[],
        })
    }

    /// Tells the maintainer script what to do, by a file in the base tree.
    pub(crate) fn tell(&self, order: &str) {
        self.say(order, b"");
    }

    /// Gives the maintainer script a file, which tells it to use it.
    pub(crate) fn say(&self, order: &str, text: &[u8]) {
        fs_err::write(self.order(order), text).unwrap();
    }

    fn order(&self, order: &str) -> PathBuf {
        self.world.path("base").join(order)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = self.world.command(&["-f", "--debug"]);
        command.args(self.options);
        command
    }

    pub(crate) fn build(&self) -> Transcript {
        let built = self.world.finish(self.command());
        assert_eq!(built.status, Some(0), "{}", built.stderr);
        built
    }

    pub(crate) fn store(&self) -> PathBuf {
        store_of(&self.world)
    }

    /// Makes the store forget what a step has made, so that the next build does it again.
    pub(crate) fn forget(&self) {
        for name in ["layers", "metadata", "packages"] {
            let path = self.store().join(name);
            if path.exists() {
                fs_err::remove_dir_all(path).unwrap();
            }
        }
    }

    /// Starts a build and returns when it is in the midst of `stage`.
    pub(crate) fn start(&self, stage: Stage) -> Running {
        self.forget();
        self.repository.hold(match stage {
            Stage::RepositoryMetadata => Some("Packages"),
            Stage::Download => Some(".deb"),
            Stage::Install | Stage::Write => None,
        });
        if stage == Stage::Install {
            self.tell("hang");
        }
        let mut running = Running::start(self.command());
        match stage {
            Stage::RepositoryMetadata => running.wait_for("repository metadata ..."),
            Stage::Download => running.wait_for("download packages ..."),
            Stage::Install => running.wait_for("postinst runs"),
            Stage::Write => running.wait_for("write extension ..."),
        }
        if stage != Stage::Write {
            running.wait_for_programs();
        }
        running
    }

    /// Waits for the end of a build that was interrupted, and lets the next one get further.
    pub(crate) fn end(&self, running: Running) -> (ExitStatus, String) {
        let ended = running.end();
        self.repository.hold(None);
        if self.order("hang").exists() {
            fs_err::remove_file(self.order("hang")).unwrap();
        }
        ended
    }

    /// Starts a build, kills it in the midst of `stage`, and lets everything of it go.
    pub(crate) fn start_and_kill(&self, stage: Stage) {
        let running = self.start(stage);
        kill(running.pid(), Signal::SIGKILL).unwrap();
        self.end(running);
        traces::assert_nothing_lasts(&self.world);
    }

    pub(crate) fn output(&self) -> Files {
        files(&self.world.path("mkosi.output"))
    }

    pub(crate) fn assert_nothing_lasts(&self, before: &Files) {
        traces::assert_nothing_lasts(&self.world);
        traces::assert_is_shut(&self.world);
        assert_eq!(self.output(), *before);
    }

    pub(crate) fn assert_nothing_is_staged(&self) {
        traces::assert_nothing_is_staged(&self.world);
    }
}

pub(crate) fn write_recipe(world: &World, repository: &Repository) {
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nDistribution=debian\nRelease=bookworm\nLocalMirror={}\n\n\
             [Output]\nFormat=directory\nOutput=extension\nOutputDirectory=mkosi.output\nOverlay=yes\n\n\
             [Content]\nCleanPackageMetadata=no\nBaseTrees=base\nPackages=hostile\n",
            repository.url()
        ),
    );
    repository.name_in(world, "local-mirror");
}

/// Makes a base tree of a few programs of the host and the libraries that they need.
fn make_base(base: &Path, ldd: &Tool) {
    for directory in ["bin", "lib", "lib64", "sbin"] {
        fs_err::create_dir_all(base.join("usr").join(directory)).unwrap();
        fs_err::os::unix::fs::symlink(format!("usr/{directory}"), base.join(directory)).unwrap();
    }
    for directory in ["dev", "etc", "proc", "run", "tmp", "var/lib/dpkg"] {
        fs_err::create_dir_all(base.join(directory)).unwrap();
    }
    for file in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
        fs_err::write(base.join(file), "").unwrap();
    }
    for name in [
        "cat", "chmod", "head", "ln", "mkdir", "mv", "perl", "setsid", "sh", "sleep",
    ] {
        let program = Path::new("/usr/bin").join(name);
        copy_into(base, &program);
        let needed = ldd.text(&[&program]);
        let libraries = needed
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        libraries.for_each(|library| copy_into(base, Path::new(library)));
    }
}

fn copy_into(base: &Path, file: &Path) {
    let to = base.join(file.strip_prefix("/").unwrap());
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    fs_err::copy(file, to).unwrap();
}

/// A build that runs, and what it has said so far.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        // In a group of its own, as a shell puts each of its jobs.
        let mut child = command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            said: String::new(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let length = self.stderr.read_line(&mut line).unwrap();
            self.said += &line;
            assert_ne!(length, 0, "no `{text}` in:\n{}", self.said);
            if line.trim_end().ends_with(text) {
                return;
            }
        }
    }

    /// Waits until a program runs in the sandbox, and returns its launcher, supervisor and init, and itself.
    pub(crate) fn wait_for_programs(&self) -> [Pid; 4] {
        wait_until(PATIENCE, "no program runs", || {
            let processes = processes();
            let child = |parent: Pid| {
                let found = processes.iter().find(|process| process.parent == parent);
                found.map(|process| process.pid)
            };
            let chain = child(self.pid()).and_then(|launcher| {
                let supervisor = child(launcher)?;
                let init = child(supervisor)?;
                let program = child(init)?;
                let executed = processes.iter().any(|process| {
                    process.pid == program && !process.command.starts_with("overcoat")
                });
                executed.then_some([launcher, supervisor, init, program])
            });
            chain.ok_or(())
        })
    }

    /// Waits for the end and returns the status and everything that was said.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let limit = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < limit, "it runs on:\n{}", self.said),
            }
            sleep(Duration::from_millis(2));
        };
        std::io::Read::read_to_string(&mut self.stderr, &mut self.said).unwrap();
        (status, self.said)
    }
}
