//! What must hold of any recipe.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::bounds::Bounds;
use super::findings::Findings;
use super::grants::{Grant, is_variable, items};
use super::matching::{Element, elements, glob};
use super::names::Rule;
use super::syntax::{self, Document};
use super::values::{self, Kind, Value, Vantage};
use super::{
    Architecture, Distribution, HostFacts, Invocation, Origin, Override, load, settings,
    specifiers, version,
};

/// A file becomes sections and assignments that, written again, are the same.
pub fn recipe_syntax(bytes: &[u8]) {
    let (document, problems) = syntax::read("x".as_ref(), bytes, |_| true);
    // A carriage return ends a line too.
    let is_line_end = |byte: &&u8| matches!(byte, b'\n' | b'\r');
    let line_count = bytes.iter().filter(is_line_end).count() + 1;
    for (place, _) in &problems {
        assert!((1..=line_count).contains(&place.line()));
        assert!(place.text().get(place.range()).is_some());
    }
    let again = rendered(&document);
    let (again, none) = syntax::read("x".as_ref(), again.as_bytes(), |_| true);
    assert_eq!(none, []);
    assert_eq!(without_lines(&again), without_lines(&document));
}

/// The value of `--allow`: what is understood is, written as the option that is advised, the same grant and no other.
pub fn grants(bytes: &[u8]) {
    for item in items(&String::from_utf8_lossy(bytes)) {
        assert!(!item.is_empty());
        let Ok(grant) = Grant::parse(&item) else {
            continue;
        };
        // Names of variables are checked later.
        if let Grant::Variable(name) = &grant
            && !is_variable(name)
        {
            continue;
        }
        let again: Vec<_> = items(&grant.to_string())
            .iter()
            .map(|item| Grant::parse(item).ok())
            .collect();
        assert_eq!(again, [Some(grant)]);
    }
}

fn rendered(document: &Document) -> String {
    let mut text = String::new();
    for section in &document.sections {
        text += &format!("[{}]\n", section.name);
        for assignment in &section.assignments {
            let value = assignment.value.replace('\n', "\n ");
            text += &format!("{}={value}\n", assignment.key);
        }
    }
    text
}

type Plain<'a> = Vec<(&'a str, Vec<(&'a str, &'a str)>)>;

fn without_lines(document: &Document) -> Plain<'_> {
    let sections = document.sections.iter();
    sections
        .map(|section| {
            let assignments = section.assignments.iter();
            let pairs = assignments.map(|found| (found.key.as_str(), found.value.as_str()));
            (section.name.as_str(), pairs.collect())
        })
        .collect()
}

/// The text of a setting, which the first byte chooses: what it stands for can go where it is meant to.
pub fn recipe_values(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    expanded(text);
    let count = settings::all().count();
    let setting = settings::all().nth(usize::from(*choice) % count);
    let kind = setting.expect("one of them was chosen").kind;
    let vantage = Vantage::blind(Path::new("/recipe"));
    let Ok(parsed) = values::parse(kind, text, &vantage) else {
        return;
    };
    for value in &parsed {
        match value {
            Value::Path(path) => assert_normal(path),
            Value::Tree(tree) => {
                assert_normal(&tree.source);
                if matches!(kind, Kind::Trees(rule) if rule.absolute)
                    && values::violation(kind, value).is_none()
                {
                    assert_normal(tree.target());
                }
            }
            Value::Text(text) if values::violation(kind, value).is_none() => {
                assert_rule(kind, text)
            }
            Value::Variable { name, .. } => assert!(!name.contains('=')),
            Value::Mode(mode) => assert!(*mode <= 0o1777),
            Value::Size(bytes) => assert!(*bytes > 0 && bytes.is_multiple_of(4096)),
            Value::Vsock(number) => assert!((-2..0xFFFF_FFFF).contains(number)),
            Value::Credential(credential) => {
                assert!(credential.value.is_some() != credential.path.is_some());
            }
            Value::Drive(drive) => assert!(!drive.id.contains('/')),
            Value::UkiProfile(profile) => assert_normal(&profile.path),
            Value::Text(_)
            | Value::Boolean(_)
            | Value::Feature(_)
            | Value::Number(_)
            | Value::KeySource { .. }
            | Value::Password { .. } => {}
        }
    }
    if !kind.is_collection() {
        let [value] = &parsed[..] else {
            panic!("a single value is one: {parsed:?}");
        };
        let again = values::parse(kind, &value.to_string(), &vantage);
        assert_eq!(again, Ok(parsed.clone()));
    }
}

fn expanded(text: &str) {
    let origin = Origin::Default;
    let lookup = |letter| match letter {
        'd' => Ok("debian".to_owned()),
        'v' => Err(Some("ImageVersion")),
        _ => Err(None),
    };
    let mut findings = Findings::default();
    let bounds = Bounds::default();
    if let Some(expanded) =
        specifiers::expand("Output", text, &origin, &bounds, lookup, &mut findings)
    {
        assert!(expanded.len() <= text.len() * 3);
    }
}

fn assert_normal(path: &Path) {
    let is_normal = |part| matches!(part, Component::RootDir | Component::Normal(_));
    assert!(
        path.is_absolute() && path.components().all(is_normal),
        "{path:?}"
    );
}

/// Says independently of the rules what each is there for.
fn assert_rule(kind: Kind, text: &str) {
    let rule = match kind {
        Kind::Text(rule) | Kind::List(rule) | Kind::Delayed(rule, _) => rule,
        Kind::Packages => Rule::Package,
        _ => return,
    };
    match rule {
        Rule::Any | Rule::Profile | Rule::Variable => {}
        Rule::FileName | Rule::NamePart => {
            let mut parts = Path::new(text).components();
            assert!(matches!(parts.next(), Some(Component::Normal(name)) if name == text));
            assert!(!text.starts_with('-'));
        }
        Rule::Package | Rule::Word => {
            assert!(!text.starts_with('-') && !text.contains(['\n', '\0', '"', '\'', ';']));
        }
        Rule::Url => assert!(!text.contains([' ', '\n', '[', '"'])),
        Rule::ReleaseWord | Rule::Unit => {
            assert!(!text.is_empty() && !text.contains(['/', ' ', '\n', '"', '$', '=']));
        }
    }
}

/// Conditions, two to three lines: patterns match what a plain matcher matches, and versions have an order.
pub fn recipe_conditions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.split('\n');
    let (a, b, c) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let matched = glob(a, b);
    if a.len() <= 32 && b.len() <= 32 {
        assert_eq!(matched, plain_glob(a, b), "{a:?} {b:?}");
    }
    let ab = version::compare(a, b);
    assert_eq!(ab, version::compare(b, a).reverse(), "{a:?} {b:?}");
    assert_eq!(version::compare(a, a), Ordering::Equal, "{a:?}");
    if ab != Ordering::Greater && version::compare(b, c) != Ordering::Greater {
        assert_ne!(
            version::compare(a, c),
            Ordering::Greater,
            "{a:?} {b:?} {c:?}"
        );
    }
    version::satisfies(a, b);
}

/// Matches by trying every length of every `*`, each once.
fn plain_glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let elements = elements(&pattern);
    // Where in the pattern the rest of the text may begin.
    let mut starts = vec![false; elements.len() + 1];
    starts[0] = true;
    let skip_stars = |starts: &mut Vec<bool>| {
        for place in 0..elements.len() {
            if starts[place] && elements[place] == Element::AnyText {
                starts[place + 1] = true;
            }
        }
    };
    for character in text.chars() {
        skip_stars(&mut starts);
        let mut next = vec![false; starts.len()];
        for place in (0..elements.len()).filter(|place| starts[*place]) {
            next[place] |= elements[place] == Element::AnyText;
            next[place + 1] |= elements[place].matches(character);
        }
        starts = next;
    }
    skip_stars(&mut starts);
    starts[elements.len()]
}

/// A directory of files, each from a line `@@ NAME` to the next, of which `arguments` is the command line, an option as
/// `SETTING=VALUE` a line: whatever it says, nothing outside is named on its word.
pub fn recipe_files(bytes: &[u8]) {
    let Ok(directory) = tempfile::tempdir() else {
        return;
    };
    let root = fs_err::canonicalize(directory.path()).expect("it was made");
    write_files(&root, bytes);
    let arguments = fs_err::read_to_string(root.join("arguments")).unwrap_or_default();
    let invocation = Invocation {
        directory: root.clone(),
        overrides: arguments.lines().take(12).filter_map(given).collect(),
        environment: BTreeMap::new(),
        host: HostFacts {
            distribution: Some(Distribution::Debian),
            release: Some("trixie".to_owned()),
            architecture: Architecture::X86_64,
            systemd_version: None,
        },
        grants: super::Grants::default(),
        programs: &crate::build::SandboxedPrograms::STRICT,
    };
    let project = match load(&invocation) {
        Ok(project) => project,
        Err(errors) => {
            assert_ne!(errors.to_string(), "");
            return;
        }
    };
    for recipe in &project.recipes {
        let name = recipe.output_file_name();
        assert!(!name.is_empty() && !name.contains('/') && !name.starts_with(['.', '-']));
        assert!(recipe.output_directory.starts_with(&root));
        let sources = recipe.extra_trees.iter().map(|tree| &tree.source);
        for path in recipe.base_trees.iter().chain(sources) {
            assert!(path.starts_with(&root), "{path:?}");
        }
        for package in &recipe.packages {
            assert!(!package.starts_with('-'), "{package:?}");
        }
    }
}

/// Returns what a line says as an option, if it is one that names nothing outside: what a person types may do that.
fn given(line: &str) -> Option<Override> {
    let (setting, value) = line.split_once('=')?;
    let is_inside = !value.contains("..") && !value.contains(['/', '~', '$']);
    is_inside.then(|| Override {
        setting: setting.trim().to_owned(),
        value: value.to_owned(),
        option: format!("--{}", setting.to_lowercase()),
    })
}

/// Writes at most a dozen files; directories are made as their names say.
fn write_files(root: &Path, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = format!("mkosi.conf\n{text}");
    for file in text.split("@@ ").take(12) {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        let is_plain = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !matches!(part, "" | "." | "..") && part.len() < 32 && part.bytes().all(plain)
        };
        if name.split('/').count() > 6 || !name.split('/').all(is_plain) {
            continue;
        }
        let path = root.join(name);
        let parent = path.parent().expect("it has a name below the root");
        // A name may be a directory for another.
        let _ = fs_err::create_dir_all(parent).and_then(|()| fs_err::write(&path, content));
    }
}
