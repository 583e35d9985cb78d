use std::process::Command;

use crate::harness::World;

/// Returns what bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _overcoat; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    let done = Command::new("bash")
        .args(["-e", "-c", &program])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    let offered = String::from_utf8(done.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let world = World::new();
    let script = world.run(&["completion", "bash"]);
    assert_eq!((script.status, script.stderr.as_str()), (Some(0), ""));
    for (words, expected) in [
        (&["overcoat", "su"][..], &["summary"][..]),
        (
            &["overcoat", "-f", "c"],
            &["cat-config", "check", "clean", "completion"],
        ),
        (&["overcoat", "--stri"], &["--strict"]),
        (&["overcoat", "--format", "sys"], &["sysext"]),
        (&["overcoat", "--format", "=", "sys"], &["sysext"]),
        (&["overcoat", "-t", "conf"], &["confext"]),
        (&["overcoat", "--userns", "="], &["single", "range"]),
        (&["overcoat", "--with-docs", "="], &["yes", "no"]),
        (&["overcoat", "completion", ""], &["bash", "fish", "zsh"]),
        (
            &["overcoat", "documentation", "ToolsTreeP"],
            &[
                "ToolsTreeProfiles",
                "ToolsTreePackages",
                "ToolsTreePackageDirectories",
            ],
        ),
        (&["overcoat", "zzz"], &[""]),
    ] {
        let mut found = offered(&script.stdout, words);
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(|&word| word.to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn other_shells_have_a_line_an_option() {
    let world = World::new();
    for (shell, line) in [
        (
            "fish",
            "complete -c overcoat -l strict -d 'Take warnings of a recipe for errors'",
        ),
        (
            "zsh",
            "  '*--strict[Take warnings of a recipe for errors]' \\",
        ),
    ] {
        let script = world.run(&["completion", shell]);
        assert_eq!((script.status, script.stderr.as_str()), (Some(0), ""));
        assert!(
            script.stdout.lines().any(|found| found == line),
            "{}",
            script.stdout
        );
    }
}

#[test]
fn shell_must_be_known() {
    let world = World::new();
    const HINT: &str = "the shells are `bash`, `fish` and `zsh`";
    for (arguments, message) in [
        (
            &["completion"][..],
            "`completion` needs to know for which shell",
        ),
        (&["completion", "csh"], "unknown shell `csh`"),
    ] {
        world
            .run(arguments)
            .assert_failed(2, &format!("error: {message}\n\nhint: {HINT}\n"));
    }
}
