//! Lists of repositories that a recipe brings along (sources.list(5)), read whole and written anew.
//!
//! Unlike the host's lists they are used as they are, so that nothing in them may be passed over: a field or an option
//! that is not known is refused, and so is an address that is not HTTP's. Some of apt's transports run programs, and
//! others read files.

use std::fmt;

/// What is wrong with a file of a recipe, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for Problem {}

/// The two forms of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// `*.list`
    Lines,
    /// `*.sources`
    Deb822,
}

/// Repositories of a recipe that have the same options.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listed {
    pub uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// The files of keys. Empty for what else there is of keys.
    pub keyrings: Vec<String>,
    /// A block of keys as it stands in the list, or the fingerprints of keys.
    signed_by: Option<String>,
    options: Vec<(&'static str, String)>,
}

/// The fields that are passed on, and the options that lines have for them.
const OPTIONS: [(&str, &str); 15] = [
    ("Architectures", "arch"),
    ("Languages", "lang"),
    ("Targets", "target"),
    ("PDiffs", "pdiffs"),
    ("By-Hash", "by-hash"),
    ("Allow-Insecure", "allow-insecure"),
    ("Allow-Weak", "allow-weak"),
    ("Allow-Downgrade-To-Insecure", "allow-downgrade-to-insecure"),
    ("Trusted", "trusted"),
    ("Check-Valid-Until", "check-valid-until"),
    ("Valid-Until-Min", "valid-until-min"),
    ("Valid-Until-Max", "valid-until-max"),
    ("Check-Date", "check-date"),
    ("Date-Max-Future", "date-max-future"),
    ("Snapshot", "snapshot"),
];

/// How many repositories one paragraph may stand for, which come from multiplying its fields.
const MOST_REPOSITORIES: usize = 1000;

/// Reads a list of a recipe.
///
/// # Errors
/// The first [`Problem`].
pub fn parse_listed(text: &str, form: Form) -> Result<Vec<Listed>, Problem> {
    match form {
        Form::Lines => lines(text),
        Form::Deb822 => paragraphs(text),
    }
}

impl Listed {
    /// Returns the paragraph for apt; `keyring` tells where a file of keys is.
    pub fn render(&self, keyring: impl Fn(&str) -> String) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {}\n",
            self.uris.join(" "),
            self.suites.join(" ")
        );
        if !self.components.is_empty() {
            text += &format!("Components: {}\n", self.components.join(" "));
        }
        if !self.keyrings.is_empty() {
            let keyrings: Vec<_> = self.keyrings.iter().map(|path| keyring(path)).collect();
            text += &format!("Signed-By: {}\n", keyrings.join(" "));
        }
        if let Some(signed_by) = &self.signed_by {
            text += &format!("Signed-By:{signed_by}\n");
        }
        for (name, value) in &self.options {
            text += &format!("{name}: {value}\n");
        }
        text + "\n"
    }

    fn set(&mut self, name: &str, value: &str, is_line: bool) -> Result<(), String> {
        if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(format!("`{name}` has a value that is not printable ASCII"));
        }
        if name.eq_ignore_ascii_case("signed-by") {
            return self.sign(value);
        }
        let known = OPTIONS.iter().find(|(field, option)| {
            let expected = if is_line { option } else { field };
            expected.eq_ignore_ascii_case(name)
        });
        let (field, _) = known.ok_or_else(|| format!("`{name}` is not known"))?;
        let value = match is_line {
            true => words(value).collect::<Vec<_>>().join(" "),
            false => value.to_owned(),
        };
        self.options.push((field, value));
        Ok(())
    }

    /// Reads the paths of keyrings, or the fingerprints of keys.
    fn sign(&mut self, value: &str) -> Result<(), String> {
        let words: Vec<&str> = words(value).collect();
        if words.iter().all(|word| word.starts_with('/')) {
            self.keyrings = words.into_iter().map(str::to_owned).collect();
            return Ok(());
        }
        let is_fingerprint = |word: &&str| {
            word.trim_end_matches('!')
                .chars()
                .all(|c| c.is_ascii_hexdigit())
        };
        if words.iter().all(is_fingerprint) {
            self.signed_by = Some(format!(" {}", words.join(" ")));
            return Ok(());
        }
        Err("expected absolute paths or fingerprints of keys in `Signed-By`".to_owned())
    }

    fn checked(self) -> Result<Self, String> {
        if self.uris.is_empty() || self.suites.is_empty() {
            return Err("expected an address and a suite".to_owned());
        }
        if let Some(uri) = self.uris.iter().find(|uri| !is_http(uri)) {
            return Err(format!(
                "expected an `http://` or `https://` address without a password, found `{uri}`"
            ));
        }
        let is_word = |word: &String| word.chars().all(|c| c.is_ascii_graphic());
        let mut words = self.suites.iter().chain(&self.components);
        if let Some(word) = words.find(|word| !is_word(word)) {
            return Err(format!(
                "`{}` is not printable ASCII",
                word.escape_default()
            ));
        }
        let count = self
            .uris
            .len()
            .saturating_mul(self.suites.len())
            .saturating_mul(self.components.len().max(1));
        if count > MOST_REPOSITORIES {
            return Err(format!(
                "it stands for {count} repositories, and at most {MOST_REPOSITORIES} were expected"
            ));
        }
        Ok(self)
    }
}

/// Returns the words between blanks and commas, of which apt makes nothing when there are several.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', ',']).filter(|word| !word.is_empty())
}

fn is_http(uri: &str) -> bool {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| uri.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !host.contains('@') && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

fn lines(text: &str) -> Result<Vec<Listed>, Problem> {
    let mut listed = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let problem = |text: String| Problem {
            line: index + 1,
            text,
        };
        let mut words = line.split_whitespace();
        match words.next() {
            None | Some("deb-src") => continue,
            Some("deb") => {}
            Some(_) => return Err(problem("expected `deb`, an address, a suite".to_owned())),
        }
        let mut rest = line["deb".len()..].trim_start();
        let mut found = Listed::default();
        if let Some(options) = rest.strip_prefix('[') {
            let Some((options, behind)) = options.split_once(']') else {
                return Err(problem("the options have no end".to_owned()));
            };
            for option in options.split_whitespace() {
                let Some((name, value)) = option.split_once('=') else {
                    return Err(problem(format!("the option `{option}` has no value")));
                };
                found.set(name, value, true).map_err(problem)?;
            }
            rest = behind;
        }
        let mut words = rest.split_whitespace().map(str::to_owned);
        found.uris.extend(words.next());
        found.suites.extend(words.next());
        found.components = words.collect();
        listed.push(found.checked().map_err(problem)?);
    }
    Ok(listed)
}

fn paragraphs(text: &str) -> Result<Vec<Listed>, Problem> {
    let mut listed = Vec::new();
    let mut paragraph: Vec<(usize, &str)> = Vec::new();
    let lines = text.lines().enumerate();
    for (index, line) in lines.chain([(usize::MAX - 1, "")]) {
        if line.starts_with('#') {
            continue;
        }
        if !line.trim().is_empty() {
            paragraph.push((index + 1, line));
            continue;
        }
        if !paragraph.is_empty() {
            listed.extend(one_paragraph(&std::mem::take(&mut paragraph))?);
        }
    }
    Ok(listed)
}

/// Reads a paragraph, `None` when it names no repository of packages or is switched off.
fn one_paragraph(lines: &[(usize, &str)]) -> Result<Option<Listed>, Problem> {
    let first = lines.first().map_or(0, |(line, _)| *line);
    let mut fields: Vec<(usize, &str, String)> = Vec::new();
    for (line, text) in lines {
        let problem = |text: String| Problem { line: *line, text };
        if text.starts_with([' ', '\t']) {
            let Some((_, _, value)) = fields.last_mut() else {
                return Err(problem("expected a field".to_owned()));
            };
            value.push('\n');
            value.push_str(text.trim());
            continue;
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(problem("expected a field and a colon".to_owned()));
        };
        fields.push((*line, name.trim(), value.trim().to_owned()));
    }
    let (mut found, mut has_packages) = (Listed::default(), false);
    for (line, name, value) in fields {
        let problem = |text: String| Problem { line, text };
        let words = || value.split_whitespace().map(str::to_owned).collect();
        match name.to_ascii_lowercase().as_str() {
            "types" => has_packages = value.split_whitespace().any(|kind| kind == "deb"),
            "uris" => found.uris = words(),
            "suites" => found.suites = words(),
            "components" => found.components = words(),
            "enabled" if value.eq_ignore_ascii_case("no") => return Ok(None),
            "enabled" | "description" => {}
            "signed-by" if value.contains("-----BEGIN") => {
                found.signed_by = Some(key_block(&value).map_err(problem)?);
            }
            name if name.starts_with("x-") => {}
            _ => {
                let value = value.replace('\n', " ");
                found.set(name, value.trim(), false).map_err(problem)?;
            }
        }
    }
    if !has_packages {
        return Ok(None);
    }
    found
        .checked()
        .map(Some)
        .map_err(|text| Problem { line: first, text })
}

/// Returns a block of keys as lines that continue a field.
fn key_block(value: &str) -> Result<String, String> {
    let mut block = String::new();
    for line in value.lines().skip_while(|line| line.is_empty()) {
        if !line.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err("the block of keys is not printable ASCII".to_owned());
        }
        block.push_str("\n ");
        block.push_str(if line.is_empty() { "." } else { line });
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::{Form, parse_listed};

    fn written(text: &str, form: Form) -> String {
        let listed = parse_listed(text, form).unwrap();
        listed
            .iter()
            .map(|listed| listed.render(|path| format!("/in{path}")))
            .collect()
    }

    #[test]
    fn lines_become_paragraphs_with_their_options() {
        let text = "# words\n\ndeb [arch=amd64,arm64 signed-by=/usr/share/keyrings/k.gpg] https://m/x ./\n\
                    deb-src https://m/x sid main\ndeb http://m/debian sid main contrib # why\n";
        assert_eq!(
            written(text, Form::Lines),
            "Types: deb\nURIs: https://m/x\nSuites: ./\nSigned-By: /in/usr/share/keyrings/k.gpg\n\
             Architectures: amd64 arm64\n\nTypes: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main contrib\n\n"
        );
    }

    #[test]
    fn paragraphs_keep_their_keys() {
        let text = "# words\nTypes: deb deb-src\nURIs: http://m/a\n http://m/b\nSuites: sid\nComponents: main\n\
                    Trusted: yes\nX-Repolib-Name: x\n\nTypes: deb\nEnabled: no\nURIs: file:/x\n\nTypes: deb\n\
                    URIs: http://m\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n";
        let expected = "Types: deb\nURIs: http://m/a http://m/b\nSuites: sid\nComponents: main\nTrusted: yes\n\n\
                        Types: deb\nURIs: http://m\nSuites: sid\nComponents: main\n\
                        Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n\n";
        assert_eq!(written(text, Form::Deb822), expected);
        assert_eq!(written(expected, Form::Deb822), expected);
    }

    #[test]
    fn what_is_not_understood_or_leads_elsewhere_is_refused() {
        let of = |uri: &str| format!("deb {uri} sid main");
        let address = |uri: &str| {
            format!(
                "line 1: expected an `http://` or `https://` address without a password, found `{uri}`"
            )
        };
        for uri in [
            "file:/etc",
            "copy:/etc",
            "cdrom:[x]/",
            "ssh://m/x",
            "rsh://m/x",
            "mirror+file:/x",
            "tor+http://m/",
            "http://me:word@m/",
            "http://",
        ] {
            let problem = parse_listed(&of(uri), Form::Lines).unwrap_err();
            assert_eq!(problem.to_string(), address(uri));
        }
        for (text, form, expected) in [
            (
                "rpm http://m x",
                Form::Lines,
                "line 1: expected `deb`, an address, a suite",
            ),
            (
                "\ndeb [x=y] http://m x",
                Form::Lines,
                "line 2: `x` is not known",
            ),
            (
                "deb [arch+=y] http://m x",
                Form::Lines,
                "line 1: `arch+` is not known",
            ),
            (
                "deb [arch=y http://m x",
                Form::Lines,
                "line 1: the options have no end",
            ),
            (
                "deb [arch] http://m x",
                Form::Lines,
                "line 1: the option `arch` has no value",
            ),
            (
                "deb http://m",
                Form::Lines,
                "line 1: expected an address and a suite",
            ),
            (
                "deb [signed-by=relative.gpg] http://m x",
                Form::Lines,
                "line 1: expected absolute paths or fingerprints of keys in `Signed-By`",
            ),
            (
                "Types: deb\nOther: x\n",
                Form::Deb822,
                "line 2: `Other` is not known",
            ),
            ("\n x\n", Form::Deb822, "line 2: expected a field"),
            (
                "Types\n",
                Form::Deb822,
                "line 1: expected a field and a colon",
            ),
        ] {
            assert_eq!(parse_listed(text, form).unwrap_err().to_string(), expected);
        }
        let many = format!("deb http://m x {}", "c ".repeat(1001));
        assert!(parse_listed(&many, Form::Lines).is_err());
    }
}
