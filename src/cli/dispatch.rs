//! From the arguments to a verb, and from its end to the exit status.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use overcoat_sandbox::probe::{self, Feature, FeatureStatus, SINGLE_ID};

use super::args::{self, Invoked, Verb};
use super::doctor::{self, Check, Host, Places, Report};
use super::failure::{Failure, warn};
use super::output::{self, Style};
use super::{
    build, cat_config, check, clean, completion, diff, documentation, exit, extract, genkey, host,
    inspect, origins, render, sandbox, sign, summary, verify,
};
use crate::build::{SandboxedPrograms, describe_weaker, missing_protection, strictness};
use crate::recipe::{self, Grants, Invocation, Origin, Project, RecipeErrors};
use crate::store::Trust;

/// Runs the program and returns its exit status.
pub fn main() -> ExitCode {
    let style = Style::of_stderr();
    // Before the settings: these verbs have none of them, and one is started often.
    match std::env::args_os().nth(1) {
        Some(verb) if verb == "sandbox" => return sandbox::main(style),
        Some(verb) if verb == "sign" => return sign::main(style),
        Some(verb) if verb == "inspect" => return inspect::main(style),
        Some(verb) if verb == "verify" => return verify::main(style),
        Some(verb) if verb == "extract" => return extract::main(style),
        Some(verb) if verb == "diff" => return diff::main(style),
        Some(verb) if verb == "check" => return check::main(style),
        _ => {}
    }
    let done = args::parse(std::env::args_os())
        .map_err(|error| Failure::new(error, exit::BAD_RECIPE))
        .and_then(|invoked| run(&with_environment(invoked)?, style));
    ExitCode::from(match done {
        Ok(status) => status,
        Err(failure) => failure.report(style),
    })
}

/// Adds what the environment asks for.
fn with_environment(mut invoked: Invoked) -> Result<Invoked, Failure> {
    let asked = host::is_untrusted().map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
    if asked {
        invoked.trust = Trust::Untrusted;
    }
    Ok(invoked)
}

fn run(invoked: &Invoked, style: Style) -> Result<u8, Failure> {
    for option in &invoked.idle_options {
        let text = format!("`--{option}` has no effect");
        output::people(format_args!("{}", render::warning("", &text, style)));
    }
    match invoked.verb {
        Verb::Help => output::data(format_args!("{}", args::command().render_help())),
        Verb::Version => output::data(format_args!("overcoat {}\n", env!("CARGO_PKG_VERSION"))),
        Verb::Genkey => genkey::genkey(&directory(invoked), invoked)?,
        Verb::Sandbox => return Err(not_first("sandbox")),
        Verb::Sign => return Err(not_first("sign")),
        Verb::Inspect => return Err(not_first("inspect")),
        Verb::Verify => return Err(not_first("verify")),
        Verb::Extract => return Err(not_first("extract")),
        Verb::Diff => return Err(not_first("diff")),
        Verb::Check => return Err(not_first("check")),
        Verb::Doctor => return Ok(doctor(invoked, style)),
        Verb::Summary => {
            let grants = grants(invoked)?;
            let project = load(invoked, &grants)?;
            // Whoever only looks may see what no build does.
            warn(project.warnings.iter().chain(&project.refusals), style);
            if invoked.origin && invoked.json {
                output::json(format_args!("{}", origins::json(&project)));
            } else if invoked.origin {
                let text = render::inert_lines(&origins::text(&project), style);
                output::data(format_args!("{text}"));
            } else if invoked.json {
                output::json(format_args!("{}", summary::json(&project)));
            } else {
                let weaker = describe_weaker(&grants, &missing_protection(&grants));
                let text = summary::text(&project, weaker.as_deref());
                let text = render::inert_lines(&text, style);
                output::data(format_args!("{text}"));
            }
            // The process ends here, and takes a tenth of its time to free so many values one by one.
            std::mem::forget(project);
        }
        Verb::CatConfig => {
            let project = load(invoked, &grants(invoked)?)?;
            warn(project.warnings.iter().chain(&project.refusals), style);
            let text = cat_config::text(&project)?;
            output::data(format_args!("{}", render::inert_lines(&text, style)));
        }
        Verb::Documentation => {
            let text = documentation::text(&invoked.arguments)
                .map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
            output::data(format_args!("{text}"));
        }
        Verb::Completion => {
            let text = completion::script(&invoked.arguments)
                .map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
            output::data(format_args!("{text}"));
        }
        Verb::Clean => {
            let grants = grants(invoked)?;
            let project = buildable(invoked, &grants, style)?;
            let has_scripts = { project.recipes.iter() }.any(|it| !it.scripts.clean.is_empty());
            if has_scripts {
                build::build(build::Task::Clean, &project, &grants, invoked, style)?;
            }
            clean::clean(&project, invoked, style)?;
        }
        Verb::Build | Verb::Explain => {
            let task = match invoked.verb {
                Verb::Explain => build::Task::Explain,
                _ => build::Task::Build,
            };
            let grants = grants(invoked)?;
            let project = buildable(invoked, &grants, style)?;
            for note in &project.notes {
                output::people(format_args!("{}", render::note(note, style)));
            }
            build::build(task, &project, &grants, invoked, style)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn not_first(verb: &'static str) -> Failure {
    let error = args::ArgumentError::VerbNotFirst { verb };
    Failure::new(error, exit::BAD_RECIPE)
}

fn directory(invoked: &Invoked) -> PathBuf {
    if invoked.directory.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        invoked.directory.clone()
    }
}

/// Reads what the person grants; paths there start where the program was started.
fn grants(invoked: &Invoked) -> Result<Grants, Failure> {
    let typed = invoked.grants.iter().map(|list| {
        let option = "--allow".to_owned();
        (list.as_str(), Origin::CommandLine { option })
    });
    let inherited = host::grants();
    let inherited = inherited.as_deref().map(|list| {
        let variable = host::GRANTS.to_owned();
        (list, Origin::Environment { variable })
    });
    let directory = std::env::current_dir().unwrap_or_default();
    Ok(Grants::read(
        inherited.into_iter().chain(typed),
        &directory,
    )?)
}

/// Reads a recipe to look at it.
fn load(invoked: &Invoked, grants: &Grants) -> Result<Project, Failure> {
    let project = read(invoked, grants);
    Ok(match invoked.strict {
        true => project.map_err(RecipeErrors::strict)?.strict()?,
        false => project?,
    })
}

/// Reads a recipe whose images can all be built, and tells what it should not have.
fn buildable(invoked: &Invoked, grants: &Grants, style: Style) -> Result<Project, Failure> {
    let project = read(invoked, grants).and_then(Project::buildable);
    let project = match invoked.strict {
        true => project.map_err(RecipeErrors::strict)?.strict()?,
        false => project?,
    };
    warn(&project.warnings, style);
    Ok(project)
}

fn read(invoked: &Invoked, grants: &Grants) -> Result<Project, RecipeErrors> {
    recipe::load(&Invocation {
        directory: invoked.directory.clone(),
        overrides: invoked.overrides.clone(),
        environment: host::environment(),
        host: host::facts(),
        grants: grants.clone(),
        programs: &SandboxedPrograms {
            strictness: strictness(grants),
        },
    })
}

/// Tells what the host can do, for the recipe in the directory if there is one.
fn doctor(invoked: &Invoked, style: Style) -> u8 {
    let project = grants(invoked)
        .ok()
        .and_then(|grants| read(invoked, &grants).ok());
    let main = project.as_ref().and_then(|project| project.recipes.last());
    let cache_directory = main
        .and_then(|main| main.cache_directory.clone())
        .or_else(host::cache_directory);
    let places = Places {
        cache_directory: existing(&cache_directory.unwrap_or_else(std::env::temp_dir)),
        output_directory: existing(
            &main.map_or_else(|| directory(invoked), |main| main.output_directory.clone()),
        ),
    };
    let mut checks = doctor::checks(&Host::gather(&places));
    let features = probe::features(&places.cache_directory);
    let single = features.iter().find(|feature| feature.name == SINGLE_ID);
    let mappings = single
        .map(|feature| check("single", feature.clone()))
        .into_iter()
        .chain([check("range", probe::id_range())])
        .collect();
    checks.extend(
        features
            .into_iter()
            .map(|feature| check(feature.name, feature)),
    );
    let report = Report::new(checks).with_id_mappings(mappings);
    if invoked.json {
        output::json(format_args!("{}", report.json()));
    } else {
        output::data(format_args!("{}", report.text(style)));
    }
    report.exit_code()
}

fn check(name: &str, feature: Feature) -> Check {
    match feature.status {
        FeatureStatus::Available(detail) => Check::available(name, detail),
        FeatureStatus::Missing {
            cause,
            evidence,
            remedy,
        } => Check::missing(name, cause, evidence, remedy),
    }
}

/// Returns the directory that is there of `path` and those above it.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    absolute
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .into()
}
