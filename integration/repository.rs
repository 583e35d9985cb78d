//! A flat Debian repository of one hostile package, served on this machine's loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use crate::harness;
use crate::require::Tool;

/// The package's name and version, in its file name too.
const PACKAGE: &str = "hostile";
const VERSION: &str = "1.0";

/// Serves a directory until the process ends.
#[derive(Debug)]
pub(crate) struct Repository {
    address: SocketAddr,
    _directory: TempDir,
}

impl Repository {
    /// Builds the package around a maintainer script and serves its repository.
    pub(crate) fn of(dpkg_deb: &Tool, postinst: &str) -> Self {
        let directory = TempDir::new_in(harness::directory()).unwrap();
        let name = format!("{PACKAGE}_{VERSION}_all.deb");
        let package = directory.path().join(&name);
        let control = format!(
            "Package: {PACKAGE}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
             Description: tries what a maintainer script must not be able to do\n"
        );
        let tree = package_tree(&control, postinst);
        dpkg_deb.output(&[
            "--root-owner-group".as_ref(),
            "--build".as_ref(),
            tree.path().as_os_str(),
            package.as_os_str(),
        ]);
        let bytes = fs_err::read(&package).unwrap();
        let digest: String = openssl::sha::sha256(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let index = format!(
            "{control}Filename: ./{name}\nSize: {}\nSHA256: {digest}\n\n",
            bytes.len()
        );
        fs_err::write(directory.path().join("Packages"), index).unwrap();

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let root = directory.path().to_owned();
        thread::spawn(move || serve(&listener, &root));
        Self {
            address,
            _directory: directory,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn package_tree(control: &str, postinst: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;

    let tree = TempDir::new_in(harness::directory()).unwrap();
    // dpkg-deb refuses a control directory that others cannot read.
    let mode = |path: &Path| {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let control_directory = tree.path().join("DEBIAN");
    fs_err::create_dir(&control_directory).unwrap();
    fs_err::write(control_directory.join("control"), control).unwrap();
    fs_err::write(control_directory.join("postinst"), postinst).unwrap();
    for path in [
        tree.path(),
        &control_directory,
        &control_directory.join("postinst"),
    ] {
        mode(path);
    }
    tree
}

fn serve(listener: &TcpListener, root: &Path) {
    for stream in listener.incoming() {
        let (Ok(stream), root) = (stream, root.to_owned()) else {
            continue;
        };
        // A client that goes away is no concern of the next.
        thread::spawn(move || {
            let _ = answer(stream, &root);
        });
    }
}

/// Answers one request: a file of the directory by its plain name, or that there is none.
fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
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
    if !request.starts_with("HEAD ") {
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
