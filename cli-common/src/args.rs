//! Options that mean the same in every program.

use clap::{Args, ValueEnum};

/// Text for people, JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// When to show something that only a terminal should see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The value of `--role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Images are pushed there.
    Primary,
    /// A pull-through cache, which fetches them from another.
    Cache,
    /// Found out.
    Auto,
}

/// What standard output shows, and how.
#[derive(Debug, Clone, Copy, Args)]
pub struct Printing {
    /// Form of the answer on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colour in the answer: auto means on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = When::Auto)]
    pub color: When,
}

/// How much is done at once.
#[derive(Debug, Clone, Copy, Args)]
pub struct Jobs {
    /// Requests under way at once [default: to a server 8; to a file system 8 a processor, at least 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
}

impl Jobs {
    /// How many files are read at once; 0 means that the library chooses.
    pub fn file_jobs(self) -> usize {
        self.jobs.map_or(0, usize::from)
    }
}

/// What standard error shows, and how.
#[derive(Debug, Clone, Copy, Args)]
pub struct Messages {
    /// A progress line on standard error
    #[arg(long, value_enum, default_value_t = When::Auto)]
    pub progress: When,

    /// Form of log lines on standard error
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
}

/// A duration such as `90m`, `1h 30m` or `7d`, in seconds.
///
/// # Errors
/// When the text is not a duration, or its number of seconds does not fit into `T`.
pub fn parse_duration<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let span: jiff::Span = text.parse().map_err(|_| "write it as 90m, 24h or 7d".to_owned())?;
    let seconds = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "give days, hours, minutes or seconds".to_owned())?
        .as_secs();
    T::try_from(seconds).map_err(|_| "a duration from 0 s to 136 years is needed".to_owned())
}
