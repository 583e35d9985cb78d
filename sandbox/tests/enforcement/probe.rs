//! The confined program: does one operation, and exits with its errno, or 0.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{Pid, gethostname, getsid};
use overcoat_sandbox::Spec;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match operate(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{arguments:?}: {error}");
            let errno = error.raw_os_error().unwrap_or(255);
            ExitCode::from(u8::try_from(errno).unwrap_or(255))
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operation's plain errno is the verdict"
)]
fn operate(arguments: &[&str]) -> io::Result<ExitCode> {
    match *arguments {
        ["read", path] => drop(File::open(path)?),
        ["list", path] => {
            let mut names: Vec<String> = Vec::new();
            for entry in std::fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            print!("{}", names.join(" "));
        }
        ["write", path] => OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(b"changed")?,
        ["create", path] => File::create(path)?.write_all(b"made")?,
        ["truncate", path] => OpenOptions::new().write(true).open(path)?.set_len(0)?,
        ["truncate-by-path", path] => nix::unistd::truncate(path, 0)?,
        ["ask-for-terminal", path] => {
            nix::sys::termios::tcgetattr(File::open(path)?)?;
        }
        ["make-directory", path] => std::fs::DirBuilder::new().mode(0o755).create(path)?,
        ["remove", path] => std::fs::remove_file(path)?,
        ["open-mode", path] => {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        }
        ["ask-device", path] => {
            let device = File::open(path)?;
            let mut bits = 0;
            // SAFETY: the kernel writes one int (random(4)) to where `bits` is, which outlives the call.
            unsafe { entropy_count(device.as_raw_fd(), &raw mut bits) }?;
        }
        ["rename", from, to] => std::fs::rename(from, to)?,
        ["link", from, to] => std::fs::hard_link(from, to)?,
        ["symlink", target, path] => symlink(target, path)?,
        ["read-link", path] => print!("{}", Path::new(path).read_link()?.display()),
        ["make-device", path] => {
            mknod(
                Path::new(path),
                SFlag::S_IFCHR,
                Mode::S_IRWXU,
                makedev(1, 3),
            )?;
        }
        ["execute", path] => drop(Command::new(path).status()?),
        ["connect", address] => drop(TcpStream::connect(address)?),
        ["send-datagram", address] => {
            UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", address)?;
        }
        ["connect-to-itself"] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            TcpStream::connect(listener.local_addr()?)?;
        }
        ["connect-abstract", name] => {
            drop(UnixStream::connect_addr(&SocketAddr::from_abstract_name(
                name,
            )?)?);
        }
        ["connect-own-abstract", name] => {
            let address = SocketAddr::from_abstract_name(name)?;
            let _listener = UnixListener::bind_addr(&address)?;
            UnixStream::connect_addr(&address)?;
        }
        ["egress", ref operation @ ..] => crate::egress::operate(operation)?,
        ["change-owner", path, id] => {
            let id = id.parse().unwrap();
            lchown(path, Some(id), Some(id))?;
        }
        ["try-sandbox"] => return Ok(crate::host::print_refusal(&Spec::new(["/bin/true"]))),
        #[cfg(target_arch = "x86_64")]
        ["call-32-bit"] => {
            // getpid of the 32-bit table.
            // SAFETY: the call touches no memory, and the kernel clobbers no registers but these.
            unsafe {
                std::arch::asm!("int 0x80", inout("rax") 20_u64 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
            }
        }
        ["sync-a-pipe"] => nix::unistd::fsync(io::stdout())?,
        ["signal", pid] => kill(process(pid), None)?,
        ["signal-own-child"] => {
            let mut child = Command::new("/bin/sleep").arg("60").spawn()?;
            kill(process(&child.id().to_string()), Signal::SIGKILL)?;
            child.wait()?;
        }
        ["unshare", "user"] => unshare(CloneFlags::CLONE_NEWUSER)?,
        ["unshare", "files"] => unshare(CloneFlags::CLONE_FILES)?,
        ["mount", path] => {
            mount(
                None::<&str>,
                path,
                Some("tmpfs"),
                MsFlags::empty(),
                None::<&str>,
            )?;
        }
        ["chroot", path] => nix::unistd::chroot(path)?,
        ["socket", domain, kind, protocol] => {
            let [domain, kind, protocol] = [domain, kind, protocol].map(number);
            // SAFETY: the call takes numbers only.
            checked(unsafe { libc::socket(domain, kind, protocol) })?;
        }
        ["socket-pair", domain] => {
            let mut pair = [0; 2];
            // SAFETY: the array has the two elements that the call fills.
            checked(unsafe {
                libc::socketpair(number(domain), libc::SOCK_STREAM, 0, pair.as_mut_ptr())
            })?;
        }
        ["schedule", policy, priority] => {
            let parameter = libc::sched_param {
                sched_priority: number(priority),
            };
            // SAFETY: the call reads the parameter, which outlives it.
            checked(unsafe { libc::sched_setscheduler(0, number(policy), &raw const parameter) })?;
        }
        ["trace-me"] => {
            // SAFETY: the request takes no addresses.
            let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            checked(i32::try_from(result).unwrap())?;
        }
        ["call", name] => {
            let number = match name {
                "bpf" => libc::SYS_bpf,
                "keyctl" => libc::SYS_keyctl,
                "seccomp" => libc::SYS_seccomp,
                "getppid" => libc::SYS_getppid,
                other => panic!("unknown call {other}"),
            };
            // SAFETY: with operations that do not exist, none of them touches memory.
            if unsafe { libc::syscall(number, u64::from(u32::MAX), 0, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        ["environment"] => {
            for (name, value) in std::env::vars() {
                println!("{name}={value}");
            }
        }
        ["hostname"] => print!("{}", gethostname()?.display()),
        ["working-directory"] => print!("{}", std::env::current_dir()?.display()),
        ["umask"] => print!("{:03o}", umask(Mode::empty()).bits()),
        ["limit", "core"] => print!("{:?}", getrlimit(Resource::RLIMIT_CORE)?),
        ["limit", "files"] => print!("{:?}", getrlimit(Resource::RLIMIT_NOFILE)?),
        ["limit", "file-size"] => print!("{:?}", getrlimit(Resource::RLIMIT_FSIZE)?),
        ["hold-memory", bytes, seconds] => {
            let held = vec![1_u8; bytes.parse().unwrap()];
            sleep(Duration::from_secs(seconds.parse().unwrap()));
            drop(std::hint::black_box(held));
        }
        ["open-often", path, count] => {
            let mut held = Vec::new();
            for _ in 0..count.parse().unwrap() {
                held.push(File::open(path)?);
            }
        }
        ["session"] => print!("{}", getsid(None)? == nix::unistd::getpid()),
        ["print", path] => print!("{}", std::fs::read_to_string(path)?),
        ["exit", code] => return Ok(ExitCode::from(code.parse::<u8>().unwrap())),
        ["raise", number] => {
            let signal = Signal::try_from(number.parse::<i32>().unwrap())?;
            raise(signal)?;
        }
        ["sleep"] => sleep(Duration::from_secs(600)),
        ["sleep-in-children"] => {
            // A daemon: a child in a session of its own, whose parent goes on.
            let _daemon = Command::new("/usr/bin/setsid")
                .args(["/bin/sleep", "600"])
                .spawn()?;
            let _child = Command::new("/bin/sleep").arg("600").spawn()?;
            println!("started");
            sleep(Duration::from_secs(600));
        }
        ["leave-a-daemon"] => {
            drop(
                Command::new("/usr/bin/setsid")
                    .args(["/bin/sleep", "600"])
                    .spawn()?,
            );
        }
        ref unknown => panic!("unknown operation {unknown:?}"),
    }
    Ok(ExitCode::SUCCESS)
}

nix::ioctl_read!(entropy_count, b'R', 0x00, libc::c_int);

fn process(number: &str) -> Pid {
    Pid::from_raw(number.parse().unwrap())
}

fn number(text: &str) -> i32 {
    text.parse().unwrap()
}

fn checked(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
