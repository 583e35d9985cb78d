//! A Debian repository of one package, served on this machine's loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::harness::{self, World};
use crate::require::Tool;

/// The package's version, in its file name too.
const VERSION: &str = "1.0";

/// Serves a directory until the process ends.
#[derive(Debug)]
pub(crate) struct Repository {
    address: SocketAddr,
    directory: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    held: Held,
}

/// The end of the name of the files that are sent by half only, until the client gives up.
type Held = Arc<Mutex<Option<&'static str>>>;

impl Repository {
    /// Builds the package, around a maintainer script if there is one, and serves its repository.
    pub(crate) fn of(dpkg_deb: &Tool, package: &str, postinst: Option<&str>) -> Self {
        let directory = TempDir::new_in(harness::directory()).unwrap();
        let name = format!("{package}_{VERSION}_all.deb");
        let file = directory.path().join(&name);
        let control = control_of(package);
        let tree = package_tree(&control, postinst);
        dpkg_deb.output(&[
            "--root-owner-group".as_ref(),
            "--build".as_ref(),
            tree.path().as_os_str(),
            file.as_os_str(),
        ]);
        Self::serving(directory, &name, &control)
    }

    /// Serves the repository of one package, whatever its bytes are, by the name and version that are told of it.
    pub(crate) fn of_bytes(package: &str, bytes: &[u8]) -> Self {
        let directory = TempDir::new_in(harness::directory()).unwrap();
        let name = format!("{package}_{VERSION}_all.deb");
        fs_err::write(directory.path().join(&name), bytes).unwrap();
        Self::serving(directory, &name, &control_of(package))
    }

    fn serving(directory: TempDir, name: &str, control: &str) -> Self {
        let bytes = fs_err::read(directory.path().join(name)).unwrap();
        let index = format!(
            "{control}Filename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            bytes.len(),
            digest(&bytes)
        );
        fs_err::write(directory.path().join("Packages"), index).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let root = directory.path().to_owned();
        let requests = Arc::default();
        let held = Held::default();
        let (log, served) = (Arc::clone(&requests), Arc::clone(&held));
        thread::spawn(move || serve(&listener, &root, &log, &served));
        Self {
            address,
            directory,
            requests,
            held,
        }
    }

    /// From now on sends only the first half of files whose names end with `suffix`.
    pub(crate) fn hold(&self, suffix: Option<&'static str>) {
        *self.held.lock().unwrap() = suffix;
    }

    /// Adds a `Release` file, which nobody signed.
    pub(crate) fn describe(&self, suite: &str) {
        let index = fs_err::read(self.directory.path().join("Packages")).unwrap();
        let release = format!(
            "Suite: {suite}\nCodename: {suite}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nComponents: main\nSHA256:\n \
             {} {} main/binary-amd64/Packages\n",
            digest(&index),
            index.len()
        );
        fs_err::write(self.directory.path().join("Release"), release).unwrap();
    }

    /// Returns the paths that were asked for since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Names the repository at the command line of every run, as the recipe's by `setting`: what is on loopback no recipe
    /// reaches by itself.
    pub(crate) fn name_in(&self, world: &World, setting: &str) {
        let option = format!("--{setting}={}", self.url());
        world.options.lock().unwrap().push(option);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

pub(crate) fn control_of(package: &str) -> String {
    format!(
        "Package: {package}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
         Description: a package of the tests\n"
    )
}

fn digest(bytes: &[u8]) -> String {
    openssl::sha::sha256(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn package_tree(control: &str, postinst: Option<&str>) -> TempDir {
    use std::os::unix::fs::PermissionsExt;

    let tree = TempDir::new_in(harness::directory()).unwrap();
    // dpkg-deb refuses a control directory that others cannot read.
    let mode = |path: &Path| {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let control_directory = tree.path().join("DEBIAN");
    fs_err::create_dir(&control_directory).unwrap();
    fs_err::write(control_directory.join("control"), control).unwrap();
    if let Some(script) = postinst {
        fs_err::write(control_directory.join("postinst"), script).unwrap();
        mode(&control_directory.join("postinst"));
    }
    for path in [tree.path(), &control_directory] {
        mode(path);
    }
    tree
}

fn serve(listener: &TcpListener, root: &Path, log: &Arc<Mutex<Vec<String>>>, held: &Held) {
    for stream in listener.incoming() {
        let (Ok(stream), root, log, held) =
            (stream, root.to_owned(), Arc::clone(log), Arc::clone(held))
        else {
            continue;
        };
        // A client that goes away is no concern of the next.
        thread::spawn(move || {
            let _ = answer(stream, &root, &log, &held);
        });
    }
}

/// Answers one request: a file of the directory by its plain name, or that there is none.
fn answer(
    mut stream: TcpStream,
    root: &Path,
    log: &Mutex<Vec<String>>,
    held: &Held,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    if let Some(path) = request.split(' ').nth(1) {
        log.lock().unwrap().push(path.to_owned());
    }
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let file = requested(&request).map(|name| fs_err::read(root.join(name)));
    let (status, body) = match file {
        Some(Ok(bytes)) => ("200 OK", bytes),
        _ => ("404 Not Found", Vec::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    let suffix = *held.lock().unwrap();
    if let (Some(name), Some(suffix)) = (requested(&request), suffix)
        && name.to_string_lossy().ends_with(suffix)
    {
        stream.write_all(&body[..body.len() / 2])?;
        // The client says nothing more, so this is its end.
        std::io::copy(&mut reader, &mut std::io::sink())?;
    } else if !request.starts_with("HEAD ") {
        stream.write_all(&body)?;
    }
    Ok(())
}

fn requested(request: &str) -> Option<PathBuf> {
    let target = request.split(' ').nth(1)?;
    Some(Path::new(target).file_name()?.into())
}

#[test]
fn requests_name_files_of_the_directory_only() {
    let cases = [
        ("GET /Packages HTTP/1.1\r\n", Some("Packages")),
        (
            "GET /./hostile_1.0_all.deb HTTP/1.1\r\n",
            Some("hostile_1.0_all.deb"),
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\n", Some("passwd")),
        ("GET / HTTP/1.1\r\n", None),
        ("GET\r\n", None),
    ];
    for (request, expected) in cases {
        assert_eq!(requested(request), expected.map(PathBuf::from));
    }
}
