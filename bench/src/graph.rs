//! Graphs of identifiers in the suite `fusion`: connected components, stitching, and increments to a trained ledger.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tributary_algo::Unlimited;
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::resolve::{Field, Ledger, Portion, Resolve};
use tributary_algo::fusion::stitch::NULL;
use tributary_algo::fusion::{IdColumn, Stitch, connected_ids};

use crate::fusion::{KINDS, Outcome, PERSONAL, median, run};
use crate::people::{Noise, Record, people};

/// Measures all three.
pub fn graph(
    runs: usize,
    records: usize,
    python: Option<&Path>,
    scratch: &Path,
) -> Outcome<Vec<Value>> {
    Ok(vec![
        components(runs, python, scratch)?,
        stitch(runs)?,
        increment(records)?,
    ])
}

/// Ten million edges between ids all over the 64 bits.
fn components(runs: usize, python: Option<&Path>, scratch: &Path) -> Outcome<Value> {
    let (edges, nodes) = (10_000_000_usize, 8_000_000_u64);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut id = |bound: u64| {
        random
            .random_range(0..bound)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let source: Vec<u64> = (0..edges).map(|_| id(nodes)).collect();
    let target: Vec<u64> = (0..edges).map(|_| id(nodes)).collect();
    let mut found = connected_ids(&source, &target, &Unlimited)?;
    let mut taken = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        found = connected_ids(&source, &target, &Unlimited)?;
        taken.push(started.elapsed().as_secs_f64());
    }
    let mut components = found.components;
    components.sort_unstable();
    components.dedup();
    let mut figure = json!({
        "suite": "fusion", "work": format!("connected components of {edges} edges of 64-bit ids"), "seconds": median(taken),
        "nodes": found.nodes.len(), "components": components.len(), "runs": runs,
    });
    if let Some(python) = python {
        let file = scratch.join("edges.bin");
        let bytes: Vec<u8> = source
            .iter()
            .chain(&target)
            .flat_map(|id| id.to_le_bytes())
            .collect();
        std::fs::write(&file, bytes)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/components.py");
        let told = run(Command::new(python).arg(script).arg(&file))?;
        figure["peer"] = serde_json::from_str(told.lines().last().unwrap_or("null"))?;
    }
    Ok(figure)
}

/// A million records with six identifiers, of which each is missing in some; devices are shared by many.
fn stitch(runs: usize) -> Outcome<Value> {
    let (records, people) = (1_000_000_usize, 400_000_u32);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut columns = vec![vec![NULL; records]; 6];
    let kiosks = 2_000;
    for record in 0..records {
        let person = random.random_range(0..people);
        for (at, column) in columns.iter_mut().enumerate() {
            if random.random_bool(0.5) {
                column[record] = match at {
                    5 if random.random_bool(0.05) => random.random_range(0..kiosks),
                    5 => kiosks + person,
                    4 if random.random_bool(0.02) => random.random_range(0..people),
                    _ => person,
                };
            }
        }
    }
    let ids: Vec<IdColumn<'_>> = columns
        .iter()
        .enumerate()
        .map(|(at, codes)| IdColumn {
            codes,
            values: (people + kiosks) as usize,
            max_values: (at == 0).then_some(1),
            links: true,
        })
        .collect();
    let mut found = Stitch::default().fit(records, &ids, &Unlimited)?;
    let mut taken = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        found = Stitch::default().fit(records, &ids, &Unlimited)?;
        taken.push(started.elapsed().as_secs_f64());
    }
    Ok(json!({
        "suite": "fusion", "work": format!("stitch {records} records with 6 ids, guards on"), "seconds": median(taken),
        "refusals": found.refusals.len(), "largest": found.entity_size.iter().max(), "runs": runs,
    }))
}

/// A portion of people made of what they owned.
struct Owned {
    ranks: Vec<u64>,
    columns: Vec<(Strings, Vec<u32>)>,
}

impl Owned {
    fn of(records: &[Record], first: usize) -> Outcome<Self> {
        let mut columns = Vec::new();
        for at in 0..KINDS.len() {
            let mut values = Strings::new();
            let code = |record: &Record| match record.fields[at].as_str() {
                "" => Ok(NULL),
                text => values.intern(text.as_bytes(), &Unlimited),
            };
            let codes = records.iter().map(code).collect::<Result<Vec<u32>, _>>()?;
            columns.push((values, codes));
        }
        let rank = |at: usize| (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ok(Self {
            ranks: (first..first + records.len()).map(rank).collect(),
            columns,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Portion<'_>) -> T) -> T {
        let fields: Vec<Field<'_>> = self
            .columns
            .iter()
            .zip(KINDS.iter().zip(PERSONAL))
            .map(|((values, codes), (kind, personal))| Field {
                kind: *kind,
                codes,
                values,
                personal,
            })
            .collect();
        work(&Portion {
            ranks: &self.ranks,
            fields: &fields,
            ..Portion::default()
        })
    }
}

/// New people in a hundredth of the number of those already resolved.
fn increment(records: usize) -> Outcome<Value> {
    let new = (records / 100).max(1);
    let made = people(records + new, 1, Noise(1.0));
    let (old, fresh) = made.split_at(records);
    let (old, fresh) = (Owned::of(old, 0)?, Owned::of(fresh, records)?);
    let started = Instant::now();
    let mut ledger = old.with(|portion| Ledger::train(&Resolve::default(), portion, &Unlimited))?;
    let training = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let changed = fresh.with(|portion| ledger.insert(portion, &Unlimited))?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({
        "suite": "fusion", "work": format!("{new} new people records into {records} resolved"), "seconds": seconds,
        "training_seconds": training, "changed": changed.len(), "runs": 1,
    }))
}
