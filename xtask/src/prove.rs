//! `cargo xtask prove`: the long run of the simulator, whose figures go into docs/proof.md.
//!
//! It is played in parts, and what was played is kept in a file after each: a run that was interrupted goes on where it was, on
//! another machine too. Figures of two versions are never added up.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use xtask::clock::Stopwatch;
use xtask::interrupt::{self, Group};
use xtask::workspace::{cargo, root, target};

/// Seeds of a part: what an interruption loses at most.
const PART: u64 = 500;
/// What stands around the figures in docs/proof.md.
const BEGIN: &str = "<!-- simulator: written by cargo xtask prove -->";
const END: &str = "<!-- end of simulator -->";

/// How long to prove.
#[derive(Args)]
pub struct ProveArguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Begin no part after so many minutes, and write down what was played until then; the next run goes on there.
    #[arg(long)]
    minutes: Option<u64>,
    /// Where to keep what was played [default: prove.json in the target directory].
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Forget what an interrupted run has played, and begin anew.
    #[arg(long)]
    afresh: bool,
    /// Print the section, and leave docs/proof.md as it is.
    #[arg(long)]
    print: bool,
}

impl ProveArguments {
    /// Whether another part is to be played, after so many seeds and so much time.
    fn wants_more(&self, seeds: u64, elapsed: Duration) -> bool {
        seeds < self.seeds
            && self.minutes.is_none_or(|most| elapsed < Duration::from_secs(most.saturating_mul(60)))
    }
}

/// Plays many seeds, optimised and with every assertion, and writes down what came of it.
pub fn prove(arguments: &ProveArguments) -> Result<()> {
    let player = ["-p", "quittance-simulator", "--example", "many"];
    interrupt::run(cargo().args(["build", "--profile", "prove", "--locked"]).args(player))?;
    let binary = target()?.join("prove/examples/many");
    let path = match &arguments.run {
        Some(path) => path.clone(),
        None => target()?.join("prove.json"),
    };
    let mut run = Run::begin(&path, arguments, &version()?)?;
    let already = run.seeds();
    if already > 0 {
        eprintln!("going on after {} seeds that were played before", grouped(already));
    }
    let watch = Stopwatch::start();
    while arguments.wants_more(run.seeds(), watch.elapsed()) {
        let part = PART.min(arguments.seeds - run.seeds());
        let took = Stopwatch::start();
        let report = play(Command::new(&binary), arguments.first + run.seeds(), part)?;
        run.add(&report, took.elapsed().as_millis());
        run.keep(&path)?;
        let played = run.seeds() - already;
        let left = watch.elapsed().as_secs() * (arguments.seeds.saturating_sub(run.seeds())) / played.max(1);
        let (done, all, broken) = (grouped(run.seeds()), grouped(arguments.seeds), run.broken());
        eprintln!("{done} of {all} seeds, {broken} broken, about {} minutes left", left.div_ceil(60));
    }
    let section = section(&run);
    if arguments.print {
        println!("{section}");
    } else {
        write_down(&root().join("docs/proof.md"), &section)?;
    }
    ensure!(run.broken() == 0, "invariants broke: their seeds stand below the figures");
    Ok(())
}

/// The commit that is built; figures mean nothing without it.
fn version() -> Result<String> {
    let mut git = Command::new("git");
    let commit = interrupt::output(git.current_dir(root()).args(["describe", "--always", "--dirty"]))?;
    Ok(commit.trim().to_owned())
}

/// Plays a part. A broken invariant is told by the exit code as well, and is no failure of the run.
fn play(mut command: Command, first: u64, seeds: u64) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("report.json");
    command.args([first.to_string(), seeds.to_string()]);
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&path)?);
    let status = Group::spawn(&mut command)?.wait()?;
    let printed = std::fs::read_to_string(&path)?;
    let report = printed.lines().next().map(serde_json::from_str);
    match (status.code(), report) {
        (Some(0 | 1), Some(Ok(report))) => Ok(report),
        _ => bail!("the player of seeds from {first} printed no report ({status})"),
    }
}

/// What was played so far.
struct Run {
    first: u64,
    version: String,
    milliseconds: u64,
    report: Value,
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(0)
}

impl Run {
    /// Goes on with the kept run, if it is one of the same seeds and of this version.
    fn begin(path: &Path, arguments: &ProveArguments, version: &str) -> Result<Self> {
        let new = Self {
            first: arguments.first,
            version: version.to_owned(),
            milliseconds: 0,
            report: Value::Object(Map::new()),
        };
        if arguments.afresh || !path.exists() {
            return Ok(new);
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(path)?)
            .with_context(|| format!("{} cannot be read; begin anew with --afresh", path.display()))?;
        let of = kept.get("version").and_then(Value::as_str).unwrap_or_default();
        let report = kept.get("report").cloned().unwrap_or_default();
        let (first, seeds) = (number(&kept, "first"), number(&report, "seeds"));
        ensure!(
            of == version && first == arguments.first && seeds <= arguments.seeds,
            "{} keeps {seeds} seeds from {first} of version {of}, and this is version {version}: go on with those, or begin anew with --afresh",
            path.display()
        );
        Ok(Self { milliseconds: number(&kept, "milliseconds"), report, ..new })
    }

    fn seeds(&self) -> u64 {
        number(&self.report, "seeds")
    }

    fn broken(&self) -> u64 {
        number(&self.report, "broken")
    }

    fn add(&mut self, report: &Value, milliseconds: u128) {
        add(&mut self.report, report);
        self.milliseconds += u64::try_from(milliseconds).unwrap_or(0);
    }

    /// Keeps it: whole, or as it was before.
    fn keep(&self, path: &Path) -> Result<()> {
        let kept = json!({
            "first": self.first, "version": self.version, "milliseconds": self.milliseconds, "report": self.report,
        });
        let new: PathBuf = path.with_extension("json.new");
        std::fs::write(&new, kept.to_string())?;
        Ok(std::fs::rename(&new, path)?)
    }
}

/// Adds two reports up: numbers are summed wherever they stand, and broken seeds stand one after the other.
fn add(sum: &mut Value, more: &Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            for (name, more) in more {
                match sum.get_mut(name) {
                    Some(sum) => add(sum, more),
                    None => {
                        sum.insert(name.clone(), more.clone());
                    }
                }
            }
        }
        (Value::Array(sum), Value::Array(more))
            if more.iter().all(Value::is_number) && sum.len() == more.len() =>
        {
            sum.iter_mut().zip(more).for_each(|(sum, more)| add(sum, more));
        }
        (Value::Array(sum), Value::Array(more)) => sum.extend(more.iter().cloned()),
        (sum, more) => *sum = json!(sum.as_u64().unwrap_or(0) + more.as_u64().unwrap_or(0)),
    }
}

/// Puts the section into the page, in place of the one before.
fn write_down(path: &Path, section: &str) -> Result<()> {
    let text = std::fs::read_to_string(path)?;
    let (before, rest) = text.split_once(BEGIN).context("docs/proof.md has no place for the simulator")?;
    let (_, after) = rest.split_once(END).context("the simulator's place in docs/proof.md has no end")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{section}\n{END}{after}"))?)
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn section(run: &Run) -> String {
    let report = &run.report;
    let count = |name: &str| grouped(number(report, name));
    let last = run.first + run.seeds().saturating_sub(1);
    let mut out = format!(
        "\nSeeds {} to {} of version {}, in {} minutes on {} cores.\n\n| what | how many |\n| --- | ---: |\n",
        grouped(run.first),
        grouped(last),
        run.version,
        (run.milliseconds / 1_000).div_ceil(60),
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
    );
    for (name, what) in [
        ("seeds", "seeds"),
        ("broken", "that broke an invariant"),
        ("simulated_days", "simulated days"),
        ("steps", "steps, checked one by one"),
        ("provider_events", "events of the provider"),
        ("webhooks", "webhooks sent for them"),
        ("provider_calls", "calls to the provider"),
        ("subscriptions", "subscriptions bought"),
        ("second_subscriptions_mended", "second ones cancelled and given back"),
        ("payments", "payments taken"),
        ("ledger_entries", "entries of the ledger"),
        ("quoted_changes", "changes made as quoted"),
        ("own_tries", "tries of ours at payments that had failed"),
        ("notices", "notices to customers"),
        ("app_events", "events that the app was told"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {what} | {} |", count(name));
    }
    let table = |name: &str| report.get(name).and_then(Value::as_object).into_iter().flatten();
    for (fault, struck) in table("faults") {
        let _ = writeln!(out, "| fault: {fault} | {} |", grouped(struck.as_u64().unwrap_or(0)));
    }
    out.push_str("\n| named point | passed | died at |\n| --- | ---: | ---: |\n");
    for (point, counts) in table("points") {
        let at = |index: usize| grouped(counts.get(index).and_then(Value::as_u64).unwrap_or(0));
        let _ = writeln!(out, "| `{point}` | {} | {} |", at(0), at(1));
    }
    for failure in report.get("failures").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "\nBroken: `{failure}`");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_ends_with_its_seeds_or_its_minutes() {
        let run = |minutes| ProveArguments {
            seeds: 1_000,
            first: 0,
            minutes,
            run: None,
            afresh: false,
            print: true,
        };
        let (before, at) = (Duration::from_secs(119), Duration::from_secs(120));
        assert!(run(None).wants_more(999, Duration::from_secs(1_000_000)));
        assert!(!run(None).wants_more(1_000, Duration::ZERO));
        assert!(run(Some(2)).wants_more(999, before) && !run(Some(2)).wants_more(999, at));
        assert!(!run(Some(2)).wants_more(1_000, before));
        assert!(!run(Some(0)).wants_more(0, Duration::ZERO));
    }

    #[test]
    fn parts_add_up() {
        let mut sum = Value::Object(Map::new());
        let part = json!({
            "seeds": 2, "broken": 1, "faults": { "crash": 3 }, "points": { "inbox": [5, 1] },
            "failures": [{ "seed": 7 }],
        });
        add(&mut sum, &part);
        add(&mut sum, &part);
        let both = json!({
            "seeds": 4, "broken": 2, "faults": { "crash": 6 }, "points": { "inbox": [10, 2] },
            "failures": [{ "seed": 7 }, { "seed": 7 }],
        });
        assert_eq!(sum, both);
        add(&mut sum, &json!({ "seeds": 1, "failures": [] }));
        assert_eq!((number(&sum, "seeds"), sum["failures"].as_array().map(Vec::len)), (5, Some(2)));
    }

    #[test]
    fn a_part_with_a_broken_seed_is_reported_and_one_without_a_report_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            let mut command = Command::new("/bin/sh");
            command.arg(path);
            command
        };
        let broken = script("broken", r#"echo "{\"first\": $1, \"seeds\": $2, \"broken\": 1}"; exit 1"#);
        let report = play(broken, 40, 5).expect("a report");
        assert_eq!(
            (number(&report, "seeds"), number(&report, "first"), number(&report, "broken")),
            (5, 40, 1)
        );
        assert!(play(script("unable", "echo '{}'; exit 2"), 0, 5).is_err());
        assert!(play(script("silent", "exit 0"), 0, 5).is_err());
    }

    #[test]
    fn an_interrupted_run_goes_on_and_another_versions_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("prove.json");
        let arguments = |seeds, afresh| ProveArguments {
            seeds,
            first: 10,
            minutes: None,
            run: None,
            afresh,
            print: true,
        };
        let mut run = Run::begin(&path, &arguments(4, false), "v1").expect("a new run");
        assert_eq!(run.seeds(), 0);
        run.add(&json!({ "seeds": 3 }), 2_000);
        run.keep(&path).expect("kept");
        let on = Run::begin(&path, &arguments(4, false), "v1").expect("the same run");
        assert_eq!((on.seeds(), on.milliseconds), (3, 2_000));
        assert!(Run::begin(&path, &arguments(4, false), "v2").is_err());
        assert!(Run::begin(&path, &arguments(2, false), "v1").is_err(), "more than is asked for was played");
        assert_eq!(Run::begin(&path, &arguments(4, true), "v2").expect("anew").seeds(), 0);
    }

    #[test]
    fn a_section_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proof.md");
        std::fs::write(&path, format!("a\n{BEGIN}\nold\n{END}\nb\n")).expect("written");
        write_down(&path, "new").expect("written down");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
    }
}
