//! The `overcoat` program: becomes a sandbox launcher when it is started as one, else runs the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The launcher must take over before any thread, runtime or logger exists, because it clones namespaces.
    if let Some(code) = overcoat_sandbox::become_launcher_if_asked() {
        return code;
    }
    overcoat::cli::main()
}
