use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};

use super::{Error, OciError, Scratch, Source};
use crate::beneath::Directory;
use crate::digest::hexadecimal;
use crate::format::tar;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

const THEN: Timestamp = Timestamp::from_seconds(1_600_000_000);
const LIMIT_BYTES: u64 = 1 << 20;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree_of(entries: &[(&str, Entry)]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for (name, entry) in entries {
        tree.insert(path(name), entry.clone()).unwrap();
    }
    tree
}

fn file(content: &[u8]) -> Entry {
    let content = Content::from_bytes(content);
    Entry::new(EntryKind::Regular(content), 0o644, THEN)
}

fn archive(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    tar::write(&tree_of(entries), &mut bytes).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

/// Reads what lies at a path, within a mebibyte.
fn read(path: &Path) -> Result<FileTree, Error> {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch {
        directory: &Directory::open(directory.path()).unwrap(),
        limit_bytes: LIMIT_BYTES,
    };
    let source = Source::open(path)?;
    let read = source.tree("amd64", &scratch)?;
    let digest = source.digest("amd64")?;
    assert_eq!(read.digest, digest.unwrap_or_default());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    Ok(read.tree)
}

fn names(tree: &FileTree) -> Vec<String> {
    tree.iter()
        .skip(1)
        .map(|(path, _)| path.to_string())
        .collect()
}

fn text(tree: &FileTree, name: &str) -> String {
    match &tree.get(&path(name)).unwrap().kind {
        EntryKind::Regular(content) => String::from_utf8(content.read_all().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Returns a message with those of its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// An image layout in the making.
struct Layout {
    world: World,
    manifests: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let world = World::new();
        world.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        Self {
            world,
            manifests: Vec::new(),
        }
    }

    fn path(&self) -> &Path {
        self.world.0.path()
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = hexadecimal(&openssl::sha::sha256(bytes));
        self.world.write(&format!("blobs/sha256/{digest}"), bytes);
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
        })
    }

    fn document(&self, kind: &str, value: &Value) -> Value {
        self.blob(kind, value.to_string().as_bytes())
    }

    /// Returns the descriptor of an image of `layers`, each as it is and as it is stored.
    fn image(&self, architecture: &str, layers: &[(&[u8], &[u8])]) -> Value {
        let diff_ids = layers
            .iter()
            .map(|(plain, _)| format!("sha256:{}", hexadecimal(&openssl::sha::sha256(plain))));
        let configuration = json!({
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>()},
        });
        let configuration = self.document("config.v1+json", &configuration);
        let layers = layers
            .iter()
            .map(|(_, stored)| self.blob("layer.v1.tar+gzip", stored));
        let manifest = json!({
            "schemaVersion": 2,
            "config": configuration,
            "layers": layers.collect::<Vec<_>>(),
        });
        self.document("manifest.v1+json", &manifest)
    }

    fn index(&self, manifests: &[Value]) -> Value {
        json!({"schemaVersion": 2, "manifests": manifests})
    }

    fn finish(&self) {
        let index = self.index(&self.manifests);
        self.world.write("index.json", index.to_string().as_bytes());
    }

    /// Returns a layout of one image with two layers.
    fn of_two_layers() -> Self {
        let mut owned = file(b"1");
        (owned.uid, owned.gid, owned.mode) = (7, 8, 0o4755);
        let lower = archive(&[
            ("etc", Entry::directory(THEN)),
            ("etc/gone", file(b"1")),
            ("etc/kept", owned),
        ]);
        let upper = archive(&[
            ("etc", Entry::directory(THEN)),
            ("etc/.wh.gone", file(b"")),
            ("etc/new", file(b"2")),
        ]);
        let mut layout = Self::new();
        let image = layout.image("amd64", &[(&lower, &gzip(&lower)), (&upper, &zstd(&upper))]);
        layout.manifests.push(image);
        layout.finish();
        layout
    }
}

#[test]
fn archives_are_read_whatever_they_are_compressed_with() {
    let world = World::new();
    let plain = archive(&[("a", file(b"x")), ("b", Entry::directory(THEN))]);
    // Programs that compress with several threads write several streams.
    let (first, second) = plain.split_at(700);
    let in_parts = [gzip(first), gzip(second)].concat();
    let forms = [
        plain.clone(),
        gzip(&plain),
        xz(&plain),
        zstd(&plain),
        in_parts,
    ];
    for (number, bytes) in forms.iter().enumerate() {
        let tree = read(&world.write(&number.to_string(), bytes)).unwrap();
        assert_eq!(names(&tree), ["a", "b"], "{number}");
        assert_eq!(text(&tree, "a"), "x");
    }
}

#[test]
fn what_cannot_be_decompressed_is_told() {
    let world = World::new();
    let plain = archive(&[("a", file(b"x"))]);
    let bzip = world.write("bzip", b"BZh91AY&SY");
    let refused = read(&bzip).unwrap_err();
    let expected = format!(
        "`{}` is compressed with bzip2; gzip, xz and zstd are read",
        bzip.display()
    );
    assert_eq!(told(&refused), expected);
    for (name, bytes) in [
        ("gzip", gzip(&plain)),
        ("xz", xz(&plain)),
        ("zstd", zstd(&plain)),
    ] {
        let half = world.write(name, &bytes[..bytes.len() / 2]);
        let failed = read(&half);
        assert!(
            matches!(failed, Err(Error::Read { .. })),
            "{name}: {failed:?}"
        );
    }
    for (name, bytes) in [("text", &b"hello"[..]), ("empty", b"")] {
        let failed = read(&world.write(name, bytes));
        assert!(matches!(failed, Err(Error::NoTree { .. })), "{name}");
    }
    let failed = read(Path::new("/dev/null"));
    assert!(matches!(failed, Err(Error::Open { .. })), "{failed:?}");
}

#[test]
fn bombs_take_no_more_than_the_limit() {
    let world = World::new();
    let limit = usize::try_from(LIMIT_BYTES).unwrap();
    let zeros = archive(&[("zeros", file(&vec![0; 2 * limit]))]);
    for bytes in [gzip(&zeros), xz(&zeros), zstd(&zeros), zeros] {
        let failed = read(&world.write("bomb", &bytes)).unwrap_err();
        let expected = format!(
            "`{}` holds more than 1048576 bytes, which is the most that a build may use",
            world.0.path().join("bomb").display()
        );
        assert_eq!(told(&failed), expected);
    }
    // 2560 bytes of which GNU tar says that they are a file of a tebibyte.
    let mut header = [0_u8; 512];
    header[..5].copy_from_slice(b"large");
    header[156] = b'S';
    header[483..495].copy_from_slice(b"\x80\0\0\0\0\0\x01\0\0\0\0\0");
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut sparse = header.to_vec();
    sparse.resize(2560, 0);
    let failed = read(&world.write("sparse", &sparse));
    assert!(matches!(failed, Err(Error::TooLarge { .. })), "{failed:?}");
}

#[test]
fn what_a_running_system_fills_is_left_out_of_archives() {
    let world = World::new();
    let directory = || Entry::directory(THEN);
    let bytes = archive(&[
        ("dev", directory()),
        ("dev/null", file(b"")),
        ("device", file(b"")),
        ("tmp", directory()),
        ("tmp/x", directory()),
        ("tmp/x/y", file(b"")),
        ("var", directory()),
        ("var/run", file(b"")),
        ("var/tmp", directory()),
        ("var/tmp/x", file(b"")),
    ]);
    let tree = read(&world.write("x.tar", &bytes)).unwrap();
    let expected = ["dev", "device", "tmp", "var", "var/run", "var/tmp"];
    assert_eq!(names(&tree), expected);
}

#[test]
fn attributes_of_a_machine_are_left_out_and_our_records_refused() {
    let world = World::new();
    let with = |name: &str| {
        let mut entry = file(b"");
        entry.xattrs.insert(name.into(), b"x".to_vec());
        archive(&[("f", entry)])
    };
    for (name, kept) in [
        ("user.mine", 1),
        ("security.capability", 1),
        ("security.selinux", 0),
        ("trusted.overlay.opaque", 0),
    ] {
        let tree = read(&world.write("x.tar", &with(name))).unwrap();
        assert_eq!(tree.get(&path("f")).unwrap().xattrs.len(), kept, "{name}");
    }
    let failed = read(&world.write("x.tar", &with("user.overcoat.owner")));
    assert!(
        matches!(failed, Err(Error::ReservedAttribute { .. })),
        "{failed:?}"
    );
}

#[test]
fn layers_of_a_layout_make_one_tree() {
    let layout = Layout::of_two_layers();
    let tree = read(layout.path()).unwrap();
    assert_eq!(names(&tree), ["etc", "etc/kept", "etc/new"]);
    let kept = tree.get(&path("etc/kept")).unwrap();
    assert_eq!((kept.uid, kept.gid, kept.mode), (7, 8, 0o4755));
    assert_eq!(text(&tree, "etc/new"), "2");
}

#[test]
fn an_archive_of_a_layout_is_as_good_as_the_layout() {
    let layout = Layout::of_two_layers();
    let directory = Directory::open(layout.path()).unwrap();
    let packed = crate::capture::merge_directory(directory).unwrap();
    let mut bytes = Vec::new();
    tar::write(&packed, &mut bytes).unwrap();
    let world = World::new();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let place = world.write("image.tar", &bytes);
        assert_eq!(
            names(&read(&place).unwrap()),
            ["etc", "etc/kept", "etc/new"]
        );
        let scratch = Scratch {
            directory: &Directory::open(world.0.path()).unwrap(),
            limit_bytes: LIMIT_BYTES,
        };
        let image = Source::open(&place).unwrap();
        let image = image.oci_image("amd64", &scratch).unwrap().unwrap();
        let found = Source::open(layout.path()).unwrap();
        let found = found.oci_image("amd64", &scratch).unwrap().unwrap();
        assert_eq!(image.digest, found.digest);
        assert_eq!(image.layers.len(), 2);
        for (layer, same) in image.layers.iter().zip(&found.layers) {
            assert!(layer.blob.is_same_as(&same.blob).unwrap());
        }
    }
}

#[test]
fn the_image_of_the_architecture_is_found_in_nested_indexes() {
    let mut layout = Layout::new();
    let layer = |name: &str| archive(&[(name, file(b""))]);
    let (arm, amd, second) = (layer("arm"), layer("amd"), layer("second"));
    let mut foreign = layout.image("arm64", &[(&arm, &arm)]);
    foreign["platform"] = json!({"architecture": "arm64", "os": "linux"});
    let windows = {
        let mut descriptor = foreign.clone();
        descriptor["platform"] = json!({"architecture": "amd64", "os": "windows"});
        descriptor
    };
    // Without a platform its configuration says what it is for.
    let unsaid = layout.image("arm64", &[(&arm, &arm)]);
    let mine = layout.image("amd64", &[(&amd, &amd)]);
    let nested = layout.index(&[foreign, windows, unsaid, mine]);
    let nested = layout.document("index.v1+json", &nested);
    let other = json!({
        "mediaType": "text/plain", "size": 1,
        "digest": format!("sha256:{}", "0".repeat(64)),
    });
    let later = layout.image("amd64", &[(&second, &second)]);
    layout.manifests = vec![other, nested, later];
    layout.finish();
    assert_eq!(names(&read(layout.path()).unwrap()), ["amd"]);
}

/// Returns what is wrong with a layout.
fn refused(layout: &Layout) -> String {
    match read(layout.path()) {
        Err(Error::Oci { source, .. }) => told(&source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layout_without_the_image_says_what_it_has() {
    let mut layout = Layout::new();
    layout.finish();
    assert_eq!(
        refused(&layout),
        "the layout has no image for `amd64`; it has none"
    );
    layout.manifests = vec![layout.image("s390x", &[]), layout.image("arm64", &[])];
    layout.finish();
    assert_eq!(
        refused(&layout),
        "the layout has no image for `amd64`; it has linux/arm64, linux/s390x"
    );
}

#[test]
fn an_index_that_leads_to_itself_ends() {
    // It cannot hold its own digest, but one of many may lead to many others.
    let mut layout = Layout::new();
    let mut index = layout.index(&[]);
    for _ in 0..6 {
        let descriptor = layout.document("index.v1+json", &index);
        index = layout.index(&vec![descriptor; 5]);
    }
    layout.manifests = index["manifests"].as_array().unwrap().clone();
    layout.finish();
    assert_eq!(
        refused(&layout),
        "the indexes of the layout lead to too many others"
    );
}

/// Returns the name of the blob, of those that `pick` knows, in the layout's directory.
fn blob(layout: &Layout, pick: impl Fn(&[u8]) -> bool) -> PathBuf {
    let blobs = fs::read_dir(layout.path().join("blobs/sha256")).unwrap();
    let paths = blobs.map(|entry| entry.unwrap().path());
    let mut found = paths.filter(|path| pick(&fs::read(path).unwrap()));
    found.next().unwrap()
}

#[test]
fn every_blob_is_held_against_its_digest() {
    let is_manifest = |bytes: &[u8]| bytes.starts_with(b"{") && memory_has(bytes, b"\"layers\":[");
    let is_configuration = |bytes: &[u8]| memory_has(bytes, b"diff_ids");
    let is_layer = |bytes: &[u8]| bytes.starts_with(b"\x1f\x8b");
    type Pick<'a> = &'a dyn Fn(&[u8]) -> bool;
    let kinds: [Pick<'_>; 3] = [&is_manifest, &is_configuration, &is_layer];
    for (number, pick) in kinds.iter().enumerate() {
        let layout = Layout::of_two_layers();
        let place = blob(&layout, pick);
        let digest = place.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&place).unwrap();
        let mut damaged = bytes.clone();
        // The length of a stored field of gzip's header; in a document, a space that means nothing.
        let at = if number == 2 { 4 } else { damaged.len() - 1 };
        damaged[at] = if number == 2 { 1 } else { b' ' };
        fs::write(&place, &damaged).unwrap();
        let found = hexadecimal(&openssl::sha::sha256(&damaged));
        assert_eq!(
            refused(&layout),
            format!("`sha256:{digest}` is damaged: its digest is `sha256:{found}`")
        );
        fs::write(&place, [bytes.as_slice(), b"x"].concat()).unwrap();
        assert_eq!(
            refused(&layout),
            format!(
                "`blobs/sha256/{digest}` is {} bytes long, and {} were expected",
                bytes.len() + 1,
                bytes.len()
            )
        );
        fs::remove_file(&place).unwrap();
        assert_eq!(
            refused(&layout),
            format!("`blobs/sha256/{digest}` is not in the layout")
        );
    }
}

fn memory_has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_layer_decompresses_to_what_the_configuration_says() {
    let mut layout = Layout::new();
    let (said, stored) = (archive(&[("a", file(b""))]), archive(&[("b", file(b""))]));
    layout.manifests = vec![layout.image("amd64", &[(&said, &gzip(&stored))])];
    layout.finish();
    let refused = match read(layout.path()) {
        Err(Error::Oci { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused, OciError::DiffId { .. }), "{refused:?}");
}

#[test]
fn documents_that_are_none_are_told() {
    let layout = Layout::of_two_layers();
    for (name, text, expected) in [
        (
            "oci-layout",
            r#"{"imageLayoutVersion":"2.0.0"}"#,
            "the layout has the version `2.0.0`, and `1.0.0` was expected",
        ),
        (
            "index.json",
            "{",
            "`index.json` cannot be understood: EOF while parsing an object at line 1 column 1",
        ),
        (
            "index.json",
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"md5:abc"}]}"#,
            "`md5:abc` has a digest that is not known; SHA-256, SHA-384 and SHA-512 are",
        ),
    ] {
        let place = layout.path().join(name);
        let before = fs::read(&place).unwrap();
        fs::write(&place, text).unwrap();
        assert_eq!(refused(&layout), expected);
        fs::write(&place, before).unwrap();
    }
    fs::write(layout.path().join("index.json"), vec![b' '; (4 << 20) + 1]).unwrap();
    assert_eq!(
        refused(&layout),
        "`index.json` has 4194305 bytes, and a document has 4194304 at most"
    );
}

#[test]
fn links_of_a_layout_do_not_lead_out_of_it() {
    let layout = Layout::of_two_layers();
    let elsewhere = World::new();
    let index = layout.path().join("index.json");
    let outside = elsewhere.write("index.json", &fs::read(&index).unwrap());
    fs::remove_file(&index).unwrap();
    fs::os::unix::fs::symlink(outside, &index).unwrap();
    // It is no layout then, and the directory is what it is.
    let tree = read(layout.path()).unwrap();
    assert!(matches!(
        tree.get(&path("index.json")).unwrap().kind,
        EntryKind::Symlink(_)
    ));
    let layout = Layout::of_two_layers();
    let layer = blob(&layout, |bytes| bytes.starts_with(b"\x1f\x8b"));
    let outside = elsewhere.write("layer", &fs::read(&layer).unwrap());
    fs::remove_file(&layer).unwrap();
    fs::os::unix::fs::symlink(outside, &layer).unwrap();
    assert!(refused(&layout).ends_with("is not in the layout"));
}
