//! The suite `cluster`: k-means, clustering by density and the silhouette, in turn with scikit-learn and others.
//!
//! All data is drawn from seeds. Each work runs once to warm up; then ours and each peer's take turns, and the medians are
//! compared. Peers run when `--python` names an interpreter that has them.

use std::collections::BTreeMap;
use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tributary_algo::clustering::{
    ClusterEvaluation, Dbscan, Eps, Hdbscan, Init, KMeans, agreement,
};
use tributary_algo::{DenseBlocks, Unlimited};

use crate::peers::Peer;

/// How to run the suite.
#[derive(Debug)]
pub struct Options<'a> {
    /// Turns of which the median counts.
    pub runs: usize,
    /// Interpreter that has the peers.
    pub python: Option<&'a Path>,
    /// Whether to wait for peers that take more than about ten seconds.
    pub slow: bool,
    /// Runs only works whose names contain this.
    pub only: Option<&'a str>,
}

/// Runs the suite.
pub fn run(options: &Options<'_>) -> Result<Vec<Value>> {
    let folder = std::env::temp_dir().join(format!("tributary-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let peer = options
        .python
        .map(|python| Peer::start(python, Path::new("bench/peers/cluster.py")))
        .transpose()?;
    let mut suite = Suite {
        options,
        folder,
        peer,
        figures: Vec::new(),
    };
    let outcome = suite.all();
    std::fs::remove_dir_all(&suite.folder)?;
    outcome.map(|()| suite.figures)
}

struct Suite<'a> {
    options: &'a Options<'a>,
    folder: PathBuf,
    peer: Option<Peer>,
    figures: Vec<Value>,
}

/// What a call gave.
#[derive(Debug, Default)]
struct Outcome {
    labels: Option<Vec<i32>>,
    /// Inertia or silhouette.
    figure: Option<f64>,
}

impl Suite<'_> {
    fn all(&mut self) -> Result<()> {
        for (rows, columns, k) in [(1_000_000, 16, 8), (1_000_000, 16, 64), (5_000_000, 8, 16)] {
            self.kmeans(rows, columns, k)?;
        }
        self.seeding(1_000_000, 16, 64)?;
        self.dbscan(200_000, 2, 0.12)?;
        self.dbscan(1_000_000, 2, 0.06)?;
        self.dbscan(200_000, 8, 1.2)?;
        self.hdbscan(100_000, 8)?;
        self.silhouette(20_000, 16)
    }

    fn wanted(&self, name: &str) -> bool {
        self.options.only.is_none_or(|part| name.contains(part))
    }

    fn kmeans(&mut self, rows: usize, columns: usize, k: usize) -> Result<()> {
        let name = format!("k-means {rows} x {columns}, k {k}, 20 iterations from given centroids");
        if !self.wanted(&name) {
            return Ok(());
        }
        let x = blobs(rows, columns, 64, 1.0, 0.0);
        let first: Vec<usize> = (0..k).map(|at| at * (rows / k) + at * at).collect();
        let params = KMeans {
            k,
            max_iter: 20,
            tol: 0.0,
            init: Init::Centroids(x.select(ndarray::Axis(0), &first)),
            ..KMeans::default()
        };
        let request = json!({"work": "kmeans", "first": first, "iterations": 20});
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).map_err(Error::other)?;
        self.compare(
            &name,
            &x,
            request,
            &["sklearn-lloyd", "sklearn-elkan"],
            || {
                let found = params
                    .fit(&blocks, None, &Unlimited)
                    .map_err(Error::other)?;
                Ok(Outcome {
                    figure: Some(found.inertia),
                    ..Outcome::default()
                })
            },
        )
    }

    fn seeding(&mut self, rows: usize, columns: usize, k: usize) -> Result<()> {
        let name = format!("k-means++ {rows} x {columns}, k {k}, and one iteration");
        if !self.wanted(&name) {
            return Ok(());
        }
        let x = blobs(rows, columns, 64, 1.0, 0.0);
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).map_err(Error::other)?;
        let params = KMeans {
            k,
            max_iter: 1,
            ..KMeans::default()
        };
        let request = json!({"work": "seeding", "k": k});
        self.compare(&name, &x, request, &["sklearn"], || {
            params
                .fit(&blocks, None, &Unlimited)
                .map_err(Error::other)?;
            Ok(Outcome::default())
        })
    }

    fn dbscan(&mut self, rows: usize, columns: usize, eps: f64) -> Result<()> {
        let name = format!("DBSCAN {rows} x {columns}, eps {eps}, min_samples 10");
        if !self.wanted(&name) {
            return Ok(());
        }
        let x = blobs(rows, columns, 50, 1.0, 0.05);
        let params = Dbscan {
            eps: Eps::Distance(eps),
            min_samples: 10,
        };
        let request = json!({"work": "dbscan", "eps": eps, "min_samples": 10});
        let peers: &[&str] = match (columns > 2, self.options.slow) {
            (false, _) => &["sklearn", "wang"],
            (true, true) => &["sklearn"],
            (true, false) => &[],
        };
        self.compare(&name, &x, request, peers, || {
            let found = params.fit(x.view(), &Unlimited).map_err(Error::other)?;
            Ok(Outcome {
                labels: Some(found.labels),
                ..Outcome::default()
            })
        })
    }

    fn hdbscan(&mut self, rows: usize, columns: usize) -> Result<()> {
        let name = format!("HDBSCAN {rows} x {columns}, min_cluster_size 10, min_samples 10");
        if !self.wanted(&name) {
            return Ok(());
        }
        let x = blobs(rows, columns, 50, 1.0, 0.05);
        let params = Hdbscan {
            min_cluster_size: 10,
            ..Hdbscan::default()
        };
        let request = json!({"work": "hdbscan", "min_cluster_size": 10, "min_samples": 10});
        let peers: &[&str] = match self.options.slow {
            true => &["fast_hdbscan", "sklearn"],
            false => &["fast_hdbscan"],
        };
        self.compare(&name, &x, request, peers, || {
            let found = params.fit(x.view(), &Unlimited).map_err(Error::other)?;
            Ok(Outcome {
                labels: Some(found.labels),
                ..Outcome::default()
            })
        })
    }

    fn silhouette(&mut self, rows: usize, columns: usize) -> Result<()> {
        let name = format!("silhouette of all {rows} x {columns}, 8 clusters");
        if !self.wanted(&name) {
            return Ok(());
        }
        let x = blobs(rows, columns, 8, 3.0, 0.0);
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).map_err(Error::other)?;
        let clusters = KMeans::default()
            .fit(&blocks, None, &Unlimited)
            .map_err(Error::other)?;
        let labels: Vec<i32> = clusters.labels.iter().map(|label| *label as i32).collect();
        let file = self.folder.join("labels");
        let bytes: Vec<u8> = labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect();
        std::fs::write(&file, bytes)?;
        let request = json!({"work": "silhouette", "labels": file});
        let evaluation = ClusterEvaluation {
            sample: None,
            ..ClusterEvaluation::default()
        };
        self.compare(&name, &x, request, &["sklearn"], || {
            let found = evaluation
                .fit(&blocks, &labels, &Unlimited)
                .map_err(Error::other)?;
            Ok(Outcome {
                figure: found.silhouette,
                ..Outcome::default()
            })
        })
    }

    /// Takes turns and keeps the figures: medians, ratios, and how alike the results are.
    fn compare(
        &mut self,
        name: &str,
        x: &Array2<f64>,
        request: Value,
        peers: &[&str],
        ours: impl Fn() -> Result<Outcome>,
    ) -> Result<()> {
        let (rows, columns) = x.dim();
        let file = self
            .folder
            .join(format!("rows-{rows}-{columns}-{}", self.figures.len()));
        let peers = if self.peer.is_some() { peers } else { &[] };
        if !peers.is_empty() {
            let bytes: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(&file, bytes)?;
        }
        let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut own = Outcome::default();
        let mut likeness = serde_json::Map::new();
        for turn in 0..=self.options.runs {
            let started = Instant::now();
            own = ours()?;
            if turn > 0 {
                let spent = started.elapsed().as_secs_f64();
                seconds.entry("tributary").or_default().push(spent);
            }
            for &name in peers {
                let Some(peer) = &mut self.peer else { break };
                let mut request = request.clone();
                request["peer"] = json!(name);
                request["data"] = json!(file);
                request["rows"] = json!(rows);
                request["columns"] = json!(columns);
                let answer = peer.ask(&request)?;
                if turn > 0 {
                    let spent = answer["seconds"].as_f64().unwrap_or(f64::NAN);
                    seconds.entry(name).or_default().push(spent);
                } else {
                    likeness.insert(name.to_owned(), alike(&own, &answer)?);
                }
            }
        }
        if !peers.is_empty() {
            std::fs::remove_file(&file)?;
        }
        let median = |times: &Vec<f64>| {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let medians: BTreeMap<&str, f64> = seconds
            .iter()
            .map(|(name, times)| (*name, median(times)))
            .collect();
        let ours = medians.get("tributary").copied().unwrap_or(f64::NAN);
        let ratios: BTreeMap<&str, f64> = medians
            .iter()
            .filter(|(name, _)| **name != "tributary")
            .map(|(name, seconds)| (*name, seconds / ours))
            .collect();
        let clusters = own
            .labels
            .as_ref()
            .and_then(|labels| labels.iter().max().map(|label| label + 1));
        // A long run shows how far it is.
        let _ = writeln!(std::io::stderr(), "{name}: {medians:?} {likeness:?}");
        self.figures.push(json!({
            "suite": "cluster", "work": name, "seconds": medians, "times_faster_than": ratios,
            "figure": own.figure, "clusters": clusters, "agreement": likeness, "runs": self.options.runs,
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
        }));
        Ok(())
    }
}

/// Adjusted Rand index of the labels, or the ratio of the figures.
fn alike(own: &Outcome, answer: &Value) -> Result<Value> {
    if let (Some(labels), Some(file)) = (&own.labels, answer["labels"].as_str()) {
        let bytes = std::fs::read(file)?;
        let (words, _) = bytes.as_chunks::<4>();
        let theirs: Vec<i32> = words.iter().map(|word| i32::from_le_bytes(*word)).collect();
        let found = agreement(labels, &theirs, &Unlimited).map_err(Error::other)?;
        return Ok(
            json!({"adjusted_rand": found.adjusted_rand, "equal_labels": *labels == theirs}),
        );
    }
    let theirs = answer["inertia"].as_f64().or(answer["silhouette"].as_f64());
    Ok(match (own.figure, theirs) {
        (Some(own), Some(theirs)) => json!({"ratio": own / theirs}),
        _ => Value::Null,
    })
}

/// Normal blobs of deviation `spread` around centres drawn from a cube of 20, and a share of rows strewn over it.
fn blobs(rows: usize, columns: usize, centres: usize, spread: f64, noise: f64) -> Array2<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let means: Vec<f64> = (0..centres * columns)
        .map(|_| random.random_range(-10.0..10.0))
        .collect();
    let mut x = Array2::zeros((rows, columns));
    for mut row in x.outer_iter_mut() {
        let strewn = random.random_range(0.0..1.0) < noise;
        let centre = random.random_range(0..centres) * columns;
        for (value, mean) in row.iter_mut().zip(means.iter().skip(centre)) {
            *value = if strewn {
                random.random_range(-10.0..10.0)
            } else {
                // Box and Muller; one of the pair.
                let radius = (-2.0 * (1.0 - random.random_range(0.0..1.0_f64)).ln()).sqrt();
                let angle = random.random_range(0.0..std::f64::consts::TAU);
                mean + spread * radius * angle.cos()
            };
        }
    }
    x
}
