//! What a recipe says of an extension-release file.

use super::*;

fn extension(format: &str, text: &str) -> ExtensionSettings {
    let text = format!("[Output]\nFormat={format}\n[Overcoat]\n{text}");
    let loaded = Fixture::new(&[("mkosi.conf", &text)]).load();
    loaded.recipe("main").extension.clone()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn settings_become_keys_each_value_once() {
    let text = "ExtensionId=_any\nExtensionLevel=1.0\nExtensionScope=system,initrd\nExtensionScope=system\n\
                RestartUnits=a.service b.service\nRestartUnits=a.service\n\
                ReloadOrRestartUnits=b.service c.service\n";
    let expected = ExtensionSettings {
        id: Some("_any".to_owned()),
        level: Some("1.0".to_owned()),
        scope: words(&["system", "initrd"]),
        reload_manager: Some(true),
        restart_units: words(&["a.service", "b.service"]),
        reload_or_restart_units: words(&["c.service"]),
    };
    assert_eq!(extension("sysext", text), expected);
    assert_eq!(extension("confext", text), expected);
    // They are about extensions alone.
    assert_eq!(extension("directory", text), ExtensionSettings::default());
}

#[test]
fn the_manager_is_reloaded_for_units_and_on_demand() {
    for (text, expected) in [
        ("", None),
        ("ReloadManager=no\n", Some(false)),
        ("ReloadManager=yes\n", Some(true)),
        ("RestartUnits=a.service\n", Some(true)),
        ("ReloadOrRestartUnits=a.service\n", Some(true)),
    ] {
        assert_eq!(extension("sysext", text).reload_manager, expected, "{text}");
    }
}

#[test]
fn values_that_systemd_would_not_take_are_told_at_their_lines() {
    for (text, message) in [
        (
            "ExtensionId=Debian 13\n",
            "4: `ExtensionId=` is `Debian 13`, expected at most 255 lower-case letters, digits and `.`, `_` or `-`",
        ),
        (
            "RestartUnits=app\n",
            "4: `RestartUnits=` is `app`, expected the name of a unit, such as `app.service` or `app@1.socket`",
        ),
        (
            "RestartUnits=app.service\nReloadManager=no\n",
            "5: `ReloadManager=` is `no`, expected `yes`, because units that are restarted are read first",
        ),
    ] {
        let text = format!("[Output]\nFormat=sysext\n[Overcoat]\n{text}");
        let errors = Fixture::new(&[("mkosi.conf", &text)]).errors();
        let expected = format!("mkosi.conf:{message}");
        assert_eq!(errors, [expected]);
    }
}

#[test]
fn labels_that_an_output_cannot_hold_are_refused_when_asked_for() {
    for format in ["directory", "cpio"] {
        let text = format!("[Output]\nFormat={format}\n[Content]\nSELinuxRelabel=yes\n");
        let expected = format!(
            "mkosi.conf:4: `SELinuxRelabel=` is `yes`, expected `auto` or `no`, because `Format={format}` holds no \
             labels"
        );
        assert_eq!(Fixture::new(&[("mkosi.conf", &text)]).errors(), [expected]);
    }
    let loaded = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=directory\n")]).load();
    assert_eq!(loaded.recipe("main").labels.wanted, Feature::Disabled);
    let text = "[Output]\nFormat=sysext\n[Content]\nSELinuxRelabel=yes\n";
    let loaded = Fixture::new(&[("mkosi.conf", text)]).load();
    assert_eq!(loaded.recipe("main").labels.wanted, Feature::Enabled);
}
