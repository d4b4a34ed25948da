//! What is told at the end: the machine, the figures and the verdicts, as Markdown and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::measure::Usage;
use crate::stats::FigureSummary;

/// Load averages below this leave wall times alone.
const QUIET: f64 = 0.5;

/// Everything a run found out.
#[derive(Debug)]
pub struct BenchReport {
    /// Where it ran.
    pub machine: Machine,
    /// What the programs say about their versions.
    pub programs: Vec<String>,
    /// One for each part.
    pub sections: Vec<Section>,
}

/// The machine and how busy it was before the run did anything.
#[derive(Debug)]
pub struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    load: f64,
}

/// The figures of one part.
#[derive(Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What was measured on.
    pub tree: String,
    /// What was claimed, and whether it holds.
    pub claims: Vec<Claim>,
    /// What the commands took.
    pub timings: Vec<Timing>,
    /// What they took with a cold cache, or why that is not known.
    pub cold: Option<Result<Vec<Timing>, String>>,
}

/// A figure with a target.
#[derive(Debug)]
pub struct Claim {
    /// What the figure is.
    pub what: String,
    /// The figure by wall time.
    pub wall: Option<FigureSummary>,
    /// The figure by CPU time, or the only one there is.
    pub other: FigureSummary,
    /// Which of them is judged.
    pub basis: Basis,
    /// What it should be.
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

/// What a figure should be.
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
    /// Look at the machine.
    pub fn look() -> Result<Self> {
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

    /// Whether wall times can be judged here.
    pub fn basis(&self) -> Basis {
        if self.load < QUIET { Basis::Wall } else { Basis::Cpu }
    }
}

impl Claim {
    fn judged(&self) -> FigureSummary {
        self.wall.filter(|_| self.basis == Basis::Wall).unwrap_or(self.other)
    }

    /// Whether the median of the judged figure is what it should be.
    pub fn met(&self) -> bool {
        match self.target {
            Target::AtLeast(limit) => self.judged().median >= limit,
            Target::AtMost(limit) => self.judged().median <= limit,
        }
    }
}

impl Timing {
    /// Summarize the runs of a command.
    pub fn summarize<'a>(what: &str, runs: impl IntoIterator<Item = &'a Usage> + Clone) -> Self {
        Timing {
            what: what.to_owned(),
            wall: FigureSummary::summarize(runs.clone().into_iter().map(|run| run.wall)),
            cpu: FigureSummary::summarize(runs.clone().into_iter().map(|run| run.cpu)),
            peak: runs.into_iter().map(|run| run.peak).max().unwrap_or_default(),
        }
    }
}

impl BenchReport {
    /// Whether every target is met.
    pub fn all_met(&self) -> bool {
        self.sections.iter().flat_map(|section| &section.claims).all(Claim::met)
    }

    /// Tables for a document.
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
                let wall = claim.wall.map_or_else(|| "–".to_owned(), span);
                let (basis, target, met) = (claim.basis.name(), claim.target.text(), claim.met());
                let other = span(claim.other);
                let met = if met { "yes" } else { "**no**" };
                let _ = writeln!(out, "| {} | {wall} | {other} | {target} | {basis} | {met} |", claim.what);
            }
            out.push('\n');
            table(&mut out, "command", &section.timings);
            match &section.cold {
                None => {}
                Some(Ok(cold)) => {
                    out.push('\n');
                    table(&mut out, "command, cold cache, one run, not judged", cold);
                }
                Some(Err(why)) => {
                    let _ = writeln!(out, "\nNo figures with a cold cache: {why}");
                }
            }
        }
        out
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let Machine { cpu, cpus, kernel, load } = &self.machine;
        json!({
            "machine": { "cpu": cpu, "cpus": cpus, "kernel": kernel },
            "load_at_start": load,
            "judged_by": self.machine.basis().name(),
            "programs": self.programs,
            "all_met": self.all_met(),
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

impl Claim {
    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "wall": self.wall.map(json_of),
            self.basis_of_other(): json_of(self.other),
            "judged_by": self.basis.name(),
            "target": self.target.text(),
            "met": self.met(),
        })
    }

    fn basis_of_other(&self) -> &'static str {
        if self.basis == Basis::Memory { "memory" } else { "cpu" }
    }
}

impl Timing {
    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "wall_seconds": json_of(self.wall),
            "cpu_seconds": json_of(self.cpu),
            "peak_bytes": self.peak,
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

fn table(out: &mut String, head: &str, timings: &[Timing]) {
    let _ = writeln!(out, "| {head} | wall s | CPU s | peak memory, MiB |\n|---|---|---|---|");
    for Timing { what, wall, cpu, peak } in timings {
        let peak = *peak as f64 / f64::from(1 << 20);
        let _ = writeln!(out, "| {what} | {} | {} | {peak:.1} |", span(*wall), span(*cpu));
    }
}

fn span(FigureSummary { median, min, max }: FigureSummary) -> String {
    if min.to_bits() == max.to_bits() {
        format!("{median:.2}")
    } else {
        format!("{median:.2} ({min:.2} to {max:.2})")
    }
}

fn json_of(FigureSummary { median, min, max }: FigureSummary) -> Value {
    json!({ "median": median, "min": min, "max": max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judged_figure_decides() {
        let one = |figure| FigureSummary::summarize([figure]);
        let claim = |basis, target| Claim {
            what: String::new(),
            wall: Some(one(0.6)),
            other: one(0.4),
            basis,
            target,
        };
        assert!(!claim(Basis::Wall, Target::AtMost(0.5)).met());
        assert!(claim(Basis::Cpu, Target::AtMost(0.5)).met());
        assert!(claim(Basis::Wall, Target::AtLeast(0.5)).met());
    }
}
