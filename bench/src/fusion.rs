//! The suite `fusion`: entity resolution beside Splink, on generated people and on FEBRL.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use tributary_algo::Unlimited;
use tributary_algo::fusion::evaluate::{Agreement, evaluate};
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::resolve::{Field, Kind, Records, Resolve, Resolved};
use tributary_algo::fusion::stitch::NULL;

use crate::graph::graph;
use crate::people::{COLUMNS, Noise, people};
use crate::products::products;

/// A result with any error.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the columns of people hold, and which are one's own.
pub const KINDS: [Kind; 6] = [
    Kind::Name,
    Kind::Name,
    Kind::Date,
    Kind::Email,
    Kind::Phone,
    Kind::Street,
];
pub const PERSONAL: [bool; 6] = [true, false, true, false, false, false];

/// A part of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Generated people.
    People,
    /// FEBRL3 and FEBRL4, which need `--python`.
    Febrl,
    /// Product catalogs.
    Products,
    /// Components, stitching, increments.
    Graph,
}

/// What the suite measures.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Parts to run.
    #[arg(long, value_delimiter = ',', default_values_t = [Part::People, Part::Febrl, Part::Products, Part::Graph])]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Records of people to make.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Seeds of the people.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    seeds: Vec<u64>,
    /// Rates of error, as multiples of the usual.
    #[arg(long, value_delimiter = ',', default_values_t = [1.0])]
    noise: Vec<f64>,
    /// Least probability of a link.
    #[arg(long, default_value_t = Resolve::default().threshold)]
    threshold: f64,
    /// A Python with splink and recordlinkage, to run the peers in `bench/peers` in the same call.
    #[arg(skip)]
    pub python: Option<PathBuf>,
    /// A directory with the files that `peers/dblp_acm.py` writes.
    #[arg(long)]
    dblp_acm: Option<PathBuf>,
    /// Directory for files that the peers read and write.
    #[arg(long, default_value = "target/bench-fusion")]
    scratch: PathBuf,
}

/// Columns of text with their true entities.
struct Table {
    names: Vec<String>,
    columns: Vec<Vec<String>>,
    truth: Vec<u32>,
    source: Vec<u32>,
}

/// Runs the suite.
pub fn fusion(runs: usize, options: &Options) -> Outcome<Vec<Value>> {
    std::fs::create_dir_all(&options.scratch)?;
    let mut figures = Vec::new();
    let wants = |part| options.parts.contains(&part);
    for &seed in options.seeds.iter().filter(|_| wants(Part::People)) {
        for &noise in &options.noise {
            figures.push(measure_people(runs, options, seed, noise)?);
        }
    }
    if let Some(python) = options.python.as_ref().filter(|_| wants(Part::Febrl)) {
        for set in ["febrl3", "febrl4"] {
            figures.push(measure_febrl(runs, options, python, set)?);
        }
    }
    if wants(Part::Products) {
        figures.extend(products(runs, options.dblp_acm.as_deref())?);
    }
    if wants(Part::Graph) {
        figures.extend(graph(
            runs,
            options.records,
            options.python.as_deref(),
            &options.scratch,
        )?);
    }
    Ok(figures)
}

fn measure_people(runs: usize, options: &Options, seed: u64, noise: f64) -> Outcome<Value> {
    let made = people(options.records, seed, Noise(noise));
    let mut table = Table {
        names: COLUMNS.map(str::to_owned).to_vec(),
        columns: vec![Vec::with_capacity(made.len()); COLUMNS.len()],
        truth: Vec::with_capacity(made.len()),
        source: Vec::with_capacity(made.len()),
    };
    for record in made {
        for (column, field) in table.columns.iter_mut().zip(record.fields) {
            column.push(field);
        }
        table.truth.push(record.person);
        table.source.push(u32::from(record.channel));
    }
    let rules = Resolve {
        threshold: options.threshold,
        review_threshold: Resolve::default().review_threshold.min(options.threshold),
        ..Resolve::default()
    };
    let (seconds, found, agreement) = resolve(runs, &table, &KINDS, &PERSONAL, &rules)?;
    let mut figure = json!({
        "suite": "fusion", "work": format!("resolve {} people records, seed {seed}, noise {noise}", options.records),
        "seconds": seconds, "peak_memory_mb": peak_memory_mb(), "runs": runs, "pairs": found.pairs,
        "quality": quality(&agreement),
    });
    if let Some(python) = &options.python {
        figure["peer"] = splink(python, options, &table, "people")?;
    }
    Ok(figure)
}

fn measure_febrl(runs: usize, options: &Options, python: &Path, set: &str) -> Outcome<Value> {
    let file = options.scratch.join(format!("{set}.tsv"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/febrl.py");
    run(Command::new(python).arg(script).arg(set).arg(&file))?;
    let table = read(&file)?;
    let kind = |name: &str| match name {
        "given_name" | "surname" => Kind::Name,
        "date_of_birth" => Kind::Date,
        "street_number" | "postcode" | "soc_sec_id" => Kind::Code,
        "state" => Kind::Exact,
        _ => Kind::Text,
    };
    let kinds: Vec<Kind> = table.names.iter().map(|name| kind(name)).collect();
    let personal: Vec<bool> = table
        .names
        .iter()
        .map(|name| matches!(name.as_str(), "given_name" | "date_of_birth" | "soc_sec_id"))
        .collect();
    let linking = set == "febrl4";
    let base = Resolve {
        across_sources: linking,
        ..Resolve::default()
    };
    let (seconds, _, agreement) = resolve(runs, &table, &kinds, &personal, &base)?;
    let mut figure = json!({
        "suite": "fusion", "work": format!("resolve {set}"), "seconds": seconds, "runs": runs, "quality": quality(&agreement),
    });
    if linking {
        let options = Resolve {
            one_to_one: true,
            ..base
        };
        let (.., agreement) = resolve(1, &table, &kinds, &personal, &options)?;
        figure["quality_one_to_one"] = quality(&agreement);
    }
    figure["peer"] = splink(python, options, &table, set)?;
    Ok(figure)
}

/// The median of the seconds from text to entities, with the last result.
fn resolve(
    runs: usize,
    table: &Table,
    kinds: &[Kind],
    personal: &[bool],
    options: &Resolve,
) -> Outcome<(f64, Resolved, Agreement)> {
    let once = || -> Outcome<(f64, Resolved)> {
        let started = Instant::now();
        let mut interned = Vec::with_capacity(kinds.len());
        for column in &table.columns {
            let mut values = Strings::new();
            let codes = column
                .iter()
                .map(|text| {
                    if text.is_empty() {
                        Ok(NULL)
                    } else {
                        values.intern(text.as_bytes(), &Unlimited)
                    }
                })
                .collect::<Result<Vec<u32>, _>>()?;
            interned.push((values, codes));
        }
        let fields: Vec<Field<'_>> = interned
            .iter()
            .zip(kinds.iter().zip(personal))
            .map(|((values, codes), (kind, personal))| Field {
                kind: *kind,
                codes,
                values,
                personal: *personal,
            })
            .collect();
        let data = Records {
            records: table.truth.len(),
            fields: &fields,
            source: Some(&table.source),
            ..Records::default()
        };
        let found = options.fit(&data, &Unlimited)?;
        Ok((started.elapsed().as_secs_f64(), found))
    };
    let mut taken = Vec::new();
    let (_, mut found) = once()?;
    for _ in 0..runs {
        let (seconds, again) = once()?;
        taken.push(seconds);
        found = again;
    }
    let agreement = evaluate(&found.entity, &table.truth, &Unlimited)?;
    Ok((median(taken), found, agreement))
}

/// Runs Splink on the table and judges its clusters as ours.
fn splink(python: &Path, options: &Options, table: &Table, set: &str) -> Outcome<Value> {
    let (input, output) = (
        options.scratch.join("peer.tsv"),
        options.scratch.join("clusters.tsv"),
    );
    write(&input, table)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/splink_people.py");
    let told = run(Command::new(python)
        .arg(script)
        .arg(set)
        .arg(&input)
        .arg(&output))?;
    let mut peer: Value = serde_json::from_str(told.lines().last().unwrap_or("null"))?;
    let clusters = read(&output)?;
    for (name, column) in clusters.names.iter().zip(&clusters.columns) {
        let labels = column
            .iter()
            .map(|label| label.parse())
            .collect::<Result<Vec<u32>, _>>()?;
        peer[name] = quality(&evaluate(&labels, &table.truth, &Unlimited)?);
    }
    Ok(peer)
}

fn quality(agreement: &Agreement) -> Value {
    json!({
        "precision": agreement.pairwise.precision, "recall": agreement.pairwise.recall, "f1": agreement.pairwise.f1,
        "bcubed_f1": agreement.bcubed.f1, "clusters": agreement.clusters, "true_clusters": agreement.truth_clusters,
        "largest": agreement.largest_cluster, "true_largest": agreement.truth_largest_cluster,
    })
}

/// Runs a program and returns what it prints.
pub fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// The names of the columns and the rows of a tab separated file.
pub fn tsv(file: &Path) -> Outcome<(Vec<String>, Vec<Vec<String>>)> {
    let text = std::fs::read_to_string(file)?;
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap_or_default());
    Ok((names, lines.map(fields).collect()))
}

/// The median, NaN of none.
pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Reads a table whose first line names the columns; `entity` holds the truth, `source` the data set, both numbers.
fn read(file: &Path) -> Outcome<Table> {
    let (names, rows) = tsv(file)?;
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for row in rows {
        for (column, field) in columns.iter_mut().zip(row) {
            column.push(field);
        }
    }
    let mut by_name: HashMap<String, Vec<String>> = names.iter().cloned().zip(columns).collect();
    let mut take = |name: &str| -> Outcome<Vec<u32>> {
        let column = by_name.remove(name).unwrap_or_default();
        Ok(column
            .iter()
            .map(|number| number.parse())
            .collect::<Result<_, _>>()?)
    };
    let (truth, source) = (take("entity")?, take("source")?);
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| by_name.contains_key(name))
        .collect();
    let columns = names
        .iter()
        .map(|name| by_name.remove(name).unwrap_or_default())
        .collect();
    Ok(Table {
        names,
        columns,
        truth,
        source,
    })
}

fn write(file: &Path, table: &Table) -> Outcome<()> {
    let mut text = String::from("unique_id\tsource");
    for name in &table.names {
        write!(text, "\t{name}")?;
    }
    text.push('\n');
    for (row, source) in table.source.iter().enumerate() {
        write!(text, "{row}\t{source}")?;
        for column in &table.columns {
            write!(text, "\t{}", column.get(row).map_or("", String::as_str))?;
        }
        text.push('\n');
    }
    Ok(std::fs::write(file, text)?)
}

/// The most memory this process has held, in megabytes, where the system tells.
fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
