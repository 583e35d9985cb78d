//! What the main image passes on to others, by the scopes of its settings.

use super::image::{Image, Surroundings};
use super::scope::{Layers, Sourced};
use super::settings::{self, Scope, Setting};
use super::values::Value;

/// Returns the layers a subimage starts with.
pub(super) fn to_subimage(main: &Image, around: &Surroundings) -> Layers {
    let mut layers = Layers::default();
    for setting in settings::all() {
        if setting.scope.is_forced() {
            force(&mut layers, setting, main, around);
        } else if setting.scope == Scope::Inherit
            && let Some(values) = main.layers.get(setting)
        {
            layers.inherited.put(setting, values);
        }
    }
    pass_environment(&mut layers, main, around);
    layers
}

/// Returns the layers the tools tree starts with.
pub(super) fn to_tools(main: &Image, around: &Surroundings) -> Layers {
    let mut layers = Layers::default();
    for setting in settings::all() {
        match setting.scope {
            Scope::Multiversal => force(&mut layers, setting, main, around),
            Scope::Tools => hand_over(&mut layers, setting, "ToolsTree", main, around),
            _ => {}
        }
    }
    pass_environment(&mut layers, main, around);
    layers
}

/// Returns the layers the default initrd starts with.
pub(super) fn to_initrd(main: &Image, around: &Surroundings) -> Layers {
    let mut layers = Layers::default();
    for setting in settings::all() {
        match setting.scope {
            Scope::Universal | Scope::Multiversal => force(&mut layers, setting, main, around),
            Scope::Inherit | Scope::InitrdInherit => {
                if let Some(values) = main.layers.get(setting) {
                    layers.inherited.put(setting, values);
                }
            }
            _ => {}
        }
    }
    for setting in settings::all().filter(|setting| setting.scope == Scope::Initrd) {
        hand_over(&mut layers, setting, "Initrd", main, around);
    }
    pass_environment(&mut layers, main, around);
    layers
}

fn force(layers: &mut Layers, setting: &Setting, main: &Image, around: &Surroundings) {
    if let Some(values) = main.get(setting, around) {
        layers.forced.put(setting, values);
    }
}

/// Hands the value of a setting to the one that is called so without `prefix`, in the layer it is in.
fn hand_over(
    layers: &mut Layers,
    setting: &Setting,
    prefix: &str,
    main: &Image,
    around: &Surroundings,
) {
    let own = setting.name.strip_prefix(prefix).and_then(settings::named);
    let (Some(own), Some(values)) = (own, main.get(setting, around)) else {
        return;
    };
    if main.layers.forced.has(setting) {
        layers.forced.put(own, values);
    } else if main.layers.get(setting).is_some() {
        // Over what is inherited, and together with what the image's own files add.
        layers.inherited.clear(own);
        layers.files.put(own, values);
    } else {
        layers.defaulted.put(own, values);
    }
}

/// Passes on the variables that `PassEnvironment=` names.
fn pass_environment(layers: &mut Layers, main: &Image, around: &Surroundings) {
    let passed = main
        .get(settings::known("PassEnvironment"), around)
        .unwrap_or_default();
    let environment = settings::known("Environment");
    let is_passed = |variable: &Sourced| match &variable.value {
        Value::Variable { name, .. } => passed
            .iter()
            .any(|passed| passed.value == Value::Text(name.clone())),
        _ => false,
    };
    let variables = main.get(environment, around).unwrap_or_default();
    let variables: Vec<Sourced> = variables.into_iter().filter(is_passed).collect();
    if !variables.is_empty() {
        layers.inherited.put(environment, variables);
    }
}
