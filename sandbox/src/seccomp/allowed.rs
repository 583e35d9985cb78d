//! Why the calls are allowed that no row of the table refuses always: an answer for each, for people who audit it.
//!
//! What stands against a harmful use of them are the other layers: mounts and Landlock for files, the namespaces for
//! everything that has a name or a number, the missing capabilities for what administers, the limits for what uses up.
//! The filter does not read this; a test holds it complete.

/// Calls that are allowed for one reason, apart from what the table says of their arguments.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    names: &'static str,
    pub reason: &'static str,
}

impl Allowed {
    /// Returns the calls, as in syscalls(2). Some exist on one architecture only.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split_ascii_whitespace()
    }
}

/// Returns the calls that programs may make.
pub fn allowed() -> &'static [Allowed] {
    ALLOWED
}

const fn allow(names: &'static str, reason: &'static str) -> Allowed {
    Allowed { names, reason }
}

static ALLOWED: &[Allowed] = &[
    // What every program does.
    allow(
        "read write close lseek pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 dup dup2 dup3 pipe pipe2 \
         fcntl flock fsync fdatasync sync syncfs sync_file_range ftruncate fallocate readahead fadvise64 sendfile \
         copy_file_range close_range poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait \
         epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4",
        "works on files that are open already, and opening them was judged",
    ),
    allow(
        "open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 getdents getdents64 \
         getcwd chdir fchdir truncate rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink \
         symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes \
         futimesat utimensat mknod mknodat statfs fstatfs setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr \
         fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr \
         removexattrat",
        "files: the mounts and Landlock decide which, and only whiteouts can be made of devices without CAP_MKNOD",
    ),
    allow(
        "mmap mprotect munmap brk mremap msync mincore madvise mlock munlock mlockall munlockall mlock2 pkey_mprotect \
         pkey_alloc pkey_free mseal membarrier memfd_create map_shadow_stack",
        "memory of one's own; locking it has a limit, and mincore tells only of files that the caller could write",
    ),
    allow(
        "clone fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill getpid getppid gettid getpgrp \
         getpgid setpgid getsid setsid rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait \
         rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend sigaltstack pause restart_syscall set_tid_address arch_prctl \
         pidfd_open pidfd_send_signal unshare",
        "processes: no others than the sandbox's are in its pid namespace, and nothing gains privileges by executing",
    ),
    allow(
        "futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list rseq sched_yield getcpu",
        "threads cannot be had without; the newer forms are as the old one",
    ),
    allow(
        "getuid getgid geteuid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid \
         setfsuid setfsgid setgroups capget capset",
        "the user namespace maps one id, or a range that is the build's own, and capabilities can only be dropped",
    ),
    allow(
        "time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep alarm getitimer setitimer times \
         timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime \
         timerfd_gettime uname sysinfo getrusage getrlimit setrlimit prlimit64 getrandom getpriority setpriority \
         ioprio_set ioprio_get sched_setparam sched_getparam sched_setscheduler sched_getscheduler \
         sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity \
         sched_setattr sched_getattr",
        "reads clocks and limits, or lowers one's own: raising a limit or priority, and deadline and real-time \
         scheduling, take a privilege of the host or a limit that is 0",
    ),
    allow(
        "socket socketpair connect accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown bind listen \
         getsockname getpeername setsockopt getsockopt",
        "sockets of the families that are left: the network namespace and Landlock confine them, and configuring a \
         network, netfilter among it, takes CAP_NET_ADMIN",
    ),
    allow(
        "shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink \
         mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
        "the IPC namespace is the sandbox's own, and is gone with it",
    ),
    allow(
        "ioctl prctl personality",
        "needed by everything; the harmful arguments have rows. Those of file systems (FIBMAP, FITRIM, FIFREEZE, the \
         immutable flag, project ids), consoles (VT, keyboard maps) and network devices take a privilege of the host, \
         and `/dev` holds none of the devices that have others",
    ),
    // What other profiles refuse, or allow only with a capability.
    allow(
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease",
        "sanitizers abort without ptrace and debuggers need it; the others ask for the same right. The pid namespace, \
         Landlock and the lack of CAP_SYS_PTRACE confine it, and a traced call is filtered after its tracer changed it",
    ),
    allow(
        "chroot",
        "dpkg runs maintainer scripts with it; leaving the tree that way leads no further than the sandbox's root",
    ),
    allow(
        "sethostname setdomainname",
        "the UTS namespace is the sandbox's own, and they take CAP_SYS_ADMIN in it",
    ),
    allow(
        "mbind set_mempolicy get_mempolicy set_mempolicy_home_node",
        "place memory of the caller alone; the JVM, OpenMP and hwloc use them, also while they are built",
    ),
    allow(
        "name_to_handle_at",
        "systemd's programs find mounts with it; a handle is of no use without open_by_handle_at",
    ),
    allow(
        "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "only tighten: the strictest answer of all filters counts. apt, man-db, file and systemd confine themselves",
    ),
    allow(
        "io_setup io_destroy io_getevents io_submit io_cancel io_pgetevents",
        "databases that are set up while they are installed read with them; unlike io_uring they do nothing but that",
    ),
    allow(
        "splice tee",
        "move bytes between descriptors that are open already; the holes were in how pages of read-only files were \
         marked, which sendfile and copy_file_range share, and coreutils need those",
    ),
    allow(
        "remap_file_pages",
        "the kernel does it with mmap since Linux 4.0",
    ),
    allow(
        "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
        "tells of files that the caller can read; watches are limited for each user",
    ),
    allow(
        "cachestat",
        "tells only of files that the caller could write; fincore and databases use it",
    ),
    allow(
        "lsm_get_self_attr lsm_list_modules file_getattr",
        "tell what proc and ioctl tell",
    ),
    allow(
        "file_setattr",
        "does what the ioctl does that chattr uses, to files of the caller's; the flags that protect files take a \
         privilege of the host",
    ),
    allow(
        "uretprobe uprobe",
        "made by code that the host's own tracer put into the process, which dies if they are refused; any other \
         caller is killed by the kernel",
    ),
];
