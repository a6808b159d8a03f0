//! Measures the algorithms: named suites, fixed seeds, warm-up, the median of several runs.
//!
//! `tributary-bench SUITE` prints one JSON object a figure and appends it to
//! `bench/results/SUITE.jsonl`. Figures of quality stand beside those of speed.

mod fusion;
mod graph;
mod people;
mod products;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tributary_algo::clustering::KMeans;
use tributary_algo::factorization::Als;
use tributary_algo::sparse::{Csr, Duplicates};
use tributary_algo::{DenseBlocks, Error, Unlimited};

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
    #[command(flatten)]
    fusion: fusion::Options,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// k-means.
    Cluster,
    /// Entity resolution.
    Fusion,
    /// Matrix factorization.
    Recommend,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (name, figures) = match arguments.suite {
        Suite::Cluster => (
            "cluster",
            cluster(arguments.runs).map_err(|error| error.to_string()),
        ),
        Suite::Fusion => (
            "fusion",
            fusion::fusion(arguments.runs, &arguments.fusion).map_err(|error| error.to_string()),
        ),
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

fn cluster(runs: usize) -> Result<Vec<serde_json::Value>, Error> {
    let (rows, columns) = (1_000_000, 16);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let centres: Vec<f64> = (0..64 * columns)
        .map(|_| random.random_range(-10.0..10.0))
        .collect();
    let x = Array2::from_shape_fn((rows, columns), |(row, column)| {
        let centre = centres
            .get(row % 64 * columns + column)
            .copied()
            .unwrap_or(0.0);
        centre + random.random_range(-1.5..1.5)
    });
    let blocks = DenseBlocks::from_rows(x.view(), &Unlimited)?;
    let mut figures = Vec::new();
    for k in [8, 64] {
        let algorithm = KMeans {
            k,
            max_iter: 20,
            tol: 0.0,
            ..KMeans::default()
        };
        let (seconds, clusters) = median(runs, || algorithm.fit(&blocks, None, &Unlimited))?;
        figures.push(json!({
            "suite": "cluster", "work": format!("k-means {rows} x {columns}, k {k}, seeding and 20 iterations"),
            "seconds": seconds, "inertia": clusters.inertia, "iterations": clusters.iterations, "runs": runs,
        }));
    }
    Ok(figures)
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
