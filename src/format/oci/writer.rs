//! From a tree to an image layout: the layer, what describes the container, and the manifest that holds them together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_DIGEST, ANNOTATION_REF_NAME, ANNOTATION_VERSION, Arch, ConfigBuilder,
    Descriptor, History, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, Os,
    PlatformBuilder, RootFsBuilder,
};
use serde_json::{Map, Value, json};

use super::digesting::{Digested, Digesting};
use super::layout::{self, Layout};
use super::{Error, layer};
use crate::beneath::Place;
use crate::format::compression::{self, Codec};
use crate::format::tar;
use crate::tree::{Content, FileTree, Timestamp, TreePath};

/// What history says an image was made by.
const MAKER: &str = "overcoat build";
/// What a container of a system runs, when its image has it and its base does not say otherwise.
const INIT: &str = "sbin/init";

/// What an image is besides its tree.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// The architecture's name in OCI images (Go's `GOARCH`), and its variant.
    pub architecture: &'a str,
    pub variant: Option<&'a str>,
    /// The time of its making, which no file of the tree exceeds.
    pub created: Timestamp,
    pub version: Option<&'a str>,
    /// The name under which it is found in the layout.
    pub reference: Option<&'a str>,
    pub labels: &'a BTreeMap<String, String>,
    pub annotations: &'a BTreeMap<String, String>,
    /// How its layer is compressed: with gzip, with zstd, or not at all.
    pub codec: Codec,
    pub base: Option<&'a BaseImage>,
}

/// An image that another one is built on.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// The digest of its manifest, such as `sha256:…`.
    pub digest: String,
    /// The lowest one first.
    pub layers: Vec<BaseLayer>,
    /// Its configuration, of which everything is kept that the new image does not replace.
    pub configuration: Value,
    /// What its layers make together.
    pub tree: FileTree,
}

/// A layer of a base image.
#[derive(Clone, Debug)]
pub struct BaseLayer {
    pub descriptor: Descriptor,
    /// The layer as it is, compressed or not.
    pub blob: Content,
}

/// What of a tree the format cannot express, so that a caller can warn.
pub type Lost = tar::Lost;

/// Writes an image of `tree` as a layout into the new directory at `place`.
///
/// # Errors
/// An [`Error`] that names what cannot be written, or which layer of the base is not what it should be.
pub fn write_at(tree: &FileTree, image: &Image<'_>, place: &Place<'_>) -> Result<Lost, Error> {
    write(tree, image, place).map(|(lost, _)| lost)
}

/// Writes an image of `tree` as an archive of a layout to `out`, with the help of the new directory at `scratch`.
///
/// # Errors
/// As [`write_at()`].
pub fn write_archive(
    tree: &FileTree,
    image: &Image<'_>,
    scratch: &Place<'_>,
    out: &mut dyn Write,
) -> Result<Lost, Error> {
    let (lost, layout) = write(tree, image, scratch)?;
    tar::write(&layout.into_tree(image.created)?, out)?;
    Ok(lost)
}

fn write(
    tree: &FileTree,
    image: &Image<'_>,
    place: &Place<'_>,
) -> Result<(Lost, layout::Finished), Error> {
    layer::check(tree)?;
    let difference = match image.base {
        Some(base) => layer::difference(&base.tree, tree, image.created)?,
        None => Some(tree.clone()),
    };
    let layout = Layout::create(place)?;
    let mut layers = match image.base {
        Some(base) => copy_base(&layout, base)?,
        None => Vec::new(),
    };
    let mut lost = Lost::default();
    let mut diff_id = None;
    if let Some(difference) = difference {
        let written = write_layer(&layout, &difference, image.codec)?;
        layers.push(written.descriptor);
        diff_id = Some(written.diff_id);
        lost = written.lost;
    }
    let configuration = configuration(tree, image, diff_id);
    let configuration = layout.add_json(&configuration, MediaType::ImageConfig)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(configuration)
        .layers(layers)
        .annotations(annotations(image))
        .build()
        .expect("everything that a manifest needs is given");
    let mut manifest = layout.add_json(&manifest, MediaType::ImageManifest)?;
    manifest.set_platform(Some(platform(image)));
    if let Some(name) = image.reference {
        let name = HashMap::from([(ANNOTATION_REF_NAME.to_owned(), name.to_owned())]);
        manifest.set_annotations(Some(name));
    }
    Ok((lost, layout.finish(manifest)?))
}

fn platform(image: &Image<'_>) -> oci_spec::image::Platform {
    let platform = PlatformBuilder::default()
        .architecture(Arch::from(image.architecture))
        .os(Os::Linux);
    match image.variant {
        Some(variant) => platform.variant(variant),
        None => platform,
    }
    .build()
    .expect("everything that a platform needs is given")
}

fn annotations(image: &Image<'_>) -> HashMap<String, String> {
    let base = image.base.map(|base| base.digest.as_str());
    let known = [
        (ANNOTATION_BASE_IMAGE_DIGEST, base),
        (ANNOTATION_VERSION, image.version),
    ];
    let known = known
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    known.chain(image.annotations.clone()).collect()
}

/// A layer that is a blob of the layout.
struct Written {
    descriptor: Descriptor,
    /// The digest of the archive that was compressed.
    diff_id: String,
    lost: Lost,
}

fn write_layer(layout: &Layout, tree: &FileTree, codec: Codec) -> Result<Written, Error> {
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ((lost, archive), blob) = layout.add(|out| {
        compression::compress(out, codec, workers, |out| -> Result<_, Error> {
            let mut archive = Digesting::new(out);
            let lost = tar::write(tree, &mut archive)?;
            Ok((lost, archive.finish().1))
        })?
    })?;
    let media_type = match codec {
        Codec::Gzip { .. } => MediaType::ImageLayerGzip,
        Codec::Zstd { .. } => MediaType::ImageLayerZstd,
        Codec::None | Codec::Xz { .. } => MediaType::ImageLayer,
    };
    Ok(Written {
        descriptor: layout::descriptor(media_type, &blob),
        diff_id: format!("sha256:{}", archive.sha256),
        lost,
    })
}

/// Takes the layers of the base as they are, and makes sure that they are what its manifest says.
fn copy_base(layout: &Layout, base: &BaseImage) -> Result<Vec<Descriptor>, Error> {
    let mut copied = BTreeSet::new();
    let mut layers = Vec::new();
    for BaseLayer { descriptor, blob } in &base.layers {
        let digest = descriptor.digest().to_string();
        // An image may have the same layer twice.
        if copied.insert(digest.clone()) {
            copy_layer(layout, &digest, blob)?;
        }
        let mut descriptor = descriptor.clone();
        descriptor.set_media_type(layer_type(descriptor.media_type()));
        layers.push(descriptor);
    }
    Ok(layers)
}

fn copy_layer(layout: &Layout, digest: &str, blob: &Content) -> Result<(), Error> {
    let Some(expected) = digest.strip_prefix("sha256:") else {
        let digest = digest.to_owned();
        return Err(Error::UnknownDigest { digest });
    };
    let unread = |source| Error::ReadBase {
        digest: digest.to_owned(),
        source,
    };
    let ((), Digested { sha256, .. }) = layout.add(|out| {
        layout::copy(blob, out)
            .map_err(unread)?
            .map_err(|source| Error::CopyBase {
                digest: digest.to_owned(),
                source,
            })
    })?;
    match sha256 == expected {
        true => Ok(()),
        false => Err(Error::CorruptBase {
            expected: digest.to_owned(),
            found: format!("sha256:{sha256}"),
        }),
    }
}

/// Returns OCI's name for a type of layer that Docker's own manifests call otherwise.
fn layer_type(media_type: &MediaType) -> MediaType {
    match media_type.to_string().as_str() {
        "application/vnd.docker.image.rootfs.diff.tar" => MediaType::ImageLayer,
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => MediaType::ImageLayerGzip,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => MediaType::ImageLayerZstd,
        _ => media_type.clone(),
    }
}

/// Returns what describes the image and its containers: that of the base, continued.
fn configuration(tree: &FileTree, image: &Image<'_>, diff_id: Option<String>) -> Value {
    let created = rfc3339(image.created.seconds);
    let mut configuration = match image.base {
        Some(base) => base.configuration.clone(),
        None => fresh_configuration(image),
    };
    let mut history = History::default();
    history
        .set_created(Some(created.clone()))
        .set_created_by(Some(MAKER.to_owned()))
        .set_empty_layer(diff_id.is_none().then_some(true));
    let history = serde_json::to_value(history).expect("history is texts");
    configuration["created"] = created.into();
    append(&mut configuration["history"], Some(history));
    append(
        &mut configuration["rootfs"]["diff_ids"],
        diff_id.map(Value::from),
    );
    let container = &mut configuration["config"];
    if !container.is_object() {
        *container = Value::Object(Map::new());
    }
    let says = |key: &str| {
        let value = &container[key];
        value.as_array().is_some_and(|words| !words.is_empty())
    };
    let init = TreePath::new(INIT).expect("a constant path is valid");
    if !says("Cmd") && !says("Entrypoint") && tree.resolve(&init).is_some() {
        container["Cmd"] = json!([format!("/{INIT}")]);
    }
    if !image.labels.is_empty() {
        if !container["Labels"].is_object() {
            container["Labels"] = Value::Object(Map::new());
        }
        for (key, value) in image.labels {
            container["Labels"][key] = value.as_str().into();
        }
    }
    configuration
}

fn fresh_configuration(image: &Image<'_>) -> Value {
    let rootfs = RootFsBuilder::default()
        .typ("layers")
        .build()
        .expect("everything that a root file system needs is given");
    let container = ConfigBuilder::default()
        .build()
        .expect("a container needs nothing");
    let configuration = ImageConfigurationBuilder::default()
        .architecture(Arch::from(image.architecture))
        .os(Os::Linux)
        .rootfs(rootfs)
        .config(container)
        .build()
        .expect("everything that an image needs is given");
    let mut configuration = serde_json::to_value(configuration).expect("a configuration is texts");
    if let Some(variant) = image.variant {
        configuration["variant"] = variant.into();
    }
    configuration
}

/// Adds to a list, which is made when there is none.
fn append(list: &mut Value, value: Option<Value>) {
    if !list.is_array() {
        *list = json!([]);
    }
    if let (Some(list), Some(value)) = (list.as_array_mut(), value) {
        list.push(value);
    }
}

/// Returns a time as documents write it (RFC 3339), in UTC; times beyond the year 9999 are its end.
fn rfc3339(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    const LAST: i64 = 253_402_300_799;
    let seconds = seconds.clamp(0, LAST);
    let (mut days, rest) = (seconds / DAY, seconds % DAY);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_as_documents_have_them() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
