//! `retention.toml`: defaults and rules in a file. Options take precedence over the environment, which does over the file.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use registry_cli::file::read_text;
use registry_core::retention::{GroupBy, LetterCase};
use serde::Deserialize;

use crate::args;

/// Most bytes of the file.
const MAX_BYTES: u64 = 1 << 20;
/// The only supported version of the file.
pub const VERSION: i64 = 1;

/// Defaults and rules of registry-retention. A key that is absent means: as without a file.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Version of the meaning of the keys.
    #[serde(rename = "version")]
    pub _version: i64,
    /// Images of a package that stay by rank (10), in rules that give no number of their own too.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub keep_last: Option<u32>,
    /// Patterns of tags that always stay, with their images.
    #[serde(default)]
    pub keep_tags: Vec<String>,
    /// Whether `latest` always stays (true).
    pub keep_latest: Option<bool>,
    /// Whether build caches always stay (true).
    pub keep_cache: Option<bool>,
    /// Images pushed within this time stay: 90m, 24h, 7d.
    #[serde(default, deserialize_with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub keep_within: Option<u64>,
    /// What ranks images (pushed).
    pub rank_by: Option<args::RankByArg>,
    /// What becomes of manifests that no tag reaches (leave).
    pub untagged: Option<args::UnneededArg>,
    /// What becomes of signatures whose subject is gone (leave).
    pub orphan_signatures: Option<args::UnneededArg>,
    /// Younger than this nothing untagged goes (24h).
    #[serde(default, deserialize_with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub grace: Option<u64>,
    /// What an undo put back stays for this time (7d), where its push times are read.
    #[serde(default, deserialize_with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub hold: Option<u64>,
    /// Whether the order of pushes counts, also where it is the reverse of that of builds (false).
    pub accept_push_order: Option<bool>,
    /// Most images that a run may delete; one that would delete more deletes nothing.
    pub max_delete: Option<u64>,
    /// Most images of a package that may go, in percent.
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub max_delete_percent: Option<u8>,
    /// Patterns of packages; others are not looked at.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Rules; a tag belongs to the first that matches its package and its text.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
}

/// How many images of which tags stay.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleConfig {
    /// Pattern of packages.
    #[serde(default = "match_all")]
    pub package: String,
    /// Pattern of tags.
    #[serde(default = "match_all")]
    pub tags: String,
    /// Regular expression with captures, at most 1024 bytes: images are ranked within each distinct capture, and a tag that
    /// does not match it does not belong to the rule.
    #[cfg_attr(test, schemars(length(max = 1024)))]
    pub group_by: Option<String>,
    /// Images that stay by rank, in each group; 0 needs a keep-within.
    pub keep_last: Option<u32>,
    /// Images pushed within this time stay: 90m, 24h, 7d.
    #[serde(default, deserialize_with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub keep_within: Option<u64>,
    /// Whether build caches always stay (as at the top of the file).
    pub keep_cache: Option<bool>,
}

fn match_all() -> String {
    "*".into()
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    registry_cli::args::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

pub const KEYS: &[&str] = &[
    "version",
    "keep-last",
    "keep-tags",
    "keep-latest",
    "keep-cache",
    "keep-within",
    "rank-by",
    "untagged",
    "orphan-signatures",
    "grace",
    "hold",
    "accept-push-order",
    "max-delete",
    "max-delete-percent",
    "packages",
    "rules",
];
pub const RULE_KEYS: &[&str] = &["package", "tags", "group-by", "keep-last", "keep-within", "keep-cache"];

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, has another version or an unknown key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_text(path, MAX_BYTES).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
    }

    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| anyhow!(one_line(&error)))?;
        match table.get("version").map(toml::Value::as_integer) {
            Some(Some(VERSION)) => {}
            Some(Some(other)) => bail!("its version is {other}, and {VERSION} is the only one known"),
            Some(None) => bail!("its version is no number; write version = {VERSION}"),
            None => bail!("it has no version; write version = {VERSION} at its top"),
        }
        refuse_unknown_keys(&table, KEYS, "")?;
        for (number, rule) in
            table.get("rules").and_then(toml::Value::as_array).into_iter().flatten().enumerate()
        {
            if let Some(rule) = rule.as_table() {
                refuse_unknown_keys(rule, RULE_KEYS, &format!(" in rule {}", number + 1))?;
            }
        }
        let config: Self = toml::from_str(text).map_err(|error| anyhow!(one_line(&error)))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.keep_last == Some(0) {
            bail!("keep-last is 0; at least 1 is needed");
        }
        if self.max_delete_percent.is_some_and(|percent| percent > 100) {
            bail!("max-delete-percent is over 100");
        }
        for (number, rule) in self.rules.iter().enumerate() {
            if rule.keep_last == Some(0) && rule.keep_within.is_none() {
                bail!("rule {} keeps 0 images; that needs a keep-within", number + 1);
            }
            if let Some(text) = &rule.group_by {
                // The case of letters does not matter for whether the expression is valid.
                GroupBy::new(text, LetterCase::Exact)
                    .map_err(|error| anyhow!("group-by of rule {} cannot be used: {error}", number + 1))?;
            }
        }
        Ok(())
    }
}

fn refuse_unknown_keys(table: &toml::Table, keys: &[&str], place: &str) -> anyhow::Result<()> {
    if let Some(key) = table.keys().find(|key| !keys.contains(&key.as_str())) {
        let nearest = keys.iter().max_by(|a, b| strsim::jaro(a, key).total_cmp(&strsim::jaro(b, key)));
        let hint = nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest:?}"));
        bail!("key {:?}{place} is not known{hint}", registry_core::text::escape(key));
    }
    Ok(())
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn unusable_configuration_is_explained() {
        let error = |text: &str| Config::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("keep-last = 3"), @"it has no version; write version = 1 at its top");
        insta::assert_snapshot!(error("version = 2"), @"its version is 2, and 1 is the only one known");
        insta::assert_snapshot!(error("version = 1\nkeep_lst = 3"), @r#"key "keep_lst" is not known; the nearest is "keep-last""#);
        insta::assert_snapshot!(error("version = 1\n[[rules]]\ntag = \"*\""), @r#"key "tag" in rule 1 is not known; the nearest is "tags""#);
        insta::assert_snapshot!(error("version = 1\nkeep-last = 0"), @"keep-last is 0; at least 1 is needed");
        insta::assert_snapshot!(error("version = 1\n[[rules]]\nkeep-last = 0"), @"rule 1 keeps 0 images; that needs a keep-within");
        insta::assert_snapshot!(error("version = 1\n[[rules]]\n[[rules]]\ngroup-by = \"^v(\""), @"group-by of rule 2 cannot be used: it is no regular expression: unclosed group");
        insta::assert_snapshot!(error("version = 1\n[[rules]]\ngroup-by = \"^v\""), @r"group-by of rule 1 cannot be used: it captures nothing; put what names a group in parentheses, such as ^(\d+\.\d+)");
        insta::assert_snapshot!(error("version = 1\nkeep-within = \"soon\""), @r#"TOML parse error at line 2, column 15 | 2 | keep-within = "soon" | ^^^^^^ write it as 90m, 24h or 7d"#);
    }
}
