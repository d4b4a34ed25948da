//! The report of a run: the machine, the figures and whether the targets are met, as Markdown and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::measure::Usage;
use crate::stats::FigureSummary;

/// Below this load average, wall times are reliable.
const QUIET: f64 = 0.5;

/// The results of a run.
#[derive(Debug)]
pub struct BenchReport {
    /// The machine of the run.
    pub machine: Machine,
    /// The versions of the programs.
    pub programs: Vec<String>,
    /// One section for each comparison.
    pub sections: Vec<Section>,
}

/// The machine, and its load before the run.
#[derive(Debug)]
pub struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    load: f64,
}

/// The figures of one comparison.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// What was measured on.
    pub tree: String,
    /// The figures with targets.
    pub claims: Vec<Claim>,
    /// The times and memory of the commands.
    pub timings: Vec<Timing>,
    /// The same with a cold cache, or why there is none.
    pub cold: Option<Result<Vec<Timing>, String>>,
}

/// A figure with a target.
#[derive(Debug)]
pub struct Claim {
    /// What the figure is.
    pub what: String,
    /// The figure by wall time.
    pub wall: Option<FigureSummary>,
    /// The figure by CPU time, or the only figure.
    pub other: FigureSummary,
    /// Which of the figures is judged.
    pub basis: Basis,
    /// The target of the judged figure.
    pub target: Target,
}

/// What a figure was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Wall times.
    Wall,
    /// CPU times.
    Cpu,
    /// Peak resident sets.
    Memory,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

/// The runs of one command.
#[derive(Debug)]
pub struct Timing {
    what: String,
    wall: FigureSummary,
    cpu: FigureSummary,
    peak: u64,
}

impl Machine {
    /// Reads the processor, kernel and load of this machine.
    pub fn inspect() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| path.to_owned());
        let info = read("/proc/cpuinfo")?;
        let model =
            info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        let load = read("/proc/loadavg")?;
        Ok(Machine {
            cpu: model.unwrap_or("unknown processor").to_owned(),
            cpus: thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim_end().to_owned(),
            load: load.split(' ').next().unwrap_or_default().parse().context("/proc/loadavg")?,
        })
    }

    /// The basis of judgement: wall times on a quiet machine, else CPU times.
    pub fn basis(&self) -> Basis {
        if self.load < QUIET { Basis::Wall } else { Basis::Cpu }
    }
}

impl Claim {
    fn judged(&self) -> FigureSummary {
        self.wall.filter(|_| self.basis == Basis::Wall).unwrap_or(self.other)
    }

    /// Whether the median of the judged figure meets the target.
    pub fn is_met(&self) -> bool {
        match self.target {
            Target::AtLeast(limit) => self.judged().median >= limit,
            Target::AtMost(limit) => self.judged().median <= limit,
        }
    }

    fn json(&self) -> Value {
        let other = if self.basis == Basis::Memory { "memory" } else { "cpu" };
        json!({
            "what": self.what,
            "wall": self.wall.map(summary_json),
            other: summary_json(self.other),
            "judged_by": self.basis.name(),
            "target": self.target.text(),
            "met": self.is_met(),
        })
    }
}

impl Timing {
    /// Summarizes the runs of a command.
    pub fn summarize<'a>(what: &str, runs: impl IntoIterator<Item = &'a Usage> + Clone) -> Self {
        Timing {
            what: what.to_owned(),
            wall: FigureSummary::summarize(runs.clone().into_iter().map(|run| run.wall)),
            cpu: FigureSummary::summarize(runs.clone().into_iter().map(|run| run.cpu)),
            peak: runs.into_iter().map(|run| run.peak).max().unwrap_or_default(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "wall_seconds": summary_json(self.wall),
            "cpu_seconds": summary_json(self.cpu),
            "peak_bytes": self.peak,
        })
    }
}

impl BenchReport {
    /// Whether every target is met.
    pub fn has_met_all(&self) -> bool {
        self.sections.iter().flat_map(|section| &section.claims).all(Claim::is_met)
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let Machine { cpu, cpus, kernel, load } = &self.machine;
        let judged = match self.machine.basis() {
            Basis::Wall => format!("below {QUIET}: judged by wall time"),
            _ => format!("not below {QUIET}: judged by CPU time, wall times tell little"),
        };
        let _ = writeln!(out, "- Machine: {cpu}, {cpus} CPUs, Linux {kernel}");
        let _ = writeln!(out, "- Load average at the start: {load:.2}, {judged}");
        let _ = writeln!(out, "- Programs: {}", self.programs.join("; "));
        for section in &self.sections {
            let _ = writeln!(out, "\n### {}\n\n{}\n", section.title, section.tree);
            out.push_str(
                "| figure: median (min to max) | by wall time | by CPU time | target | judged by | met |\n",
            );
            out.push_str("|---|---|---|---|---|---|\n");
            for claim in &section.claims {
                let wall = claim.wall.map_or_else(|| "–".to_owned(), span_text);
                let (basis, target, met) = (claim.basis.name(), claim.target.text(), claim.is_met());
                let other = span_text(claim.other);
                let met = if met { "yes" } else { "**no**" };
                let _ = writeln!(out, "| {} | {wall} | {other} | {target} | {basis} | {met} |", claim.what);
            }
            out.push('\n');
            write_table(&mut out, "command", &section.timings);
            match &section.cold {
                None => {}
                Some(Ok(cold)) => {
                    out.push('\n');
                    write_table(&mut out, "command, cold cache, one run, not judged", cold);
                }
                Some(Err(why)) => {
                    let _ = writeln!(out, "\nNo figures with a cold cache: {why}");
                }
            }
        }
        out
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let Machine { cpu, cpus, kernel, load } = &self.machine;
        json!({
            "machine": { "cpu": cpu, "cpus": cpus, "kernel": kernel },
            "load_at_start": load,
            "judged_by": self.machine.basis().name(),
            "programs": self.programs,
            "all_met": self.has_met_all(),
            "sections": self.sections.iter().map(|section| json!({
                "title": section.title,
                "tree": section.tree,
                "claims": section.claims.iter().map(Claim::json).collect::<Vec<_>>(),
                "timings": section.timings.iter().map(Timing::json).collect::<Vec<_>>(),
                "cold": section.cold.as_ref().and_then(|cold| cold.as_ref().ok()).map(|cold| {
                    cold.iter().map(Timing::json).collect::<Vec<_>>()
                }),
            })).collect::<Vec<_>>(),
        })
    }
}

impl Basis {
    fn name(self) -> &'static str {
        match self {
            Basis::Wall => "wall",
            Basis::Cpu => "cpu",
            Basis::Memory => "memory",
        }
    }
}

impl Target {
    fn text(self) -> String {
        match self {
            Target::AtLeast(limit) => format!("≥ {limit}"),
            Target::AtMost(limit) => format!("≤ {limit}"),
        }
    }
}

fn write_table(out: &mut String, head: &str, timings: &[Timing]) {
    let _ = writeln!(out, "| {head} | wall s | CPU s | peak memory, MiB |\n|---|---|---|---|");
    for Timing { what, wall, cpu, peak } in timings {
        let peak = *peak as f64 / f64::from(1 << 20);
        let _ = writeln!(out, "| {what} | {} | {} | {peak:.1} |", span_text(*wall), span_text(*cpu));
    }
}

fn span_text(FigureSummary { median, min, max }: FigureSummary) -> String {
    if min.to_bits() == max.to_bits() {
        format!("{median:.2}")
    } else {
        format!("{median:.2} ({min:.2} to {max:.2})")
    }
}

fn summary_json(FigureSummary { median, min, max }: FigureSummary) -> Value {
    json!({ "median": median, "min": min, "max": max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judged_figure_decides() {
        let one = |figure| FigureSummary::summarize([figure]);
        let claim = |basis, target| Claim {
            what: String::new(),
            wall: Some(one(0.6)),
            other: one(0.4),
            basis,
            target,
        };
        assert!(!claim(Basis::Wall, Target::AtMost(0.5)).is_met());
        assert!(claim(Basis::Cpu, Target::AtMost(0.5)).is_met());
        assert!(claim(Basis::Wall, Target::AtLeast(0.5)).is_met());
    }
}
