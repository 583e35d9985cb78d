//! A case: one text of a few blocks, each from a line `--- HEAD` to the next.
//!
//! What comes before the first block says in words what the case shows. Then the recipe, a block a file:
//! - `--- NAME [MODE | crlf]`: a file of this content, with this mode, or with lines that end as other systems end them;
//!   blank lines at its ends are not part of it;
//! - `--- NAME/ [MODE]`: an empty directory;
//! - `--- NAME -> TARGET`: a symbolic link.
//!
//! And these:
//! - `--- arguments`: the command line, an argument a line;
//! - `--- environment`: variables, `NAME=VALUE` a line;
//! - `--- bare`: the recipe says what distribution, release and architecture it is for; in all others the command line
//!   says Debian bookworm for x86-64;
//! - `--- expected`: the images in order, as JSON, each with what differs from `defaults.json`; one alone needs no list.
//!   An image without a name is `main`, a key `*` says that the rest is not looked at, and `<recipe>` is the recipe's
//!   directory;
//! - `--- tools`: likewise the image of tools, of which there is none in other cases;
//! - `--- warnings`: a part of each warning, a line each: there are as many, none in other cases;
//! - `--- error`: parts of what is said when the recipe is refused, a line each.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Map, Value};

use crate::harness::{Transcript, World};

/// What summaries say of an almost empty recipe.
pub(super) const DEFAULTS: &str = include_str!("defaults.json");

/// In `defaults.json`: a value that is another on each host or each time, which counts where a case names it.
const ANY: &str = "<any>";

const TARGET: [&str; 3] = [
    "--distribution=debian",
    "--release=bookworm",
    "--architecture=x86-64",
];

#[derive(Debug, Default)]
pub(super) struct Case {
    files: Vec<File>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    bare: bool,
    expected: Option<Value>,
    tools: Option<Value>,
    warnings: Vec<String>,
    error: Option<Vec<String>>,
}

#[derive(Debug)]
struct File {
    /// With a slash at its end, a directory.
    name: String,
    content: Content,
    mode: Option<u32>,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Link(String),
}

impl Case {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs_err::read_to_string(path).unwrap();
        let mut case = Self::default();
        let mut blocks = format!("\n{text}");
        blocks = blocks.replace("\n--- ", "\0");
        for block in blocks.split('\0').skip(1) {
            let (head, body) = block.split_once('\n').unwrap_or((block, ""));
            case.add(head, body)
                .unwrap_or_else(|error| panic!("{}: {head}: {error}", path.display()));
        }
        assert!(
            case.expected.is_some() != case.error.is_some(),
            "{}: either something is expected, or an error",
            path.display()
        );
        case
    }

    fn add(&mut self, head: &str, body: &str) -> Result<(), Box<dyn std::error::Error>> {
        let lines = || {
            let lines = body.lines().filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect::<Vec<String>>()
        };
        match head {
            "arguments" => self.arguments = lines(),
            "environment" => {
                for line in lines() {
                    let (name, value) = line.split_once('=').ok_or("no `=`")?;
                    self.environment.push((name.to_owned(), value.to_owned()));
                }
            }
            "bare" => self.bare = true,
            "expected" => self.expected = Some(serde_json::from_str(body)?),
            "tools" => self.tools = Some(serde_json::from_str(body)?),
            "warnings" => self.warnings = lines(),
            "error" => self.error = Some(lines()),
            _ => self.files.push(File::new(head, body)?),
        }
        Ok(())
    }

    /// Runs the program on the case and returns what is not as expected.
    pub(super) fn differences(&self) -> Vec<String> {
        let world = World::new();
        self.make(&world);
        let run = |options: &[&str]| {
            let mut transcript = self.run(&world, options);
            for text in [&mut transcript.stdout, &mut transcript.stderr] {
                *text = text.replace("<world>/recipe", "<recipe>");
            }
            transcript
        };
        if let Some(parts) = &self.error {
            return refused(&run(&[]), parts);
        }
        // Warnings are errors then; what is only not built is none.
        let strict = run(&["--strict"]);
        if self.warnings.is_empty() {
            return self.accepted(&strict);
        }
        let mut differences = refused(&strict, &self.warnings);
        let errors = strict.stderr.lines();
        let errors = errors.filter(|line| line.starts_with("error")).count();
        if errors != self.warnings.len() {
            let stderr = strict.stderr.trim_end();
            differences.push(format!("{errors} warnings: {stderr}"));
        }
        differences.extend(self.accepted(&run(&[])));
        differences
    }

    /// Makes the recipe in the world and returns what the summary says of it, unless an error is expected.
    pub(super) fn summary(&self, world: &World) -> Option<Value> {
        self.expected.as_ref()?;
        self.make(world);
        read(world, &self.run(world, &[]).stdout)
    }

    fn make(&self, world: &World) {
        for file in &self.files {
            file.make(&world.path(""));
        }
    }

    fn run(&self, world: &World, options: &[&str]) -> Transcript {
        let target = if self.bare { &[][..] } else { &TARGET };
        let arguments: Vec<&str> = ["--json"]
            .iter()
            .chain(options)
            .chain(target)
            .copied()
            .chain(self.arguments.iter().map(String::as_str))
            .chain(["summary"])
            .collect();
        let mut command = world.command(&arguments);
        command.envs(self.environment.iter().cloned());
        world.finish(command)
    }

    fn accepted(&self, transcript: &Transcript) -> Vec<String> {
        if transcript.status != Some(0) {
            return vec![failed(transcript)];
        }
        let mut differences = Vec::new();
        let found: Value = match serde_json::from_str(&transcript.stdout) {
            Ok(found) => found,
            Err(error) => return vec![format!("no JSON: {error}")],
        };
        let images = found["Images"].as_array().map_or(&[][..], Vec::as_slice);
        let expected = match &self.expected {
            Some(Value::Array(images)) => &images[..],
            Some(image) => std::slice::from_ref(image),
            None => &[],
        };
        let found_names: Vec<&str> = images.iter().map(name).collect();
        let names: Vec<&str> = expected.iter().map(name).collect();
        if found_names != names {
            differences.push(format!("images {found_names:?}, not {names:?}"));
            return differences;
        }
        for (found, expected) in images.iter().zip(expected) {
            compare(found, expected, &mut differences);
        }
        match (&self.tools, &found["Tools"]) {
            (None, Value::Null) => {}
            (Some(expected), found) => compare(found, expected, &mut differences),
            (None, _) => differences.push("an image of tools".to_owned()),
        }
        differences
    }
}

impl File {
    fn new(head: &str, body: &str) -> Result<Self, Box<dyn std::error::Error>> {
        if let Some((name, target)) = head.split_once(" -> ") {
            return Ok(Self {
                name: name.to_owned(),
                content: Content::Link(target.to_owned()),
                mode: None,
            });
        }
        let mut text = body.trim_matches('\n').to_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        let (name, attribute) = head.split_once(' ').unwrap_or((head, ""));
        let mode = match attribute {
            "" => None,
            "crlf" => {
                text = text.replace('\n', "\r\n");
                None
            }
            mode => Some(u32::from_str_radix(mode, 8)?),
        };
        Ok(Self {
            name: name.to_owned(),
            content: Content::Text(text),
            mode,
        })
    }

    fn make(&self, root: &Path) {
        let path = root.join(&self.name);
        fs_err::create_dir_all(path.parent().expect("it is below the root")).unwrap();
        match &self.content {
            Content::Link(target) => symlink(target, &path).unwrap(),
            Content::Text(_) if self.name.ends_with('/') => fs_err::create_dir_all(&path).unwrap(),
            Content::Text(text) => fs_err::write(&path, text).unwrap(),
        }
        if let Some(mode) = self.mode {
            fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
    }
}

/// Reads JSON of a transcript with the paths that it had.
pub(super) fn read(world: &World, text: &str) -> Option<Value> {
    let recipe = world.path("");
    let root = recipe.parent().expect("the recipe is below the world");
    serde_json::from_str(&text.replace("<world>", &root.to_string_lossy())).ok()
}

fn refused(transcript: &Transcript, parts: &[String]) -> Vec<String> {
    if transcript.status != Some(2) {
        return vec![failed(transcript)];
    }
    missing(&transcript.stderr, parts)
}

fn failed(transcript: &Transcript) -> String {
    format!(
        "status {:?}: {}",
        transcript.status,
        transcript.stderr.trim_end()
    )
}

fn missing(text: &str, parts: &[String]) -> Vec<String> {
    let missing = parts.iter().filter(|part| !text.contains(*part));
    missing
        .map(|part| format!("no `{part}` in: {}", text.trim_end()))
        .collect()
}

/// Returns the image's name.
fn name(image: &Value) -> &str {
    image["Image"].as_str().unwrap_or("main")
}

/// Compares all settings of one image.
fn compare(found: &Value, expected: &Value, differences: &mut Vec<String>) {
    let empty = Map::new();
    let found = found.as_object().unwrap_or(&empty);
    let stated = expected.as_object().unwrap_or(&empty);
    let image = name(expected);
    let mut whole: Map<String, Value> = if stated.contains_key("*") {
        Map::new()
    } else {
        serde_json::from_str(DEFAULTS).expect("the defaults are JSON")
    };
    let is_complete = !whole.is_empty();
    if is_complete && image != "main" {
        // Subimages are given what the main image leaves open, and that is an empty list by then.
        whole.insert("ProxyExclude".to_owned(), Value::Array(Vec::new()));
    }
    whole.extend(stated.clone());
    whole.remove("*");
    for (key, value) in &whole {
        match found.get(key) {
            Some(_) if value == ANY => {}
            Some(found) if found == value => {}
            Some(found) => differences.push(format!("{image}: {key} is {found}, not {value}")),
            None => differences.push(format!("{image}: no {key}")),
        }
    }
    let surplus = found
        .keys()
        .filter(|key| is_complete && !whole.contains_key(*key));
    differences.extend(surplus.map(|key| format!("{image}: {key} is not known")));
}
