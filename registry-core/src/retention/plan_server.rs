//! A server read and planned for in one call: rows and manifests, push times that undos noted, build dates that the guards need,
//! the plan, and the confirmation of what a cache was trusted for. Changes nothing.

use jiff::Timestamp;

use super::cache::Cache;
use super::collect::{CollectOptions, CollectedRecord, collect, collect_with_cache, read_build_dates};
use super::confirm::{AssumedManifests, confirm, find_unconfirmed};
use super::plan::Plan;
use super::planning::{manifests_without_date, plan};
use super::policy::{Policy, RankBy};
use super::push_times::PushTimes;
use super::record::Record;
use super::server::{NoAnswer, Reader};
use super::source::{Source, SourceKind};

/// What a cache is trusted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CachedRows {
    /// What rows named in an earlier run is not asked for again, and confirmed where a plan rests on it.
    #[default]
    Confirmed,
    /// All rows are asked for again.
    AskedAgain,
}

/// How a server is read and planned for.
#[derive(Debug, Clone, Copy)]
pub struct ServerPlanning<'a> {
    /// What is kept.
    pub policy: &'a Policy,
    /// Requests under way at once.
    pub in_flight: usize,
    /// Manifests and rows that earlier runs read.
    pub cache: Option<&'a Cache>,
    /// What the cache is trusted for.
    pub cached_rows: CachedRows,
    /// Push times that undos noted.
    pub push_times: Option<&'a PushTimes>,
    /// When the server is read.
    pub now: Timestamp,
    /// The time that the plan is made for, where that is not `now`.
    pub plan_at: Option<Timestamp>,
    /// The version of the program that plans: only the same version acts on the plan.
    pub tool_version: &'a str,
}

impl<'a> ServerPlanning<'a> {
    /// Plans by a policy at the time `now`, with 8 requests under way at once and nothing from earlier runs.
    pub const fn new(policy: &'a Policy, now: Timestamp, tool_version: &'a str) -> Self {
        Self {
            policy,
            in_flight: 8,
            cache: None,
            cached_rows: CachedRows::Confirmed,
            push_times: None,
            now,
            plan_at: None,
            tool_version,
        }
    }

    fn collecting(&self) -> CollectOptions<'a> {
        CollectOptions {
            in_flight: self.in_flight,
            cache: self.cache,
            built_at: self.policy.rank_by == RankBy::Created,
            only: &self.policy.packages,
        }
    }
}

/// A server as it was read, and the plan made from that.
#[derive(Debug)]
pub struct PlannedRecord {
    /// What was read.
    pub record: Record,
    /// What would be deleted.
    pub plan: Plan,
}

/// Reads a server and plans. The plan is the one that a server gives of which everything is asked for, whatever a cache knows.
///
/// # Errors
/// When its list of packages cannot be read. A package that cannot be read otherwise is skipped by the plan, which says why.
pub async fn plan_server(
    reader: &impl Reader,
    source: Source,
    how: &ServerPlanning<'_>,
) -> Result<PlannedRecord, NoAnswer> {
    let may_assume = source.kind == SourceKind::Forgejo && how.cached_rows == CachedRows::Confirmed;
    let CollectedRecord { mut record, assumed } = if may_assume {
        collect_with_cache(reader, source.clone(), &how.collecting(), how.now).await?
    } else {
        let record = collect(reader, source.clone(), &how.collecting(), how.now).await?;
        CollectedRecord { record, assumed: AssumedManifests::default() }
    };
    let mut plan = plan_record(reader, &mut record, how).await;
    let needed = find_unconfirmed(&record, &assumed, &plan);
    if !confirm(reader, &needed, how.in_flight).await {
        record = collect(reader, source, &how.collecting(), how.now).await?;
        plan = plan_record(reader, &mut record, how).await;
    }
    Ok(PlannedRecord { record, plan })
}

/// Plans from what was read, with noted push times, and with build dates where something goes.
async fn plan_record(reader: &impl Reader, record: &mut Record, how: &ServerPlanning<'_>) -> Plan {
    if let Some(times) = how.push_times {
        times.restore_push_times(record);
    }
    let at = how.plan_at.unwrap_or(how.now);
    let undated = manifests_without_date(&record.source, record.packages(), how.policy, at);
    let dates = CollectOptions { built_at: true, only: &[], ..how.collecting() };
    read_build_dates(reader, record, &undated, &dates).await;
    plan(record.source.clone(), record.packages(), how.policy, at, how.tool_version)
}
