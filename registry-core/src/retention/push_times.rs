//! Original push times of what was put back (schema `registry-retention/push-times/1`): a server counts it as pushed when
//! it was put back, which would change its rank.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::undo::{UndoState, Undone};
use crate::oci::Digest;

/// The name of this shape.
pub const SCHEMA: &str = "registry-retention/push-times/1";

/// Push times that the server does not know any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushTimes {
    /// [`SCHEMA`].
    pub schema: String,
    /// One for each row.
    pub times: Vec<PushTime>,
}

/// When one row was pushed at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushTime {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// What it named; a row that names something else now was pushed since.
    pub digest: Digest,
    /// When.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub created_at: Timestamp,
}

impl PushTimes {
    /// The times of what an undo put back.
    pub fn of(undone: &[Undone]) -> Self {
        let restored = undone.iter().filter(|row| row.state == UndoState::Restored);
        let time = |row: &Undone| {
            let (package, version) = (row.package.clone(), row.version.clone());
            Some(PushTime { package, version, digest: row.digest, created_at: row.created_at? })
        };
        Self { schema: SCHEMA.into(), times: restored.filter_map(time).collect() }
    }

    /// Gives rows their original times back. A time later than the server's is not believed.
    pub fn restore(&self, record: &mut Record) {
        for time in &self.times {
            let packages = record.packages.iter_mut().filter(|package| package.name == time.package);
            for row in packages.flat_map(|package| &mut package.versions) {
                let is_it = row.version == time.version && row.digest == Some(time.digest);
                if is_it && row.created_at.is_some_and(|now| now > time.created_at) {
                    row.created_at = Some(time.created_at);
                }
            }
        }
    }
}
