//! The caller's terminal: a program that it runs cannot type into it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::harness::{require, tests};
use crate::support::{run, shell, this_program};

tests![nothing_reaches_the_input_of_the_callers_terminal];

/// Tries TIOCSTI (0x5412) with and without bits that the kernel ignores, TIOCLINUX (0x541c) to paste, TIOCSCTTY
/// (0x540e) and TIOCGPTPEER (0x5441) on all descriptors and on whatever terminal can be opened; as the twin, asks for
/// the size of a terminal of the sandbox's own.
const CODE: &str = r#"
    my @files = (\*STDIN, \*STDOUT, \*STDERR);
    for my $name ("/dev/tty", "/dev/console", glob("/dev/pts/[0-9]*"), "/proc/1/fd/0", "/proc/self/fd/0", "/dev/tty0") {
        if (open my $file, "+<", $name) { push @files, $file; }
    }
    for my $file (@files) {
        for my $number (0x5412, 0x5412 + (1 << 32), 0x5412 - (1 << 32), 0x541c, 0x540e, 0x5441) {
            my $byte = "\x03";
            print "reached\n" if syscall(16, fileno $file, $number, $byte) == 0;
        }
    }
    open my $own, "+<", "/dev/ptmx" or die "ptmx: $!";
    my $size = "\0" x 8;
    print "own\n" if syscall(16, fileno $own, 0x5413, $size) == 0;
"#;

fn nothing_reaches_the_input_of_the_callers_terminal() {
    require!(
        std::path::Path::new("/usr/bin/perl").exists() && cfg!(target_arch = "x86_64"),
        "perl, and the numbers of x86-64, to make an ioctl with any number"
    );
    let terminal = openpty(None, None).unwrap();
    let slave = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut command = Command::new(this_program());
    command
        .arg("on-terminal")
        .stdin(slave())
        .stdout(slave())
        .stderr(slave());
    // SAFETY: both calls are safe to make between fork and exec, and change nothing of this process.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(terminal.slave);
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    let mut master = File::from(terminal.master);
    // Its end is EIO, once nobody has the other side open.
    while let Ok(count) = master.read(&mut buffer) {
        if count == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..count]);
    }
    let status = child.wait().unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(status.success(), "{said}");
    assert_eq!(said, "untouched\n");
}

/// Runs a sandbox below a terminal, and looks whether anything was typed.
pub(crate) fn run_on_terminal() -> ExitCode {
    let input = std::io::stdin();
    let mut settings = tcgetattr(&input).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&input, SetArg::TCSANOW, &settings).unwrap();
    // Fails unless this is the controlling terminal.
    drop(open("/dev/tty"));
    let ran = run(&shell("perl -e \"$CODE\"").environment("CODE", CODE));
    assert_eq!(ran.stdout, "own\n", "{}", ran.stderr);
    let mut typed = [0];
    let mut terminal = open(&format!("/proc/self/fd/{}", input.as_raw_fd()));
    let read = terminal.read(&mut typed).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::WouldBlock), "{typed:?}");
    println!("untouched");
    ExitCode::SUCCESS
}

fn open(path: &str) -> File {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(path).unwrap()
}
