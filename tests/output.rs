use std::fs::File;
use std::process::Stdio;

use crate::harness::World;

#[test]
fn full_or_closed_streams_do_not_make_the_program_panic() {
    let world = World::new();
    for arguments in [&["--help"][..], &["--version"], &["no-such-verb"]] {
        let mut command = world.command(arguments);
        command.stdout(Stdio::from(
            File::options().write(true).open("/dev/full").unwrap(),
        ));
        let transcript = world.finish(command);
        assert!(transcript.status.is_some(), "{}", transcript.stderr);
        assert_eq!(transcript.stderr.matches("panicked").count(), 0);
        assert_eq!(transcript.stdout, "");
    }
}
