//! Measures the algorithms: named suites, fixed seeds, warm-up, the median of several runs.
//!
//! `tributary-bench SUITE` prints one JSON object a figure and appends it to
//! `bench/results/SUITE.jsonl`. Figures of quality stand beside those of speed.

mod cluster;
mod fusion;
mod graph;
mod peers;
mod people;
mod products;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tributary_algo::factorization::Als;
use tributary_algo::sparse::{Csr, Duplicates};
use tributary_algo::{Error, Unlimited};

/// Measure a suite.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure.
    suite: Suite,
    /// Runs, of which the median counts; one more warms up.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where results are kept.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Python interpreter with the peers to compare with.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Also wait for peers that take long.
    #[arg(long)]
    slow: bool,
    /// Measure only what has this in its name.
    #[arg(long)]
    only: Option<String>,
    #[command(flatten)]
    fusion: fusion::Options,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// k-means, clustering by density, silhouette.
    Cluster,
    /// Entity resolution.
    Fusion,
    /// Matrix factorization.
    Recommend,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (name, figures) = match arguments.suite {
        Suite::Cluster => {
            let options = cluster::Options {
                runs: arguments.runs.max(1),
                python: arguments.python.as_deref(),
                slow: arguments.slow,
                only: arguments.only.as_deref(),
            };
            let figures = cluster::run(&options).map_err(|error| error.to_string());
            ("cluster", figures)
        }
        Suite::Fusion => {
            let mut options = arguments.fusion;
            options.python = arguments.python;
            let figures = fusion::fusion(arguments.runs, &options);
            ("fusion", figures.map_err(|error| error.to_string()))
        }
        Suite::Recommend => (
            "recommend",
            recommend(arguments.runs).map_err(|error| error.to_string()),
        ),
    };
    let outcome = figures
        .and_then(|figures| keep(&arguments.results, name, &figures).map_err(|e| e.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tributary-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn keep(directory: &PathBuf, suite: &str, figures: &[serde_json::Value]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(format!("{suite}.jsonl")))?;
    for figure in figures {
        writeln!(std::io::stdout(), "{figure}")?;
        writeln!(file, "{figure}")?;
    }
    Ok(())
}

/// The median of the seconds of `runs` calls after one that warms up, and the last result.
fn median<T>(runs: usize, work: impl Fn() -> Result<T, Error>) -> Result<(f64, T), Error> {
    let mut result = work()?;
    let mut seconds = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        result = work()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    Ok((middle, result))
}

fn recommend(runs: usize) -> Result<Vec<serde_json::Value>, Error> {
    let (users, items, pairs) = (50_000_u32, 20_000_u32, 2_000_000);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut row = Vec::with_capacity(pairs);
    let mut column = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        row.push(random.random_range(0..users));
        // Popularity falls with the square, as it roughly does in shops.
        let share: f64 = random.random_range(0.0..1.0);
        column.push((share * share * f64::from(items)) as u32);
    }
    let ones = vec![1.0_f32; pairs];
    let interactions = Csr::from_triples(
        users as usize,
        items as usize,
        &row,
        &column,
        &ones,
        Duplicates::Sum,
        &Unlimited,
    )?;
    let algorithm = Als {
        iterations: 3,
        loss: true,
        ..Als::default()
    };
    let (seconds, model) = median(runs, || algorithm.fit(&interactions, None, &Unlimited))?;
    Ok(vec![json!({
        "suite": "recommend", "work": format!("ALS {users} x {items}, {pairs} pairs, 64 factors, Cholesky, 3 iterations with loss"),
        "seconds": seconds, "loss": model.losses.last(), "runs": runs,
    })])
}
