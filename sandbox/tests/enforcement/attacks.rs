//! Attacks that were published against other sandboxes and builders, made from inside, each beside something like it
//! that is allowed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use overcoat_sandbox::{Error, Overlay, ProgramStatus, Spec};

use crate::harness::{require, tests};
use crate::support::{
    assert_errno, contents, host_directory, make_directories, plant, probe, refused_write, run,
    shell, this_program, with_host_system, with_mode,
};

tests![
    dangerous_system_calls_are_refused,
    init_cannot_be_traced_or_read,
    the_running_program_cannot_be_overwritten,
    the_launchers_own_program_cannot_be_run_inside,
    the_working_directory_leads_nowhere_else,
    nothing_of_the_hosts_tree_is_left,
    a_target_swapped_during_set_up_never_leads_outside,
    options_in_paths_change_no_mount,
    the_kernels_switches_are_out_of_reach,
    two_sandboxes_share_no_channel,
    nothing_writes_after_the_end,
    a_flood_of_signals_ends_with_the_sandbox,
    privileged_programs_of_the_host_give_no_privileges,
    sockets_and_keys_of_the_host_are_absent,
];

/// Runs perl code, and returns what it prints.
fn perl(code: &str) -> String {
    let ran = run(&shell("perl -e \"$CODE\"").environment("CODE", code));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    ran.stdout
}

macro_rules! require_perl {
    () => {
        require!(
            Path::new("/usr/bin/perl").exists() && cfg!(target_arch = "x86_64"),
            "perl, and the numbers of x86-64, to make calls by number"
        );
    };
}

fn dangerous_system_calls_are_refused() {
    require_perl!();
    // Number and arguments of a call, and the errno it must give; the calls without one are the allowed twins.
    let new_user = 0x1000_0000_u64;
    let cases: &[(&str, &[u64], i32)] = &[
        ("248 add_key", &[0, 0, 0, 0, 0], libc::EPERM),
        ("249 request_key", &[0, 0, 0, 0], libc::EPERM),
        // KEYCTL_JOIN_SESSION_KEYRING.
        ("250 keyctl", &[1, 0], libc::EPERM),
        ("272 unshare user", &[new_user], libc::EPERM),
        ("272 unshare all", &[0x7e02_0000], libc::EPERM),
        ("272 unshare time", &[0x80], libc::EPERM),
        // The high half of the flags is ignored by the kernel.
        (
            "272 unshare high",
            &[new_user | 0xffff_ffff_0000_0000],
            libc::EPERM,
        ),
        ("272 unshare files", &[0x400], 0),
        ("56 clone user", &[new_user | 17, 0, 0, 0, 0], libc::EPERM),
        ("435 clone3", &[0, 0], libc::ENOSYS),
        ("308 setns", &[0, 0], libc::EPERM),
        ("165 mount", &[0, 0, 0, 0x1000, 0], libc::EPERM),
        ("166 umount2", &[0, 2], libc::EPERM),
        ("155 pivot_root", &[0, 0], libc::EPERM),
        ("428 open_tree", &[0xffff_ff9c, 0, 0], libc::EPERM),
        ("429 move_mount", &[0, 0, 0, 0, 0], libc::EPERM),
        ("430 fsopen", &[0, 0], libc::EPERM),
        ("432 fsmount", &[0, 0, 0], libc::EPERM),
        ("442 mount_setattr", &[0, 0, 0, 0, 0], libc::EPERM),
        ("304 open_by_handle_at", &[0, 0, 0], libc::EPERM),
        ("321 bpf", &[0, 0, 0], libc::EPERM),
        ("298 perf_event_open", &[0, 0, 0, 0, 0], libc::EPERM),
        ("323 userfaultfd", &[0], libc::EPERM),
        ("425 io_uring_setup", &[1, 0], libc::ENOSYS),
        ("246 kexec_load", &[0, 0, 0, 0], libc::EPERM),
        ("175 init_module", &[0, 0, 0], libc::EPERM),
        ("313 finit_module", &[0, 0, 0], libc::EPERM),
        ("169 reboot", &[0, 0, 0, 0], libc::EPERM),
        ("167 swapon", &[0, 0], libc::EPERM),
        ("163 acct", &[0], libc::EPERM),
        ("103 syslog", &[3, 0, 0], libc::EPERM),
        ("172 iopl", &[3], libc::EPERM),
        // AF_VSOCK, AF_PACKET and AF_ALG; as the twin AF_UNIX.
        ("41 socket vsock", &[40, 1, 0], libc::EAFNOSUPPORT),
        ("41 socket packet", &[17, 3, 0], libc::EAFNOSUPPORT),
        ("41 socket alg", &[38, 5, 0], libc::EAFNOSUPPORT),
        ("41 socket unix", &[1, 1, 0], 0),
        // The numbers of x32.
        ("1073742338 ioctl", &[0, 0x5412, 0], libc::ENOSYS),
        ("1073742096 unshare", &[new_user], libc::ENOSYS),
        ("39 getpid", &[], 0),
    ];
    let mut code = String::new();
    let mut expected = String::new();
    for (name, arguments, errno) in cases {
        let number = name.split(' ').next().unwrap();
        let arguments: String = arguments
            .iter()
            .map(|value| format!(", {}", value.cast_signed()))
            .collect();
        code += &format!(
            "$! = 0; $made = syscall({number}{arguments}); \
             print \"{name}: \", ($made == -1 ? $! + 0 : 0), \"\\n\";"
        );
        expected += &format!("{name}: {errno}\n");
    }
    assert_eq!(perl(&code), expected);
}

fn init_cannot_be_traced_or_read() {
    require_perl!();
    // PTRACE_ATTACH and PTRACE_SEIZE, process_vm_readv, process_vm_writev and pidfd_getfd of a pidfd, on init. As the twin, a pidfd of a process's own.
    let code = r#"
        my $own = syscall(434, $$ + 0, 0);
        print $own >= 0 ? "own" : $! + 0, "\n";
        my $buffer = "x" x 8;
        my $vector = pack "QQ", unpack("Q", pack "P", $buffer), 8;
        my @calls = ([101, 16, 1, 0, 0], [101, 0x4206, 1, 0, 0], [310, 1, $vector, 1, $vector, 1, 0],
            [311, 1, $vector, 1, $vector, 1, 0]);
        for my $call (@calls) {
            my ($number, @arguments) = @$call;
            print syscall($number, @arguments) < 0 ? "refused" : "done", "\n";
        }
        my $init = syscall(434, 1, 0);
        print $init < 0 || syscall(438, $init, 0, 0) < 0 ? "refused" : "done", "\n";
    "#;
    let lines = perl(code);
    assert_eq!(lines, format!("own\n{}", "refused\n".repeat(5)));
    for path in [
        "/proc/1/environ",
        "/proc/1/maps",
        "/proc/1/auxv",
        "/proc/1/stack",
    ] {
        let found = run(&shell(&format!("cat {path} | wc -c")));
        assert_eq!(found.stdout, "0\n", "{path}");
    }
    assert_ne!(run(&shell("cat /proc/$$/maps | wc -c")).stdout, "0\n");
}

fn the_running_program_cannot_be_overwritten() {
    let host = host_directory();
    let copy = host.path().join("program");
    std::fs::copy(this_program(), &copy).unwrap();
    with_mode(&copy, 0o755);
    let before = copy.metadata().unwrap();
    let of = |path: &str, read_only: bool| {
        let spec = with_host_system(Spec::new(["/tree/program", "probe", "write", path]));
        let spec = spec.proc("/proc").devices("/dev");
        match read_only {
            true => spec.bind_read_only(host.path(), "/tree"),
            false => spec.bind(host.path(), "/tree"),
        }
    };
    // What runs is busy, and the program that built the sandbox is out of reach.
    assert_errno(&of("/proc/self/exe", true), libc::ETXTBSY);
    assert_errno(&of("/proc/self/exe", false), libc::ETXTBSY);
    assert_errno(&of("/proc/1/exe", false), libc::EACCES);
    let after = copy.metadata().unwrap();
    assert_eq!(before.len(), after.len());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    plant(host.path(), "other", "x");
    assert_errno(&of("/tree/other", false), 0);
}

/// The program that is executed last by the launcher is chosen by what runs inside, if it is a script.
fn the_launchers_own_program_cannot_be_run_inside() {
    let host = host_directory();
    for (name, interpreter, expected) in [
        ("self", "/proc/self/exe", Some(libc::EACCES)),
        ("sh", "/bin/sh", None),
    ] {
        let script = plant(host.path(), name, &format!("#!{interpreter}\nexit 0\n"));
        with_mode(&script, 0o755);
        symlink(interpreter, host.path().join(format!("{name}-link"))).unwrap();
        for program in [format!("/tree/{name}"), format!("/tree/{name}-link")] {
            let spec = with_host_system(Spec::new([program.as_str(), "-c", "exit 0"]))
                .bind(host.path(), "/tree")
                .proc("/proc");
            match (spec.spawn(), expected) {
                (Err(Error::Execute { source, .. }), Some(errno)) => {
                    assert_eq!(source.raw_os_error(), Some(errno), "{program}");
                }
                (Ok(running), None) => assert!(running.wait().unwrap().status.success()),
                (other, _) => panic!("{program}: {other:?}"),
            }
        }
    }
}

fn the_working_directory_leads_nowhere_else() {
    let host = host_directory();
    plant(host.path(), "secret", "x");
    let deep = host.path().join("work/directory");
    make_directories(&deep);
    let script = "cd ../../../../../../..; pwd; ls /proc/self/cwd/../secret /work/../secret 2>&1 | grep -c 'No such'
        chroot . sh -c 'cd ../../..; ls -d secret 2> /dev/null || echo inside'; ls -A /proc/self/root";
    let spec = shell(script)
        .bind(&deep, "/work")
        .working_directory("/work");
    let root = run(&shell("ls -A /").bind(&deep, "/work")).stdout;
    assert_eq!(run(&spec).stdout, format!("/\n2\ninside\n{root}"));
    let spec = shell("cat ../work/file").working_directory("/work");
    plant(&deep, "file", "below");
    let ran = run(&spec.bind(&deep, "/work"));
    assert_eq!(ran.stdout, "below", "{}", ran.stderr);
}

fn nothing_of_the_hosts_tree_is_left() {
    let host = host_directory();
    plant(host.path(), "file", "x");
    let overlay = Overlay {
        lowers: vec![host.path().to_owned(), Path::new("/usr").to_owned()],
        upper: None,
        work: None,
    };
    // What is above the root, from everywhere, and all mounts that are not of the specification.
    let script = "for path in / /.. /usr/.. /proc/self/root/.. /proc/self/cwd/.. /dev/shm/../..; do
            stat -L -c %d:%i $path; done | sort -u | wc -l
        cd -P /usr/.. && stat -L -c %d:%i . / | sort -u | wc -l
        while read -r _ _ _ _ at _; do
            case $at in / | /bin* | /lib* | /usr* | /proc* | /dev* | /work | /tmp | /in) echo $at;; *) echo other $at;; esac
        done < /proc/self/mountinfo | grep -c -e '^/$' -e other";
    let plain = shell(script)
        .bind(host.path(), "/work")
        .working_directory("/work");
    for spec in [
        plain.clone(),
        plain.clone().tmpfs("/tmp", 0o1777),
        plain.clone().tmpfs("/tmp", 0o1777).overlay("/in", &overlay),
    ] {
        let ran = run(&spec);
        assert_eq!(ran.stdout, "1\n1\n1\n", "{}", ran.stderr);
    }
    // Other roots than the tmpfs, one upon the other.
    for (count, temporary) in [(1, false), (1, true), (2, false), (2, true), (3, true)] {
        let mut spec = Spec::new(["/bin/sh", "-c", script]).environment("PATH", "/usr/bin:/bin");
        for number in 0..count {
            let root = host
                .path()
                .join(format!("root-{count}-{temporary}-{number}"));
            make_directories(&root);
            spec = spec.bind(&root, "/");
        }
        spec = with_host_system(spec).proc("/proc").devices("/dev");
        if temporary {
            spec = spec.tmpfs("/tmp", 0o1777);
        }
        let ran = run(&spec);
        assert_eq!(ran.stdout, "1\n1\n1\n", "{count}: {}", ran.stderr);
    }
    // Modes and times are not Landlock's business.
    let secret = host.path().canonicalize().unwrap();
    let secret = secret.join("file");
    let before = secret.metadata().unwrap();
    let script = "cd -P ..; chmod 7 \"$SECRET\"; touch -d 2001-01-01 \"$SECRET\"; ls -A ..";
    let ran = run(&shell(script)
        .environment("SECRET", format!(".{}", secret.display()))
        .tmpfs("/tmp", 0o1777)
        .working_directory("/tmp"));
    assert!(ran.stdout.contains("usr\n"), "{}", ran.stderr);
    let after = secret.metadata().unwrap();
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

fn a_target_swapped_during_set_up_never_leads_outside() {
    let host = host_directory();
    let (tree, victim) = (host.path().join("tree"), host.path().join("victim"));
    make_directories(&tree.join("point"));
    make_directories(&victim);
    plant(&victim, "file", "before");
    symlink(&victim, tree.join("link")).unwrap();
    let stop = AtomicBool::new(false);
    let (mut made, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let directory = std::fs::OpenOptions::new().read(true).open(&tree).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let exchanged = nix::fcntl::renameat2(
                    &directory,
                    "point",
                    &directory,
                    "link",
                    nix::fcntl::RenameFlags::RENAME_EXCHANGE,
                );
                exchanged.unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        for number in 0..50 {
            let spec = with_host_system(Spec::new(["/bin/true"]))
                .bind(&tree, "/tree")
                .file(format!("/tree/point/file-{number}"), "changed")
                .tmpfs("/tree/point/directory", 0o755)
                .bind_read_only(&tree, "/tree/point/bound");
            match spec.spawn() {
                Ok(running) => {
                    running.wait().unwrap();
                    made += 1;
                }
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{made} were made, {refused} refused");
    let names: Vec<_> = victim
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
    assert_eq!(contents(&victim.join("file")), "before");
    // What stands still is used.
    let twin = shell("cat /tree/still/file")
        .bind(&tree, "/tree")
        .file("/tree/still/file", "made");
    assert_eq!(run(&twin).stdout, "made");
}

fn options_in_paths_change_no_mount() {
    let host = host_directory();
    let second = host.path().join("second");
    make_directories(&second);
    for name in [
        "a,dev,suid,exec",
        "b rw,shared 0 0",
        "c\nnone tree tmpfs rw 0 0",
        "d\\054rw\\040",
    ] {
        let lower = host.path().join(name);
        plant(&lower, "file", "lower");
        let overlay = Overlay {
            lowers: vec![lower.clone(), second.clone()],
            upper: None,
            work: None,
        };
        let inside = Path::new("/in").join(name);
        let script = "while read -r _ _ _ _ at options rest; do
                case $at in /in/*) echo \"$options\"; echo \"${rest%% *}\";; esac
            done < /proc/self/mountinfo
            for directory in /in/*; do
                (echo changed > \"$directory/file\") 2> /dev/null; cat \"$directory/file\"
            done";
        for spec in [
            shell(script).bind_read_only(&lower, &inside),
            shell(script).overlay(&inside, &overlay),
        ] {
            let ran = run(&spec);
            let lines: Vec<&str> = ran.stdout.lines().collect();
            let [options, propagation, found] = lines[..] else {
                panic!("{name}: {}{}", ran.stdout, ran.stderr);
            };
            for option in ["ro", "nosuid", "nodev"] {
                assert!(options.split(',').any(|one| one == option), "{options}");
            }
            // No optional field, such as `shared:1`.
            assert_eq!((propagation, found), ("-", "lower"), "{name}");
        }
        assert_eq!(contents(&lower.join("file")), "lower");
    }
}

fn the_kernels_switches_are_out_of_reach() {
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/kernel/yama/ptrace_scope",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/irq/default_smp_affinity",
        "/proc/bus/pci",
    ] {
        if Path::new(path).is_file() {
            let found = crate::support::errno_of(&probe(["write", path]));
            let refused = [refused_write(), libc::EACCES, libc::EROFS, libc::ENOENT];
            assert!(refused.contains(&found), "{path}: {found}");
        }
    }
    // Through a descriptor of the directory, and by another name of the same proc.
    let script = "cd /proc/sys/kernel && echo x > core_pattern; echo x > /proc/self/root/proc/sys/kernel/core_pattern
        echo x > /proc/self/task/$$/root/proc/sys/kernel/hostname; echo x > /proc/thread-self/root/proc/sysrq-trigger";
    let ran = run(&shell(script));
    assert_eq!(ran.stderr.lines().count(), 4, "{}", ran.stderr);
    assert_errno(&probe(["write", "/proc/self/oom_score_adj"]), libc::EINVAL);
}

fn two_sandboxes_share_no_channel() {
    require_perl!();
    // The first listens in all places that it can write to, on the network and in the abstract name space, and would
    // hand a descriptor over. The second looks for it as long as it lives.
    let listen = r#"
        use Socket;
        my @names = ("/tmp/socket", "/dev/shm/socket", "\0overcoat-channel");
        for (0..2) {
            socket my $one, AF_UNIX, SOCK_STREAM, 0;
            bind $one, pack_sockaddr_un($names[$_]) or die "$names[$_]: $!";
            listen $one, 1 or die "listen: $!";
            push @all, $one;
        }
        socket my $port, AF_INET, SOCK_STREAM, 0;
        bind $port, sockaddr_in(4711, INADDR_LOOPBACK) or die "bind: $!";
        listen $port, 1;
        $| = 1;
        print "started\n";
        sleep 600;
    "#;
    let connect = r#"
        use Socket;
        for my $name ("/tmp/socket", "/dev/shm/socket", "\0overcoat-channel") {
            socket my $one, AF_UNIX, SOCK_STREAM, 0;
            print connect($one, pack_sockaddr_un($name)) ? "connected\n" : $! + 0, "\n";
        }
        socket my $port, AF_INET, SOCK_STREAM, 0;
        print connect($port, sockaddr_in(4711, INADDR_LOOPBACK)) ? "connected" : $! + 0, "\n";
        socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0;
        print "own\n" if syswrite $a, "x";
    "#;
    let spec = |code: &str| {
        shell("exec perl -e \"$CODE\"")
            .environment("CODE", code)
            .tmpfs("/tmp", 0o1777)
    };
    let mut first = spec(listen).spawn().unwrap();
    crate::lifecycle::wait_for_line(first.take_stdout().unwrap());
    let second = run(&spec(connect));
    let expected = format!(
        "{0}\n{0}\n{1}\n{1}\nown\n",
        libc::ENOENT,
        libc::ECONNREFUSED
    );
    assert_eq!(second.stdout, expected, "{}", second.stderr);
    drop(first);
}

fn nothing_writes_after_the_end() {
    let host = host_directory();
    let file = plant(host.path(), "file", "");
    // Forked twice, in a session of its own, and with the file open and mapped by nobody else.
    let script = "exec 3>> /tree/file; (setsid sh -c 'while :; do echo late >&3; done' &) ; while ! [ -s /tree/file ]; do :; done";
    let ran = run(&shell(script).bind(host.path(), "/tree"));
    assert!(ran.outcome.status.success(), "{}", ran.stderr);
    let size = || file.metadata().unwrap().len();
    let ended = size();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(size(), ended);
    assert_ne!(ended, 0);
}

fn a_flood_of_signals_ends_with_the_sandbox() {
    let script = "trap '' TERM HUP INT; for number in 1 2 3 4; do
            (trap '' TERM HUP INT; while :; do kill -TERM -1; kill -HUP 0; done) 2> /dev/null &
        done
        sleep 0.2; kill -KILL -1; echo alive; exit 3";
    let spec = shell(script).wall_clock_limit(Duration::from_secs(60));
    let ran = run(&spec);
    assert_eq!(ran.outcome.status, ProgramStatus::Exited(3));
    assert_eq!(ran.stdout, "alive\n");
}

fn privileged_programs_of_the_host_give_no_privileges() {
    let of = |program: &str| Path::new("/usr/bin").join(program).exists();
    for (program, script) in [
        ("su", "su -c 'grep CapEff /proc/self/status' root"),
        ("mount", "mount -t tmpfs none /tmp && echo mounted"),
        ("passwd", "passwd -S root"),
        ("newuidmap", "newuidmap $$ 0 0 1 && echo mapped"),
    ] {
        require!(of(program) || program == "newuidmap", program);
        let ran = run(&shell(&format!("{script} 2> /dev/null")).tmpfs("/tmp", 0o1777));
        let gained = ran.stdout.replace("CapEff:\t00000000800404ff\n", "");
        assert_eq!(gained, "", "{program}");
    }
    // Also where a mount is writable: one with the bit set by the program itself.
    let host = host_directory();
    let script = "cp /bin/grep /tree/grep; chmod 6755 /tree/grep; /tree/grep -c . /proc/self/status > /dev/null && \
                  /tree/grep -E 'NoNewPrivs|CapEff' /proc/self/status";
    let ran = run(&shell(script).bind(host.path(), "/tree"));
    assert_eq!(
        ran.stdout, "CapEff:\t00000000800404ff\nNoNewPrivs:\t1\n",
        "{}",
        ran.stderr
    );
}

fn sockets_and_keys_of_the_host_are_absent() {
    let script = "for path in /run/dbus/system_bus_socket /var/run/docker.sock /run/docker.sock /run/systemd/private \
            /run/user /run/containerd /root/.ssh /root/.gnupg /home /etc/shadow /etc/ssh /var/lib /mnt /srv /boot \
            /dev/kvm /dev/mem /dev/kmsg /dev/fuse /dev/loop-control /dev/sda /dev/vda /dev/net/tun /sys; do
            [ -e $path ] && echo $path
        done; [ -e /usr ] && echo usr";
    assert_eq!(run(&shell(script)).stdout, "usr\n");
}
