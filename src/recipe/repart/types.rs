//! The types of partitions by the names that `Type=` takes.

use uuid::{Uuid, uuid};

use crate::ddi::{Designator, PartitionArchitecture};

/// What a partition is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartitionType {
    pub uuid: Uuid,
    /// The name, or the identifier itself when it has none.
    pub name: String,
    pub designator: Option<Designator>,
    /// Where it is mounted, each below the root of a system.
    pub mount_points: &'static [&'static str],
    /// What systemd reads of its attributes.
    pub attributes: Attributes,
}

/// Which attributes mean something for a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attributes {
    None,
    NoAuto,
    NoAutoReadOnly,
    /// And growing the file system.
    All,
}

struct Row {
    name: &'static str,
    uuid: Uuid,
    mount_points: &'static [&'static str],
    attributes: Attributes,
}

/// The types that are the same on every architecture: Discoverable Partitions Specification, section "The GUIDs".
const COMMON: &[Row] = &[
    Row {
        name: "esp",
        uuid: uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        mount_points: &["efi", "boot"],
        attributes: Attributes::None,
    },
    Row {
        name: "xbootldr",
        uuid: uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"),
        mount_points: &["boot"],
        attributes: Attributes::All,
    },
    Row {
        name: "swap",
        uuid: uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
        mount_points: &[],
        attributes: Attributes::NoAuto,
    },
    Row {
        name: "home",
        uuid: uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"),
        mount_points: &["home"],
        attributes: Attributes::All,
    },
    Row {
        name: "srv",
        uuid: uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"),
        mount_points: &["srv"],
        attributes: Attributes::All,
    },
    Row {
        name: "var",
        uuid: uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"),
        mount_points: &["var"],
        attributes: Attributes::All,
    },
    Row {
        name: "tmp",
        uuid: uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1"),
        mount_points: &["var/tmp"],
        attributes: Attributes::All,
    },
    Row {
        name: "linux-generic",
        uuid: uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
        mount_points: &[],
        attributes: Attributes::None,
    },
    Row {
        name: "user-home",
        uuid: uuid!("773f91ef-66d4-49b5-bd83-d683bf40ad16"),
        mount_points: &[],
        attributes: Attributes::None,
    },
];

impl PartitionType {
    /// Returns the type that `text` names: a name, with or without an architecture, or an identifier.
    ///
    /// A name without an architecture is that of `architecture`.
    pub(super) fn named(text: &str, architecture: Option<PartitionArchitecture>) -> Option<Self> {
        if let Some(row) = COMMON.iter().find(|row| row.name == text) {
            return Some(Self::of_row(row));
        }
        if let Some(designator) = Designator::ALL
            .into_iter()
            .find(|designator| designator.name() == text)
        {
            return architecture.map(|architecture| Self::of(designator, architecture));
        }
        let with_architecture = PartitionArchitecture::all().find_map(|architecture| {
            let is = |designator: &Designator| designator.partition_name(architecture) == text;
            Some(Self::of(
                Designator::ALL.into_iter().find(is)?,
                architecture,
            ))
        });
        with_architecture.or_else(|| Uuid::try_parse(text).ok().map(Self::of_uuid))
    }

    /// Returns the type of this identifier, known or not.
    fn of_uuid(uuid: Uuid) -> Self {
        if let Some((designator, architecture)) = PartitionArchitecture::of_type(uuid) {
            return Self::of(designator, architecture);
        }
        match COMMON.iter().find(|row| row.uuid == uuid) {
            Some(row) => Self::of_row(row),
            None => Self {
                uuid,
                name: uuid.to_string(),
                designator: None,
                mount_points: &[],
                attributes: Attributes::None,
            },
        }
    }

    fn of_row(row: &Row) -> Self {
        Self {
            uuid: row.uuid,
            name: row.name.to_owned(),
            designator: None,
            mount_points: row.mount_points,
            attributes: row.attributes,
        }
    }

    fn of(designator: Designator, architecture: PartitionArchitecture) -> Self {
        let (mount_points, attributes): (&[&str], _) = match designator {
            Designator::Root => (&[], Attributes::All),
            Designator::Usr => (&["usr"], Attributes::All),
            _ => (&[], Attributes::NoAutoReadOnly),
        };
        Self {
            uuid: architecture.partition_type(designator),
            name: designator.partition_name(architecture),
            designator: Some(designator),
            mount_points,
            attributes,
        }
    }

    /// Returns every name, for advice.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let common = COMMON.iter().map(|row| row.name);
        common.chain(Designator::ALL.map(Designator::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_with_or_without_an_architecture_and_by_identifier() {
        let architecture = PartitionArchitecture::named("x86-64").ok();
        for (text, expected) in [
            ("root", Some("root-x86-64")),
            ("usr-verity-sig", Some("usr-x86-64-verity-sig")),
            ("root-arm64-verity", Some("root-arm64-verity")),
            ("linux-generic", Some("linux-generic")),
            ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", Some("esp")),
            ("8484680c952148c69c11b0720656f69e", Some("usr-x86-64")),
            (
                "11111111-2222-3333-4444-555555555555",
                Some("11111111-2222-3333-4444-555555555555"),
            ),
            ("rooot", None),
            ("", None),
        ] {
            let found = PartitionType::named(text, architecture).map(|found| found.name);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(PartitionType::named("root", None), None);
    }
}
