//! Completions of shells: verbs, options, and the values of settings that have few.

use clap::Arg;

use super::args::{self, ArgumentError, VERBS};
use crate::recipe::{Kind, settings};

/// Returns the script for the shell that the arguments name.
pub(super) fn script(arguments: &[String]) -> Result<String, ArgumentError> {
    let options = options();
    match arguments.first().map(String::as_str) {
        Some("bash") => Ok(bash(&options)),
        Some("fish") => Ok(fish(&options)),
        Some("zsh") => Ok(zsh(&options)),
        Some(name) => Err(ArgumentError::UnknownShell {
            name: name.to_owned(),
        }),
        None => Err(ArgumentError::MissingArgument {
            verb: "completion",
            missing: "for which shell",
        }),
    }
}

/// An option as shells know it.
#[derive(Debug)]
struct Completed {
    long: Option<String>,
    short: Option<char>,
    help: String,
    takes_value: bool,
    /// What the value can be, if that is few.
    words: Vec<String>,
}

impl Completed {
    fn new(arg: &Arg) -> Self {
        let setting = settings::named(arg.get_id().as_str());
        let takes_value = arg.get_action().takes_values();
        let words: Vec<String> = match setting.map(|setting| setting.kind) {
            Some(Kind::Boolean) if takes_value => vec!["yes".to_owned(), "no".to_owned()],
            Some(kind) if takes_value => kind.words().iter().map(|&word| word.into()).collect(),
            _ => {
                let values = arg.get_possible_values();
                let names = values.iter().map(|value| value.get_name().to_owned());
                names.filter(|_| takes_value).collect()
            }
        };
        Self {
            long: arg.get_long().map(str::to_owned),
            short: arg.get_short(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            takes_value,
            words,
        }
    }

    /// Returns the option as it is typed, in each way.
    fn names(&self) -> Vec<String> {
        let long = self.long.iter().map(|long| format!("--{long}"));
        long.chain(self.short.map(|short| format!("-{short}")))
            .collect()
    }
}

fn options() -> Vec<Completed> {
    let command = args::command();
    let arguments = command.get_arguments();
    arguments
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
        .map(Completed::new)
        .collect()
}

fn verbs() -> Vec<&'static str> {
    VERBS.iter().map(|(name, ..)| *name).collect()
}

fn bash(options: &[Completed]) -> String {
    let mut values = String::new();
    for option in options.iter().filter(|option| option.takes_value) {
        let reply = match option.words.is_empty() {
            true => "-f".to_owned(),
            false => format!("-W {}", quoted(&option.words.join(" "))),
        };
        let names = option.names().join("|");
        values.push_str(&format!("        {names}) set -- {reply} ;;\n"));
    }
    let names: Vec<String> = options.iter().flat_map(Completed::names).collect();
    format!(
        r#"# Completions of overcoat for bash.
_overcoat() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # Bash takes the equals sign for a word of its own.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    set --
    case $before in
{values}        completion) set -- -W 'bash fish zsh' ;;
        documentation) set -- -W {settings} ;;
        *)
            case $word in
                -*) set -- -W {names} ;;
                *) set -- -W {verbs} ;;
            esac ;;
    esac
    mapfile -t COMPREPLY < <(compgen "$@" -- "$word")
}}
complete -o default -F _overcoat overcoat
"#,
        settings = quoted(&setting_names().join(" ")),
        names = quoted(&names.join(" ")),
        verbs = quoted(&verbs().join(" ")),
    )
}

fn fish(options: &[Completed]) -> String {
    let mut script = "# Completions of overcoat for fish.\n".to_owned();
    for (name, _, help) in VERBS {
        let help = quoted(help);
        script.push_str(&format!(
            "complete -c overcoat -n __fish_use_subcommand -a {name} -d {help}\n"
        ));
    }
    for (verb, words) in [
        ("completion", "bash fish zsh".to_owned()),
        ("documentation", setting_names().join(" ")),
    ] {
        let words = quoted(&words);
        script.push_str(&format!(
            "complete -c overcoat -n '__fish_seen_subcommand_from {verb}' -x -a {words}\n"
        ));
    }
    for option in options {
        script.push_str("complete -c overcoat");
        if let Some(long) = &option.long {
            script.push_str(&format!(" -l {long}"));
        }
        if let Some(short) = option.short {
            script.push_str(&format!(" -s {short}"));
        }
        match option.words.is_empty() {
            true if option.takes_value => script.push_str(" -r"),
            true => {}
            false => script.push_str(&format!(" -x -a {}", quoted(&option.words.join(" ")))),
        }
        script.push_str(&format!(" -d {}\n", quoted(&option.help)));
    }
    script
}

fn zsh(options: &[Completed]) -> String {
    let mut script = "#compdef overcoat\n# Completions of overcoat for zsh.\n_arguments".to_owned();
    for option in options {
        let value = match option.words.is_empty() {
            true if option.takes_value => ":value:_files".to_owned(),
            true => String::new(),
            false => format!(":value:({})", option.words.join(" ")),
        };
        for name in option.names() {
            // The value of a long option may follow an equals sign.
            let mark = match option.takes_value {
                true if name.starts_with("--") => "=",
                true => "+",
                false => "",
            };
            let help = escaped(&option.help);
            script.push_str(" \\\n  ");
            script.push_str(&quoted(&format!("*{name}{mark}[{help}]{value}")));
        }
    }
    let verbs = quoted(&format!("1:verb:({})", verbs().join(" ")));
    script.push_str(&format!(" \\\n  {verbs} \\\n  '*:file:_files'\n"));
    script
}

fn setting_names() -> Vec<&'static str> {
    settings::all().map(|setting| setting.name).collect()
}

/// Quotes text for all three shells.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Takes their meaning from characters that end a description.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '[' | ']' | ':' | '\\') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}
