//! What a recipe's mirror is reached at, and what takes a person's word.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;

use crate::faults::foreign_world_with;
use crate::harness::{Transcript, World};
use crate::repository::Repository;
use crate::require::{self, tool};

const STARTED: &str = "main: repository metadata ...\nerror: building the image `main`\n  ";

fn assert_out_of_reach(build: &Transcript, setting: &str, uri: &str, address: &str) {
    let option = setting
        .replace("LocalMirror", "local-mirror")
        .replace("Mirror", "mirror");
    build.assert_failed(
        2,
        &format!(
            "{STARTED}caused by: mkosi.conf:4: `{setting}={uri}` leads to {address}, which a recipe may not reach\n\n\
             hint: if you trust it, name the mirror at the command line with `--{option}=`; `--allow=network` lets the \
             steps that download reach all that you reach\n"
        ),
    );
}

/// Answers every request on loopback by sending the client to `target`, and returns the server's own address.
fn redirect_to(target: String) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            let _ = reader.read_line(&mut request);
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
                header.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            // A client that goes away is no concern of the next.
            let _ = write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {target}{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    url
}

fn sample() -> Result<Repository, String> {
    require::building()?;
    Ok(Repository::of(&tool("dpkg-deb")?, "sample", None))
}

#[test]
fn recipes_mirror_on_loopback_takes_a_persons_word() {
    let repository = require!(sample());
    let url = repository.url();
    let world = foreign_world_with(&format!("LocalMirror={url}"), "sample");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    assert_out_of_reach(&world.run(&["-f"]), "LocalMirror", &url, address);
    assert_eq!(repository.take_requests(), Vec::<String>::new());

    repository.name_in(&world, "local-mirror");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert_ne!(repository.take_requests(), Vec::<String>::new());
}

#[test]
fn name_of_loopback_is_no_way_around() {
    let repository = require!(sample());
    let url = repository.url().replace("127.0.0.1", "localhost");
    let world = foreign_world_with(&format!("LocalMirror={url}"), "sample");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(2), "{}", build.stderr);
    assert!(
        build.stderr.contains("` leads to 127.0.0.1:"),
        "{}",
        build.stderr
    );
    assert_eq!(repository.take_requests(), Vec::<String>::new());

    world
        .options
        .lock()
        .unwrap()
        .push(format!("--local-mirror={url}"));
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
}

#[test]
fn metadata_service_of_a_cloud_is_out_of_reach() {
    require!(require::building());
    let uri = "http://169.254.169.254";
    let world = foreign_world_with(&format!("Mirror={uri}"), "sample");
    let build = world.run(&["-f", "--repository-key-check=no"]);
    assert_out_of_reach(&build, "Mirror", uri, "169.254.169.254:80");
}

#[test]
fn redirect_of_a_trusted_mirror_leads_nowhere_else() {
    let repository = require!(sample());
    let target = repository.url();
    let target = target.trim_end_matches('/');
    let mirror = redirect_to(target.to_owned());
    let world = foreign_world_with("", "sample");
    let mirrored = |world: &World| {
        let option = format!("--mirror={mirror}");
        world.run(&["-f", "--repository-key-check=no", &option])
    };
    let address = target.trim_start_matches("http://");
    mirrored(&world).assert_failed(
        1,
        &format!(
            "{STARTED}caused by: the mirror leads to {address}, which is neither public nor what you named\n\n\
             hint: `--allow=network` lets the steps that download reach all that you reach\n"
        ),
    );
    assert_eq!(repository.take_requests(), Vec::<String>::new());
}

#[test]
fn proxy_of_the_environment_is_reached() {
    let repository = require!(sample());
    let world = foreign_world_with("LocalMirror=http://packages.example/", "sample");
    let mut command = world.command(&["-f"]);
    // The repository answers for whatever host it is asked, as a proxy does.
    command.env("http_proxy", repository.url());
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert_ne!(repository.take_requests(), Vec::<String>::new());
}

/// Makes the kernel one without Landlock for a program and its children: a filter answers
/// landlock_create_ruleset(2), number 444, with ENOSYS.
const WITHOUT_LANDLOCK: &str = r#"
    my @program = ([0x20, 0, 0, 0], [0x15, 0, 1, 444], [0x06, 0, 0, 0x50000 | 38], [0x06, 0, 0, 0x7fff0000]);
    my $filter = join "", map { pack "SCCL", @$_ } @program;
    my $described = pack "Sx6P", scalar @program, $filter;
    syscall(157, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
    syscall(157, 22, 2, $described) == 0 or die "filter: $!";
    exec @ARGV or die "exec: $!";
"#;

#[test]
fn kernel_without_landlock_stops_the_build() {
    let repository = require!(sample());
    let perl = require!(tool("perl"));
    require!(
        cfg!(target_arch = "x86_64")
            .then_some(())
            .ok_or("the numbers of prctl on x86-64")
    );
    let world = foreign_world_with(&format!("LocalMirror={}", repository.url()), "sample");
    repository.name_in(&world, "local-mirror");
    let program = world.command(&["-f"]);
    let mut command = Command::new(perl.path());
    command
        .args(["-e", WITHOUT_LANDLOCK])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(world.path(""))
        .env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let build = world.finish(command);
    assert_eq!(build.status, Some(3), "{}", build.stderr);
    assert!(
        build
            .stderr
            .contains("caused by: the kernel has no Landlock\n"),
        "{}",
        build.stderr
    );
    assert!(
        build.stderr.contains("`--allow=weaker-sandbox`"),
        "{}",
        build.stderr
    );
    assert_eq!(repository.take_requests(), Vec::<String>::new());
}
