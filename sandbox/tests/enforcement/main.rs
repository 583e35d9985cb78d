//! What the sandbox enforces, tried from inside. Each denial has an allowed twin and asserts the exact errno.
//!
//! This one binary plays all parts: the launcher, the confined program ([`probe`]), a caller that gets killed, and the
//! harness. The launcher is the test binary executed again, so it cannot have libtest's `main`. The harness understands
//! what cargo and nextest say to it: `--list`, `--exact` and a part of a name.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of it is a test, which clippy cannot see without libtest"
)]

mod attacks;
mod classes;
mod egress;
mod files;
mod harness;
mod host;
mod hostile;
mod landlock;
mod lifecycle;
mod limits;
mod network;
mod privileges;
mod probe;
mod processes;
mod profiles;
mod range;
mod recording;
mod support;
mod terminal;
mod trees;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = overcoat_sandbox::become_launcher_if_asked() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("probe") => probe::run(&arguments[1..]),
        Some("caller") => lifecycle::run_caller(&arguments[1..]),
        Some("nested") => host::run_nested(),
        Some("masked") => host::run_masked(),
        Some("in-network") => egress::run_case(&arguments[1]),
        Some("in-range") => range::run_case(&arguments[1]),
        Some("without-landlock") => landlock::run_without(&arguments[1]),
        Some("on-terminal") => terminal::run_on_terminal(),
        Some("limited") => host::run_limited(),
        Some("chrooted") => host::run_chrooted(&arguments[1]),
        _ => harness::run(
            &[
                files::TESTS,
                trees::TESTS,
                recording::TESTS,
                network::TESTS,
                egress::TESTS,
                landlock::TESTS,
                privileges::TESTS,
                profiles::TESTS,
                range::TESTS,
                processes::TESTS,
                lifecycle::TESTS,
                limits::TESTS,
                host::TESTS,
                hostile::TESTS,
                attacks::TESTS,
                terminal::TESTS,
                classes::TESTS,
            ]
            .concat(),
            &arguments,
        ),
    }
}
