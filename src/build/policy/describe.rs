//! The table as text, for people who audit it.

use std::fmt::Write as _;

use super::table::COMMON_VARIABLES;
use super::{Access, Column, Ids, Image, Network, PackageManager, Policy, Sources, Sync, Variable};

/// What a row holds in one column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cell {
    pub column: Column,
    /// What the step has, in words.
    pub holds: String,
    /// Whether it is the least that the column can hold.
    pub is_least: bool,
    /// Why it is more than that.
    pub reason: Option<&'static str>,
}

impl Column {
    /// Every column, in the order in which they are printed.
    pub const ALL: [Self; 14] = [
        Self::Network,
        Self::PackageManager,
        Self::Lists,
        Self::Archives,
        Self::Image,
        Self::Sources,
        Self::Build,
        Self::Destination,
        Self::Handed,
        Self::Output,
        Self::Ids,
        Self::Sync,
        Self::Variables,
        Self::Capabilities,
    ];

    /// Returns what the column is about.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::PackageManager => "package manager",
            Self::Lists => "repository metadata",
            Self::Archives => "packages",
            Self::Image => "image",
            Self::Sources => "sources",
            Self::Build => "build directory",
            Self::Destination => "destination directory",
            Self::Handed => "what is handed on",
            Self::Output => "outputs",
            Self::Ids => "ids",
            Self::Sync => "syncing",
            Self::Variables => "variables",
            Self::Capabilities => "capabilities",
        }
    }
}

impl Policy {
    /// Returns the row, cell by cell.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        Column::ALL.into_iter().map(|column| {
            let (holds, is_least) = self.holds(column);
            let reason = self.reasons.iter().find(|(of, _)| *of == column);
            Cell {
                column,
                holds,
                is_least,
                reason: reason.map(|(_, reason)| *reason),
            }
        })
    }

    /// Returns the row as text.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.purpose);
        for cell in self.cells() {
            let _ = write!(text, "    {:<22} {}", cell.column.name(), cell.holds);
            if let Some(reason) = cell.reason {
                let _ = write!(text, "; {reason}");
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "    {:<22} {} s",
            "time",
            self.limits.wall_clock.as_secs()
        );
        text
    }

    /// Returns what the row holds in a column, and whether that is the least.
    fn holds(&self, column: Column) -> (String, bool) {
        let (text, is_least) = match column {
            Column::Network => match self.network {
                Network::None => ("none", true),
                Network::Mirrors => ("the mirrors", false),
            },
            Column::PackageManager => match self.package_manager {
                PackageManager::Absent => ("not configured", true),
                PackageManager::Configured => ("configured", false),
            },
            Column::Lists => access(self.lists),
            Column::Archives => access(self.archives),
            Column::Image => match self.image {
                Image::Absent => ("absent", true),
                Image::NoPackages => ("absent, but for an empty list of packages", false),
                Image::ReadOnly => ("read-only", false),
                Image::New => ("a new tree, writable", false),
                Image::Overlay => ("read-only, below changes of the step's own", false),
            },
            Column::Sources => match self.sources {
                Sources::Absent => ("absent", true),
                Sources::Read => ("read-only", false),
                Sources::Overlay => ("read-only, below changes that are thrown away", false),
            },
            Column::Build => access(self.build),
            Column::Destination => access(self.destination),
            Column::Handed => access(self.handed),
            Column::Output => access(self.output),
            Column::Ids => match self.ids {
                Ids::One => ("0 alone", true),
                Ids::Record => ("0; others are recorded", false),
                Ids::RecordAndAnswer => ("0; others are recorded, and programs are told so", false),
            },
            Column::Sync => match self.sync {
                Sync::Kept => ("as asked for", true),
                Sync::Suppressed => ("without effect", false),
            },
            Column::Variables => return self.variables(),
            Column::Capabilities => return self.capabilities(),
        };
        (text.to_owned(), is_least)
    }

    fn variables(&self) -> (String, bool) {
        let own: Vec<&Variable> = self.variables.iter().copied().flatten().collect();
        let names = COMMON_VARIABLES.iter().chain(own.iter().copied());
        let names: Vec<String> = names
            .map(|variable| match variable {
                Variable::Fixed(name, _) => (*name).to_owned(),
                Variable::Caller(name) => format!("{name} (the caller's)"),
                Variable::Build(name) => format!("{name} (the build's)"),
            })
            .collect();
        (names.join(" "), own.is_empty())
    }

    fn capabilities(&self) -> (String, bool) {
        if self.capabilities.is_empty() {
            return ("none".to_owned(), true);
        }
        let names: Vec<String> = self
            .capabilities
            .iter()
            .map(|capability| format!("CAP_{capability}"))
            .collect();
        (names.join(" "), false)
    }
}

fn access(access: Access) -> (&'static str, bool) {
    match access {
        Access::Absent => ("absent", true),
        Access::Read => ("read-only", false),
        Access::Write => ("writable", false),
    }
}
