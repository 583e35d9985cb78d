use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde_json::{Value, json};

use super::*;
use crate::beneath::{Directory, Place};
use crate::digest::{hexadecimal, sha256_of_file};
use crate::format::compression::Codec;
use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

const GZIP: Codec = Codec::Gzip { level: 3 };
const NOTHING: &BTreeMap<String, String> = &BTreeMap::new();

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn image(codec: Codec) -> Image<'static> {
    Image {
        architecture: "amd64",
        variant: None,
        created: Timestamp::from_seconds(1_700_000_000),
        version: None,
        reference: None,
        labels: NOTHING,
        annotations: NOTHING,
        codec,
        base: None,
    }
}

/// Returns a tree of files with these contents, all in `usr`, and directories where there is none.
fn tree(files: &[(&str, Option<&str>)]) -> FileTree {
    let time = Timestamp::from_seconds(1000);
    let mut tree = FileTree::new(Entry::directory(time)).unwrap();
    for (name, content) in files {
        let entry = match content {
            Some(text) => {
                let kind = EntryKind::Regular(Content::from_bytes(text.as_bytes()));
                Entry::new(kind, 0o644, time)
            }
            None => Entry::directory(time),
        };
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

fn system() -> FileTree {
    tree(&[
        ("etc", None),
        ("etc/a.conf", Some("a")),
        ("etc/b.conf", Some("b")),
        ("old", None),
        ("old/x", Some("x")),
        ("sbin", None),
        ("sbin/init", Some("init")),
    ])
}

fn written(tree: &FileTree, image: &Image<'_>, at: &Path) -> Lost {
    let parent = Directory::open(at.parent().unwrap()).unwrap();
    write_at(tree, image, &Place::new(&parent, at.file_name().unwrap())).unwrap()
}

fn blob(layout: &Path, descriptor: &Descriptor) -> Vec<u8> {
    let digest = descriptor.digest().to_string();
    let name = digest.strip_prefix("sha256:").unwrap().to_owned();
    let file = layout.join("blobs/sha256").join(&name);
    let bytes = fs_err::read(&file).unwrap();
    assert_eq!(bytes.len() as u64, descriptor.size());
    let file = fs_err::File::open(&file).unwrap().into_file();
    assert_eq!(sha256_of_file(file).unwrap(), name);
    bytes
}

/// Returns the manifest and the configuration of the one image of a layout.
fn described(layout: &Path) -> (ImageManifest, Value) {
    let index = ImageIndex::from_file(layout.join("index.json")).unwrap();
    let [manifest] = index.manifests().as_slice() else {
        panic!("there is one image in a layout");
    };
    let manifest = ImageManifest::from_reader(blob(layout, manifest).as_slice()).unwrap();
    let configuration = serde_json::from_slice(&blob(layout, manifest.config())).unwrap();
    (manifest, configuration)
}

/// Returns the names in an uncompressed layer, in order.
fn names(layer: &[u8]) -> Vec<String> {
    let (mut names, mut at) = (Vec::new(), 0);
    while layer[at] != 0 {
        let header = &layer[at..at + 512];
        let text = |field: &[u8]| {
            let end = field.iter().position(|byte| *byte == 0);
            String::from_utf8(field[..end.unwrap_or(field.len())].to_vec()).unwrap()
        };
        names.push(text(&header[..100]));
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        at += 512 + size.next_multiple_of(512);
    }
    names
}

fn base_of(layout: &Path, tree: FileTree) -> BaseImage {
    let (manifest, configuration) = described(layout);
    let layers = manifest.layers().iter().map(|descriptor| BaseLayer {
        descriptor: descriptor.clone(),
        blob: Content::from_bytes(blob(layout, descriptor)),
    });
    BaseImage {
        digest: "sha256:0".into(),
        layers: layers.collect(),
        configuration,
        tree,
    }
}

#[test]
fn layout_has_one_image_of_which_every_digest_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("image");
    let labels = BTreeMap::from([("who".to_owned(), "me".to_owned())]);
    let image = Image {
        labels: &labels,
        annotations: &labels,
        version: Some("7"),
        reference: Some("system"),
        ..image(GZIP)
    };
    assert_eq!(written(&system(), &image, &at), Lost::default());
    let (manifest, configuration) = described(&at);
    let [layer] = manifest.layers().as_slice() else {
        panic!("a tree without a base is one layer");
    };
    assert_eq!(*layer.media_type(), MediaType::ImageLayerGzip);
    let mut archive = Vec::new();
    flate2::bufread::GzDecoder::new(blob(&at, layer).as_slice())
        .read_to_end(&mut archive)
        .unwrap();
    let diff_id = hexadecimal(&openssl::sha::sha256(&archive));
    assert_eq!(
        configuration,
        json!({
            "architecture": "amd64",
            "config": { "Cmd": ["/sbin/init"], "Labels": { "who": "me" } },
            "created": "2023-11-14T22:13:20Z",
            "history": [{ "created": "2023-11-14T22:13:20Z", "created_by": "overcoat build" }],
            "os": "linux",
            "rootfs": { "diff_ids": [format!("sha256:{diff_id}")], "type": "layers" },
        })
    );
    let annotations: BTreeMap<_, _> = manifest
        .annotations()
        .clone()
        .unwrap()
        .into_iter()
        .collect();
    let annotation = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [
        annotation("org.opencontainers.image.version", "7"),
        annotation("who", "me"),
    ];
    assert_eq!(annotations, BTreeMap::from(expected));
    let index: Value =
        serde_json::from_slice(&fs_err::read(at.join("index.json")).unwrap()).unwrap();
    assert_eq!(
        index["manifests"][0]["annotations"],
        json!({ "org.opencontainers.image.ref.name": "system" })
    );
    let layout = fs_err::read_to_string(at.join("oci-layout")).unwrap();
    assert_eq!(layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
}

#[test]
fn same_tree_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let parent = Directory::open(directory.path()).unwrap();
    let labels = ["a", "b", "c", "d"].map(|key| (key.to_owned(), key.to_owned()));
    let labels = BTreeMap::from(labels);
    let image = Image {
        labels: &labels,
        annotations: &labels,
        ..image(Codec::Zstd { level: 3 })
    };
    let archives = ["one", "other"].map(|name| {
        let mut archive = Vec::new();
        let scratch = Place::new(&parent, name.as_ref());
        write_archive(&system(), &image, &scratch, &mut archive).unwrap();
        archive
    });
    assert!(archives[0] == archives[1]);
    let mut listed = names(&archives[0]);
    let blobs = listed.extract_if(.., |name| {
        name.starts_with("blobs/sha256/") && name.len() > 13
    });
    assert_eq!(blobs.count(), 3);
    let rest = ["./", "blobs/", "blobs/sha256/", "index.json", "oci-layout"];
    assert_eq!(listed, rest);
}

#[test]
fn image_on_a_base_adds_one_layer_with_the_difference() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    written(&system(), &image(GZIP), &below);
    let base = base_of(&below, system());
    let mut changed = system();
    changed.remove(&path("old"));
    changed.remove(&path("etc/b.conf"));
    changed.get_mut(&path("etc/a.conf")).unwrap().mode = 0o600;
    let above = directory.path().join("above");
    let image = Image {
        base: Some(&base),
        ..image(Codec::None)
    };
    written(&changed, &image, &above);
    let (manifest, configuration) = described(&above);
    let [first, second] = manifest.layers().as_slice() else {
        panic!("there is a layer above that of the base");
    };
    assert_eq!(first, &base.layers[0].descriptor);
    assert_eq!(*second.media_type(), MediaType::ImageLayer);
    let layer = blob(&above, second);
    let expected = ["./", ".wh.old", "etc/", "etc/.wh.b.conf", "etc/a.conf"];
    assert_eq!(names(&layer), expected);
    let diff_id = format!("sha256:{}", hexadecimal(&openssl::sha::sha256(&layer)));
    assert_eq!(configuration["rootfs"]["diff_ids"][1], diff_id);
    assert_eq!(configuration["history"].as_array().unwrap().len(), 2);
    assert_eq!(
        manifest.annotations().as_ref().unwrap()["org.opencontainers.image.base.digest"],
        "sha256:0"
    );
}

#[test]
fn image_that_is_its_base_adds_no_layer_and_keeps_what_it_says_of_containers() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    written(&system(), &image(GZIP), &below);
    let mut base = base_of(&below, system());
    base.configuration["config"] =
        json!({ "Entrypoint": ["/x"], "Healthcheck": { "Test": ["y"] } });
    let above = directory.path().join("above");
    let image = Image {
        base: Some(&base),
        ..image(GZIP)
    };
    written(&system(), &image, &above);
    let (manifest, configuration) = described(&above);
    assert_eq!(manifest.layers().len(), 1);
    assert_eq!(configuration["history"][1]["empty_layer"], true);
    assert_eq!(
        configuration["rootfs"]["diff_ids"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(configuration["config"], base.configuration["config"]);
}

#[test]
fn all_names_of_an_inode_are_in_the_same_layer() {
    let link = |tree: &mut FileTree, names: &[&str]| {
        for name in names {
            tree.get_mut(&path(name)).unwrap().hard_link = Some(HardLinkGroup(3));
        }
    };
    let files = [("a", Some("x")), ("b", Some("x")), ("c", Some("c"))];
    let base = tree(&files[..1]);
    let mut linked = tree(&files);
    link(&mut linked, &["a", "b"]);
    let latest = Timestamp::from_seconds(2000);
    let layer = layer::difference(&base, &linked, latest).unwrap().unwrap();
    let listed: Vec<_> = layer.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(listed, ["", "a", "b", "c"]);
    assert!(
        layer::difference(&linked, &linked, latest)
            .unwrap()
            .is_none()
    );
}

#[test]
fn layer_of_the_base_that_is_another_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    written(&system(), &image(GZIP), &below);
    let mut base = base_of(&below, system());
    base.layers[0].blob = Content::from_bytes(*b"x");
    let parent = Directory::open(directory.path()).unwrap();
    let image = Image {
        base: Some(&base),
        ..image(GZIP)
    };
    let place = Place::new(&parent, "above".as_ref());
    let error = write_at(&system(), &image, &place).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the layer `{}` of the base has the digest \
             `sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881`",
            base.layers[0].descriptor.digest()
        )
    );
}

#[test]
fn name_that_would_delete_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let parent = Directory::open(directory.path()).unwrap();
    let place = Place::new(&parent, "image".as_ref());
    let error = write_at(&tree(&[(".wh.x", Some(""))]), &image(GZIP), &place).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/.wh.x` has a name that marks a deletion in a layer"
    );
}

#[test]
fn only_a_layout_that_nobody_added_to_is_an_output() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("image");
    let parent = Directory::open(directory.path()).unwrap();
    let place = Place::new(&parent, "image".as_ref());
    assert!(!is_output(&place));
    written(&system(), &image(GZIP), &at);
    assert!(is_output(&place));
    fs_err::write(at.join("mine"), "").unwrap();
    assert!(!is_output(&place));
    fs_err::remove_file(at.join("mine")).unwrap();
    let index = fs_err::read_to_string(at.join("index.json")).unwrap();
    fs_err::write(at.join("index.json"), index.replace("overcoat.output", "x")).unwrap();
    assert!(!is_output(&place));
}
