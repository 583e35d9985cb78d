//! What a recipe says of an extension's extension-release file: settings of `[Overcoat]`.

/// The keys of the extension-release file that a recipe sets; what is not set is the base's, or has a default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExtensionSettings {
    /// `ExtensionId=`.
    pub id: Option<String>,
    /// `ExtensionLevel=`.
    pub level: Option<String>,
    /// `ExtensionScope=`, each once; empty when it is not set.
    pub scope: Vec<String>,
    /// `ReloadManager=`, or whether there are units to restart; `None` when neither is there.
    pub reload_manager: Option<bool>,
    /// `RestartUnits=`, each once.
    pub restart_units: Vec<String>,
    /// `ReloadOrRestartUnits=`, each once, and none that is restarted.
    pub reload_or_restart_units: Vec<String>,
}
