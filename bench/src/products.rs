//! Product matching in the suite `fusion`: two generated catalogs, and DBLP-ACM where its files are given.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tributary_algo::Unlimited;
use tributary_algo::fusion::products::{Catalog, MatchProducts, ProductMatch};

use crate::fusion::{Outcome, median, tsv};

const MAKERS: &str = "acme aurora belkor brightway castor delmar edison falcon gentek halden ionix jupiter kestrel lumo \
marlin nordic orbit pelican quasar rexon solara tempo ultra vertex westfield xenon yamato zephyr";
const THINGS: [(&str, &str); 12] = [
    ("digital camera", "compact camera"),
    ("cordless drill", "drill driver"),
    ("electric kettle", "kettle"),
    ("led monitor", "lcd display"),
    ("wireless headphones", "bluetooth headset"),
    ("coffee maker", "coffee machine"),
    ("vacuum cleaner", "vacuum"),
    ("laser printer", "printer"),
    ("microwave oven", "microwave"),
    ("desk lamp", "table lamp"),
    ("external hard drive", "portable disk"),
    ("wireless router", "wifi router"),
];
const COLOURS: [&str; 6] = ["black", "white", "silver", "red", "blue", "graphite"];
const FRILLS: [&str; 8] = [
    "with charger",
    "new",
    "pack",
    "series",
    "professional",
    "refurbished",
    "retail box",
    "2 year warranty",
];

/// A catalog with everything owned.
#[derive(Default)]
struct Owned {
    titles: Vec<String>,
    brands: Vec<String>,
    prices: Vec<f64>,
}

impl Owned {
    fn matched(&self, other: &Self) -> Outcome<Vec<ProductMatch>> {
        fn texts(texts: &[String]) -> Vec<&str> {
            texts.iter().map(String::as_str).collect()
        }
        let left = (texts(&self.titles), texts(&self.brands));
        let right = (texts(&other.titles), texts(&other.brands));
        let catalog = |titles, brands, prices| Catalog {
            titles,
            brands,
            gtins: &[],
            prices,
        };
        let left = catalog(&left.0, &left.1, &self.prices);
        let right = catalog(&right.0, &right.1, &other.prices);
        Ok(MatchProducts::default().fit(&left, &right, &Unlimited)?)
    }
}

/// Two catalogs of `n` products each of which the first four fifths are the same, row by row.
fn catalogs(n: usize, seed: u64) -> (Owned, Owned) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let makers: Vec<&str> = MAKERS.split_whitespace().collect();
    let (mut left, mut right) = (Owned::default(), Owned::default());
    for at in 0..n {
        let mut product = || {
            let maker = makers[random.random_range(0..makers.len())];
            let thing = THINGS[random.random_range(0..THINGS.len())];
            let letters: String = (0..2)
                .map(|_| char::from(random.random_range(b'a'..=b'z')))
                .collect();
            // Numbers close to each other: models of one series differ in a digit.
            let number = 100 + 10 * random.random_range(0..60) + random.random_range(0..3);
            let colour = COLOURS[random.random_range(0..COLOURS.len())];
            let price: f64 = (random.random_range(2.5..7.0_f64)).exp();
            (maker, thing, format!("{letters}{number}"), colour, price)
        };
        let one = product();
        let other = if at < n * 4 / 5 {
            one.clone()
        } else {
            product()
        };
        for (side, (maker, thing, code, colour, price)) in [(&mut left, one), (&mut right, other)] {
            let first = random.random_bool(0.6);
            let mut words = vec![if first { thing.0 } else { thing.1 }.to_owned()];
            if random.random_bool(0.8) {
                words.insert(0, maker.to_owned());
            }
            if random.random_bool(0.75) {
                let (head, tail) = code.split_at(2);
                let written = match random.random_range(0..3) {
                    0 => code.to_uppercase(),
                    1 => format!("{head}-{tail}").to_uppercase(),
                    _ => code.clone(),
                };
                words.insert(random.random_range(0..=words.len()), written);
            }
            if random.random_bool(0.5) {
                words.push(colour.to_owned());
            }
            for _ in 0..random.random_range(0..3) {
                words.push(FRILLS[random.random_range(0..FRILLS.len())].to_owned());
            }
            side.titles.push(words.join(" "));
            side.brands.push(if random.random_bool(0.6) {
                maker.to_owned()
            } else {
                String::new()
            });
            let known = random.random_bool(0.7);
            side.prices.push(if known {
                price * random.random_range(0.85..1.15)
            } else {
                f64::NAN
            });
        }
    }
    (left, right)
}

/// Matches the generated catalogs and, where its files are in `dblp_acm`, DBLP-ACM.
pub fn products(runs: usize, dblp_acm: Option<&Path>) -> Outcome<Vec<Value>> {
    let mut figures = Vec::new();
    for seed in [1, 2, 3] {
        let n = 5_000;
        let (left, right) = catalogs(n, seed);
        let (seconds, found) = timed(runs, &left, &right)?;
        let hits = found
            .iter()
            .filter(|found| found.left == found.right && (found.left as usize) < n * 4 / 5)
            .count();
        let (precision, recall) = (
            hits as f64 / found.len() as f64,
            hits as f64 / (n * 4 / 5) as f64,
        );
        figures.push(json!({
            "suite": "fusion", "work": format!("match two generated catalogs of {n} products, seed {seed}"), "seconds": seconds,
            "precision": precision, "recall": recall, "f1": f1(precision, recall), "runs": runs,
        }));
    }
    if let Some(directory) = dblp_acm {
        let (left, right) = (
            bibliography(&directory.join("dblp.tsv"))?,
            bibliography(&directory.join("acm.tsv"))?,
        );
        let (seconds, found) = timed(runs, &left, &right)?;
        let by_left: HashMap<u32, u32> = found
            .iter()
            .map(|found| (found.left, found.right))
            .collect();
        let (mut both, mut predicted, mut gold) = (0_u32, 0_u32, 0_u32);
        for row in tsv(&directory.join("dblp_acm.tsv"))?.1 {
            if let [left, right, label] = &row[..] {
                let same = by_left.get(&left.parse()?) == Some(&right.parse()?);
                let label = label == "1";
                both += u32::from(same && label);
                predicted += u32::from(same);
                gold += u32::from(label);
            }
        }
        let (precision, recall) = (
            f64::from(both) / f64::from(predicted),
            f64::from(both) / f64::from(gold),
        );
        figures.push(json!({
            "suite": "fusion", "work": "match DBLP-ACM, judged on the labelled pairs", "seconds": seconds, "matches": found.len(),
            "labelled_matches": gold, "precision": precision, "recall": recall, "f1": f1(precision, recall), "runs": runs,
        }));
    }
    Ok(figures)
}

fn timed(runs: usize, left: &Owned, right: &Owned) -> Outcome<(f64, Vec<ProductMatch>)> {
    let mut found = left.matched(right)?;
    let mut taken = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        found = left.matched(right)?;
        taken.push(started.elapsed().as_secs_f64());
    }
    Ok((median(taken), found))
}

fn f1(precision: f64, recall: f64) -> f64 {
    2.0 * precision * recall / (precision + recall)
}

/// Titles, authors in the place of brands and years in that of prices.
fn bibliography(file: &Path) -> Outcome<Owned> {
    let mut owned = Owned::default();
    for row in tsv(file)?.1 {
        if let [_, title, authors, year] = &row[..] {
            owned.titles.push(title.clone());
            owned.brands.push(authors.clone());
            owned.prices.push(year.parse().unwrap_or(f64::NAN));
        }
    }
    Ok(owned)
}
