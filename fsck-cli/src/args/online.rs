//! The command lines of the commands that ask servers: `probe` and `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry_cli::args::{RoleArg, parse_duration};
use registry_cli::connection::Connection;
use registry_core::oci::{Digest, ImageReference, Platform};

use super::{Common, Compare, parse_percent};

/// Options of `probe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Credentials come from the first of these that is there: --user with --password-file; --authfile; with --forgejo \
FORGEJO_USER with FORGEJO_TOKEN_FILE or FORGEJO_TOKEN; REGISTRY_USER with REGISTRY_PASSWORD_FILE or REGISTRY_PASSWORD (--user \
in place of either user); REGISTRY_AUTH_FILE; containers/auth.json in XDG_RUNTIME_DIR when it has any for this host; \
docker's config.json, with its helpers, in DOCKER_CONFIG or ~/.docker.

Exit status, OR-ed: 0 nothing wrong; 4 errors remain; 8 not everything could be looked at; 16 usage; \
130 (alone) interrupted.")]
pub struct ProbeArgs {
    /// The address of the registry
    #[arg(value_name = "URL")]
    pub url: String,

    /// Repositories to look at, one a line, instead of the catalog
    #[arg(long, value_name = "FILE", conflicts_with = "forgejo")]
    pub repositories_file: Option<PathBuf>,

    /// The packages of a Forgejo owner, instead of the catalog
    #[arg(long, requires = "owner")]
    pub forgejo: bool,

    /// A user or organisation (repeatable)
    #[arg(long, value_name = "NAME", requires = "forgejo")]
    pub owner: Vec<String>,

    /// Whether images are pushed there, or it is a pull-through cache, which fetches and keeps what it is asked for; auto begins an
    /// upload in one repository and gives it up at once: a cache takes none
    #[arg(long, value_enum, default_value_t = RoleArg::Auto)]
    pub role: RoleArg,

    /// Look at a pull-through cache as at any registry: it fetches all that is asked for, and spends its rate limit
    #[arg(long)]
    pub through_cache: bool,

    /// How deep to look
    #[arg(long, value_enum, default_value_t = DepthArg::Blobs)]
    pub depth: DepthArg,

    /// What one run leaves for the next: bytes of manifests, and when what was looked at
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// The newest so many tags of each repository in every run
    #[arg(long, value_name = "N")]
    pub newest: Option<u32>,

    /// So many percent of the other tags in each run, those first that were not looked at longest
    #[arg(long, value_name = "P%", value_parser = parse_percent)]
    pub sample: Option<f64>,

    /// Most requests, lists and repetitions included; what is left waits for the next run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget_requests: Option<u64>,

    /// Most time for asking, such as 5m; what is left waits for the next run
    #[arg(long, value_name = "DURATION", value_parser = parse_duration::<u32>)]
    pub budget_time: Option<u32>,

    /// Ask again for a config or layer that was there, and read a manifest again, after this time
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration::<u32>)]
    pub recheck_after: u32,

    /// A platform that every image must have, such as linux/arm64 (repeatable)
    #[arg(long, value_name = "PLATFORM")]
    pub require_platform: Vec<Platform>,

    #[command(flatten)]
    pub connection: Connection,

    #[command(flatten)]
    pub compare: Compare,

    #[command(flatten)]
    pub common: Common,
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Credentials are looked for as `probe` does, for each host. For images on several hosts they come from a file by host.

Exit status, OR-ed: 0 everything is there; 4 something is missing or wrong; 8 not everything could be looked at; \
16 usage; 130 (alone) interrupted.")]
pub struct VerifyArgs {
    /// An image, such as registry.example/team/app:v1, with or without docker:// and @sha256:…
    #[arg(required_unless_present = "in_use", value_name = "REFERENCE")]
    pub references: Vec<ImageReference>,

    /// Images that run, one reference a line, `-` for standard input: those of --host are checked, each once
    #[arg(long, value_name = "FILE", requires = "host", conflicts_with_all = ["expect_digest", "same_as"])]
    pub in_use: Option<PathBuf>,

    /// The registry whose images of --in-use are checked; others are counted, and neither asked nor given credentials
    #[arg(long, value_name = "HOST", requires = "in_use")]
    pub host: Option<String>,

    /// Hash every byte
    #[arg(long)]
    pub content: bool,

    /// Ask again for what is missing until it is there, at most this long, such as 2m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration::<u32>)]
    pub wait: u32,

    /// A platform that every image must have, such as linux/arm64 (repeatable)
    #[arg(long, value_name = "PLATFORM")]
    pub require_platform: Vec<Platform>,

    /// What every reference must name
    #[arg(long, value_name = "DIGEST")]
    pub expect_digest: Option<Digest>,

    /// Require a referrer, such as a signature; of this artifact type if one is given, which is sig, att or sbom for the tags
    /// of cosign (repeatable)
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub referrers: Vec<String>,

    /// An image that must be there too, and be the same: the other side of a dual push
    #[arg(long, value_name = "REFERENCE")]
    pub same_as: Option<ImageReference>,

    /// Speak http to hosts that are not this machine
    #[arg(long)]
    pub plain_http: bool,

    #[command(flatten)]
    pub connection: Connection,

    #[command(flatten)]
    pub common: Common,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DepthArg {
    /// Tags and manifests
    Manifests,
    /// Configs and layers too
    Blobs,
    /// Every byte is hashed
    Content,
}
