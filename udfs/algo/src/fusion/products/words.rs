//! The words of titles, weighted by how rare they are, and the model codes among them.

use super::{Host, Result, Strings, jaro_winkler, reserve_for, unaccent};

/// Units that make a number a measure and not a model.
const UNITS: [&str; 38] = [
    "gb", "mb", "tb", "kb", "ghz", "mhz", "hz", "mp", "mm", "cm", "m", "km", "in", "inch", "ft",
    "oz", "lb", "lbs", "kg", "g", "mg", "ml", "l", "cl", "w", "kw", "v", "mah", "ah", "p", "i",
    "x", "pk", "pc", "pcs", "ct", "dpi", "rpm",
];
/// Words of which more products than this share of a catalog have one do not find candidates, if there are more than
/// [`COMMON_ROWS`] of them.
const COMMON_SHARE: f64 = 0.1;
const COMMON_ROWS: usize = 200;

/// The words of a title and its model codes, in small letters without accents. A word of digits and letters in one, such as
/// `DSC-W120`, is a code without what separates it, and counts as a word whole and in its parts; a number and a unit behind it are one
/// word, `120 GB` as `120gb`. Chinese, Japanese and Korean text counts by pairs of characters.
pub(super) fn words_of(title: &str) -> (Vec<String>, Vec<String>) {
    let plain = unaccent(title).to_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mut codes: Vec<String> = Vec::new();
    for piece in plain.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '/' | '.' | '_')))
    {
        let whole: String = piece.chars().filter(|c| c.is_alphanumeric()).collect();
        if !piece.contains('/') && is_code(&whole) {
            codes.push(whole.clone());
            words.push(whole.clone());
        }
        let before = words.len();
        for part in piece
            .split(|c: char| !c.is_alphanumeric())
            .filter(|part| !part.is_empty())
        {
            if piece.contains('/') && is_code(part) {
                codes.push(part.to_owned());
            }
            if part.chars().any(crate::text::names::is_cjk) {
                let characters: Vec<char> = part.chars().collect();
                words.extend(
                    characters
                        .windows(2)
                        .map(|pair| pair.iter().collect::<String>()),
                );
                continue;
            }
            let number = |last: &&mut String| last.bytes().all(|byte| byte.is_ascii_digit());
            if UNITS.contains(&part)
                && let Some(number) = words.last_mut().filter(number)
            {
                number.push_str(part);
            } else if part != whole || before == words.len() {
                words.push(part.to_owned());
            }
        }
    }
    for list in [&mut words, &mut codes] {
        list.sort_unstable();
        list.dedup();
    }
    (words, codes)
}

/// Letters and digits mixed, or many digits: at least four characters and not a measure.
fn is_code(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    if digits + letters != word.len() || word.len() < 4 || digits == 0 {
        return false;
    }
    if letters == 0 {
        // Four digits are a year, a capacity, a speed.
        return digits >= 5;
    }
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    !UNITS.contains(&unit)
}

/// Whether model codes agree: 2 when one is in both, or in the text of the other; 1 when one begins with the other, as a code
/// with and without its colour; 0 when they differ; `None` when a side has none.
pub(super) fn codes_agree(left: (&[String], &str), right: (&[String], &str)) -> Option<u8> {
    let (a, b) = (left.0, right.0);
    let in_text = |codes: &[String], text: &str| {
        codes
            .iter()
            .any(|code| code.len() >= 5 && text.contains(code.as_str()))
    };
    if a.iter().any(|code| b.binary_search(code).is_ok())
        || in_text(a, right.1)
        || in_text(b, left.1)
    {
        return Some(2);
    }
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let begins = |x: &String, y: &String| {
        x.len().min(y.len()) >= 4 && (x.starts_with(y.as_str()) || y.starts_with(x.as_str()))
    };
    Some(u8::from(a.iter().any(|x| b.iter().any(|y| begins(x, y)))))
}

/// The words of two lists of texts as numbers, with their weights and an index.
pub(super) struct Words {
    texts: Vec<String>,
    weights: Vec<f32>,
    /// Of each side, the words of each row, ascending.
    rows: [Vec<Vec<u32>>; 2],
    norms: [Vec<f32>; 2],
    /// Of each side, the rows that have each word.
    holders: [Vec<Vec<u32>>; 2],
}

/// How much two texts have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Overlap {
    /// Cosine of the weighted words.
    pub cosine: f64,
    /// Share of the weight of the lighter text that is in the other.
    pub containment: f64,
}

impl Words {
    pub fn of(left: &[Vec<String>], right: &[Vec<String>], host: &dyn Host) -> Result<Self> {
        let count: usize = left.iter().chain(right).map(Vec::len).sum();
        let _memory = reserve_for::<[u32; 4]>(host, count, "words of the titles")?;
        let mut numbers = Strings::new();
        let mut number = |side: &[Vec<String>]| -> Result<Vec<Vec<u32>>> {
            let row = |words: &Vec<String>| {
                let mut row = words
                    .iter()
                    .map(|word| numbers.intern(word.as_bytes(), host))
                    .collect::<Result<Vec<u32>>>()?;
                row.sort_unstable();
                Ok(row)
            };
            side.iter().map(row).collect()
        };
        let rows = [number(left)?, number(right)?];
        let holders = [0, 1].map(|side| {
            let mut holders = vec![Vec::new(); numbers.len()];
            for (row, words) in (0..).zip(&rows[side]) {
                for word in words {
                    holders[*word as usize].push(row);
                }
            }
            holders
        });
        let all = (left.len() + right.len()) as f64;
        let weights: Vec<f32> = (0..numbers.len())
            .map(|word| {
                let held = (holders[0][word].len() + holders[1][word].len()) as f64;
                ((all + 1.0) / (held + 0.5)).ln().max(0.01) as f32
            })
            .collect();
        let norm = |row: &Vec<u32>| {
            row.iter()
                .map(|word| weights[*word as usize].powi(2))
                .sum::<f32>()
                .sqrt()
        };
        let norms = [0, 1].map(|side| rows[side].iter().map(norm).collect());
        let texts = (0..numbers.len() as u32).map(|word| {
            String::from_utf8_lossy(numbers.get(word).unwrap_or_default()).into_owned()
        });
        Ok(Self {
            texts: texts.collect(),
            weights,
            rows,
            norms,
            holders,
        })
    }

    pub fn rows(&self, side: usize) -> usize {
        self.rows[side].len()
    }

    /// The rows of the other side with the highest cosines, the best first. `sums` is all zeros, one for each of those rows, and is so
    /// again afterwards.
    pub fn nearest(&self, side: usize, row: usize, most: usize, sums: &mut [f32]) -> Vec<u32> {
        let other = 1 - side;
        let common = COMMON_ROWS.max((self.rows(other) as f64 * COMMON_SHARE) as usize);
        let mut touched = Vec::new();
        for word in &self.rows[side][row] {
            let holders = &self.holders[other][*word as usize];
            if holders.len() > common {
                continue;
            }
            let weight = self.weights[*word as usize].powi(2);
            for &holder in holders {
                let sum = &mut sums[holder as usize];
                if *sum == 0.0 {
                    touched.push(holder);
                }
                *sum += weight;
            }
        }
        let mut scored: Vec<(f32, u32)> = touched
            .iter()
            .map(|&holder| {
                (
                    sums[holder as usize] / self.norms[other][holder as usize],
                    holder,
                )
            })
            .collect();
        for holder in touched {
            sums[holder as usize] = 0.0;
        }
        let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > most {
            scored.select_nth_unstable_by(most, better);
            scored.truncate(most);
        }
        scored.sort_unstable_by(better);
        scored.into_iter().map(|(_, holder)| holder).collect()
    }

    /// What two rows have in common. A word that is missing on the other side may be there with a typing error or cut short.
    pub fn overlap(&self, left: usize, right: usize) -> Overlap {
        let (a, b) = (&self.rows[0][left], &self.rows[1][right]);
        let weight = |word: u32| f64::from(self.weights[word as usize]);
        let mut shared = 0.0;
        let (mut alone_left, mut alone_right) = (Vec::new(), b.clone());
        for &word in a {
            match alone_right.binary_search(&word) {
                Ok(at) => {
                    alone_right.remove(at);
                    shared += weight(word).powi(2);
                }
                Err(_) => alone_left.push(word),
            }
        }
        for word in alone_left {
            let text = self.texts[word as usize].as_str();
            let likeness = |other: &u32| alike(text, &self.texts[*other as usize]);
            let best = alone_right
                .iter()
                .enumerate()
                .map(|(at, other)| (likeness(other), at));
            if let Some((likeness, at)) = best
                .max_by(|x, y| x.0.total_cmp(&y.0))
                .filter(|(likeness, _)| *likeness > 0.0)
            {
                let other = alone_right.remove(at);
                shared += likeness * weight(word) * weight(other);
            }
        }
        let (x, y) = (
            f64::from(self.norms[0][left]),
            f64::from(self.norms[1][right]),
        );
        if x == 0.0 || y == 0.0 {
            return Overlap {
                cosine: 0.0,
                containment: 0.0,
            };
        }
        Overlap {
            cosine: (shared / (x * y)).min(1.0),
            containment: (shared / x.min(y).powi(2)).min(1.0),
        }
    }
}

/// How alike two different words are: 0 unless one is a typing error of the other, or its beginning. Numbers are equal or they are not.
fn alike(a: &str, b: &str) -> f64 {
    let numeric = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    if a.len().min(b.len()) < 4 || numeric(a) || numeric(b) {
        return 0.0;
    }
    let similarity = jaro_winkler(a, b);
    if similarity >= 0.93 {
        similarity
    } else if a.starts_with(b) || b.starts_with(a) {
        0.8
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    #[test]
    fn codes_are_told_from_measures() {
        let check = |title: &str, words: &[&str], codes: &[&str]| {
            let found = words_of(title);
            assert_eq!(found.0, words, "{title}");
            assert_eq!(found.1, codes, "{title}");
        };
        check(
            "Sony DSC-W120 Camera",
            &["camera", "dsc", "dscw120", "sony", "w120"],
            &["dscw120"],
        );
        check("Disk 120 GB, 7200rpm", &["120gb", "7200rpm", "disk"], &[]);
        check(
            "KDL40V/KDL46V",
            &["kdl40v", "kdl46v"],
            &["kdl40v", "kdl46v"],
        );
        check("Café 2019 Édition", &["2019", "cafe", "edition"], &[]);
        check("华为手机", &["为手", "华为", "手机"], &[]);
    }

    #[test]
    fn agreement_of_codes() {
        let check = |a: &str, b: &str, expected| {
            let squeeze = |text: &str| {
                text.to_lowercase()
                    .replace(|c: char| !c.is_alphanumeric(), "")
            };
            let ((_, x), (_, y)) = (words_of(a), words_of(b));
            assert_eq!(
                codes_agree((&x, &squeeze(a)), (&y, &squeeze(b))),
                expected,
                "{a} {b}"
            );
        };
        check("Sony DSC-W120", "Sony W 120 DSCW120 pink", Some(2));
        check("Sony DSC-W120", "Sony DSC W 120", Some(2));
        check("Sony DSC-W120", "Sony DSC-W120/P", Some(2));
        check("Canon ab1234", "Canon ab1234x9", Some(2));
        check("Sony DSC-W120", "Sony DSC-W130", Some(0));
        check("Sony DSC-W120", "Sony camera", None);
    }

    #[test]
    fn overlap_by_hand() {
        let side = |titles: &[&str]| {
            titles
                .iter()
                .map(|title| words_of(title).0)
                .collect::<Vec<_>>()
        };
        let words = Words::of(
            &side(&["red lamp", "blue lamp"]),
            &side(&["lamp red", "green chair"]),
            &Unlimited,
        )
        .unwrap();
        let same = words.overlap(0, 0);
        assert!((same.cosine - 1.0).abs() < 1e-6 && (same.containment - 1.0).abs() < 1e-6);
        assert_eq!(words.overlap(0, 1).cosine, 0.0);
        assert_eq!(words.nearest(0, 0, 2, &mut [0.0; 2]), [0]);
        assert!(alike("bluetooth", "bluetoth") > 0.9 && alike("w120", "w130") == 0.0);
    }
}
