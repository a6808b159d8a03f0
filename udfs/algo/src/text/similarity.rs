//! How alike two strings are: edit distances, Jaro and Winkler, and overlaps of their parts.
//!
//! Everything is defined on Unicode characters. ASCII, which most values are, is compared as bytes.

use std::collections::HashMap;
use std::hash::Hash;

/// Jaro similarity (Jaro 1989), in 0..=1: with m characters that match within half the longer length, and t transposed
/// pairs among them, `(m/|a| + m/|b| + (m - t)/m) / 3`. Two empty strings are equal, 1.
///
/// Time O(|a| |b|) at worst, near O(|a| + |b|) on names.
pub fn jaro(a: &str, b: &str) -> f64 {
    characters(a, b, jaro_of, jaro_of)
}

/// Jaro-Winkler similarity (Winkler 1990), in 0..=1: [`jaro`], and where that is over 0.7, a tenth of the way to 1 for each of
/// up to four characters of common prefix.
pub fn jaro_winkler(a: &str, b: &str) -> f64 {
    characters(a, b, jaro_winkler_of, jaro_winkler_of)
}

/// Levenshtein distance: the least number of insertions, deletions and substitutions of characters.
///
/// Time O(|a| |b| / 64), memory O(|a| + |b|), by the bit vectors of Myers (1999) as Hyyrö (2003) cut them into blocks.
pub fn levenshtein(a: &str, b: &str) -> usize {
    characters(a, b, levenshtein_of, levenshtein_of)
}

/// Damerau-Levenshtein distance: as [`levenshtein`], and the exchange of two adjacent characters is one step, also when others
/// are inserted between them (the true metric of Lowrance and Wagner 1975, not the restricted "optimal string alignment").
///
/// Time O(|a| |b|), memory O(|a| + |b|), after Zhao and Sahinalp (2020).
pub fn damerau_levenshtein(a: &str, b: &str) -> usize {
    characters(a, b, damerau_of, damerau_of)
}

/// Jaccard index of the sets of [`grams`] of length `q`: common grams by all grams. Two strings without grams are equal, 1.
pub fn jaccard(a: &str, b: &str, q: usize) -> f64 {
    jaccard_of(grams(a, q), grams(b, q))
}

/// Jaccard index of the sets of words: runs of letters and digits, without regard to case. Two strings without words are equal, 1.
pub fn token_jaccard(a: &str, b: &str) -> f64 {
    jaccard_of(words(a), words(b))
}

/// Cosine of the counts of [`grams`] of length `q`. Two strings without grams are equal, 1; one of them, 0.
pub fn cosine(a: &str, b: &str, q: usize) -> f64 {
    let (a, b) = (counts(grams(a, q)), counts(grams(b, q)));
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a.is_empty() && b.is_empty()));
    }
    let square = |counts: &[(String, u64)]| counts.iter().map(|(_, n)| n * n).sum::<u64>() as f64;
    let mut dot = 0;
    let mut others = b.iter().peekable();
    for (gram, n) in &a {
        while others.next_if(|(other, _)| other < gram).is_some() {}
        if let Some((_, m)) = others.next_if(|(other, _)| other == gram) {
            dot += n * m;
        }
    }
    // One root of the product: equal counts then give exactly 1.
    dot as f64 / (square(&a) * square(&b)).sqrt()
}

/// The substrings of `q` characters of each word of `text`, the word having one blank before and behind it, so that its ends
/// count; a word too short for that is a gram as it is. Words are separated by white space; case is folded.
pub fn grams(text: &str, q: usize) -> Vec<String> {
    let mut grams = Vec::new();
    for word in text.to_lowercase().split_whitespace() {
        let padded: Vec<char> = std::iter::once(' ')
            .chain(word.chars())
            .chain(std::iter::once(' '))
            .collect();
        if padded.len() <= q {
            grams.push(padded.into_iter().collect());
        } else if q > 0 {
            grams.extend(
                padded
                    .windows(q)
                    .map(|gram| gram.iter().collect::<String>()),
            );
        }
    }
    grams
}

/// The words of `text`: runs of letters and digits, in small letters.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Calls `bytes` when both strings are ASCII, else `chars`.
fn characters<T>(
    a: &str,
    b: &str,
    bytes: impl Fn(&[u8], &[u8]) -> T,
    chars: impl Fn(&[char], &[char]) -> T,
) -> T {
    if a.is_ascii() && b.is_ascii() {
        return bytes(a.as_bytes(), b.as_bytes());
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    chars(&a, &b)
}

fn jaro_of<C: Copy + Eq>(a: &[C], b: &[C]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a.is_empty() && b.is_empty()));
    }
    let matched = if b.len() <= 64 {
        short_matches(a, b)
    } else {
        long_matches(a, b)
    };
    let (common, transposed) = matched;
    if common == 0 {
        return 0.0;
    }
    let m = common as f64;
    let t = (transposed / 2) as f64;
    (m / a.len() as f64 + m / b.len() as f64 + (m - t) / m) / 3.0
}

/// Matching characters, and how many of them stand in another order, with the taken places of `b` as the bits of a word.
fn short_matches<C: Copy + Eq>(a: &[C], b: &[C]) -> (usize, usize) {
    let window = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = 0_u64;
    let mut found = 0_u128;
    // Beyond this place of `a` no window reaches into `b`, so that its places fit the bits of `found`.
    let reach = a.len().min(b.len() + window).min(128);
    for (at, &c) in a.iter().enumerate().take(reach) {
        let from = at.saturating_sub(window);
        let to = (at + window + 1).min(b.len());
        let places = b.iter().enumerate().take(to).skip(from);
        let free = |place: usize| taken >> place & 1 == 0;
        if let Some((place, _)) = places
            .into_iter()
            .find(|&(place, d)| free(place) && *d == c)
        {
            taken |= 1 << place;
            found |= 1 << at;
        }
    }
    if a.len().min(b.len() + window) > reach {
        return long_matches(a, b);
    }
    let mut transposed = 0;
    let (mut left, mut right) = (found, taken);
    while left != 0 && right != 0 {
        let (i, j) = (left.trailing_zeros(), right.trailing_zeros());
        transposed += usize::from(a[i as usize] != b[j as usize]);
        left &= left - 1;
        right &= right - 1;
    }
    (found.count_ones() as usize, transposed)
}

/// As [`short_matches`], for strings of any length.
fn long_matches<C: Copy + Eq>(a: &[C], b: &[C]) -> (usize, usize) {
    let window = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut common = Vec::new();
    for (at, &c) in a.iter().enumerate() {
        let from = at.saturating_sub(window).min(b.len());
        let to = (at + window + 1).min(b.len());
        if let Some(place) = (from..to).find(|&place| !taken[place] && b[place] == c) {
            taken[place] = true;
            common.push(c);
        }
    }
    let others = b.iter().zip(&taken).filter(|(_, taken)| **taken);
    let transposed = common.iter().zip(others).filter(|(a, (b, _))| a != b);
    (common.len(), transposed.count())
}

fn jaro_winkler_of<C: Copy + Eq>(a: &[C], b: &[C]) -> f64 {
    let jaro = jaro_of(a, b);
    if jaro <= 0.7 {
        return jaro;
    }
    let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).count();
    jaro + prefix as f64 * 0.1 * (1.0 - jaro)
}

fn levenshtein_of<C: Copy + Eq + Hash>(a: &[C], b: &[C]) -> usize {
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev());
    let suffix = suffix.take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if a.is_empty() {
        return b.len();
    }
    let blocks = a.len().div_ceil(64);
    // Places of each character of the shorter string, 64 to a word.
    let mut places: HashMap<C, Vec<u64>> = HashMap::new();
    for (at, &c) in a.iter().enumerate() {
        places.entry(c).or_insert_with(|| vec![0; blocks])[at / 64] |= 1 << (at % 64);
    }
    let nowhere = vec![0; blocks];
    let last = 1_u64 << ((a.len() - 1) % 64);
    // Vertical differences of the column of the edit matrix: +1 and -1.
    let mut up = vec![u64::MAX; blocks];
    let mut down = vec![0_u64; blocks];
    let mut distance = a.len();
    for c in b {
        let at = places.get(c).unwrap_or(&nowhere);
        // Horizontal differences carried from one block to the next; the first row grows by one a column.
        let (mut carry_up, mut carry_down) = (1_u64, 0_u64);
        for block in 0..blocks {
            let (p, n) = (up[block], down[block]);
            let x = at[block] | carry_down;
            let zero = ((x & p).wrapping_add(p) ^ p) | x | n;
            let mut across_up = n | !(zero | p);
            let mut across_down = p & zero;
            if block + 1 == blocks {
                distance += usize::from(across_up & last != 0);
                distance -= usize::from(across_down & last != 0);
            }
            let (out_up, out_down) = (across_up >> 63, across_down >> 63);
            across_up = across_up << 1 | carry_up;
            across_down = across_down << 1 | carry_down;
            up[block] = across_down | !(zero | across_up);
            down[block] = across_up & zero;
            (carry_up, carry_down) = (out_up, out_down);
        }
    }
    distance
}

fn damerau_of<C: Copy + Eq + Hash>(a: &[C], b: &[C]) -> usize {
    let infinity = a.len() + b.len() + 1;
    // Row of `a` where each character was last seen, counted from 1.
    let mut last_row: HashMap<C, usize> = HashMap::new();
    // Two rows of the edit matrix, and per column the cell diagonally before the last match of that column's character.
    let mut above: Vec<usize> = vec![infinity; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut before_match = vec![infinity; b.len() + 1];
    for (i, &c) in a.iter().enumerate().map(|(at, c)| (at + 1, c)) {
        // `above` still holds the row before the last one; it is read a cell at a time before it is overwritten.
        std::mem::swap(&mut row, &mut above);
        let mut last_column = None;
        let mut two_above = row[0];
        let mut before_last_match = infinity;
        row[0] = i;
        for (j, &d) in b.iter().enumerate().map(|(at, d)| (at + 1, d)) {
            let replaced = above[j - 1] + usize::from(c != d);
            let mut least = replaced.min(row[j - 1] + 1).min(above[j] + 1);
            if c == d {
                last_column = Some(j);
                before_match[j] = if j >= 2 { above[j - 2] } else { infinity };
                before_last_match = two_above;
            } else if let (Some(&k), Some(l)) = (last_row.get(&d), last_column) {
                // One of the two gaps is empty in a best alignment.
                if j - l == 1 {
                    least = least.min(before_match[j] + (i - k));
                } else if i - k == 1 {
                    least = least.min(before_last_match + (j - l));
                }
            }
            two_above = row[j];
            row[j] = least;
        }
        last_row.insert(c, i);
    }
    row.last().copied().unwrap_or(0)
}

fn jaccard_of(mut a: Vec<String>, mut b: Vec<String>) -> f64 {
    for set in [&mut a, &mut b] {
        set.sort_unstable();
        set.dedup();
    }
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let common = a
        .iter()
        .filter(|gram| b.binary_search(gram).is_ok())
        .count();
    common as f64 / (a.len() + b.len() - common) as f64
}

/// How often each part is there, in the order of the parts.
fn counts(mut parts: Vec<String>) -> Vec<(String, u64)> {
    parts.sort_unstable();
    let mut counts: Vec<(String, u64)> = Vec::new();
    for part in parts {
        match counts.last_mut() {
            Some((last, count)) if *last == part => *count += 1,
            _ => counts.push((part, 1)),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn jaro_by_hand() {
        // Six match, t and h have changed places.
        close(jaro("martha", "marhta"), (1.0 + 1.0 + 5.0 / 6.0) / 3.0);
        close(
            jaro_winkler("martha", "marhta"),
            0.944_444_444_444_444_4 + 0.3 * (1.0 / 18.0),
        );
        close(
            jaro("dixon", "dicksonx"),
            (4.0 / 5.0 + 4.0 / 8.0 + 1.0) / 3.0,
        );
        // Below 0.7 a common prefix counts for nothing.
        close(jaro_winkler("abcd", "axyz"), jaro("abcd", "axyz"));
        close(jaro("", ""), 1.0);
        close(jaro("a", ""), 0.0);
        close(jaro("ab", "ba"), 0.0);
        close(jaro("王小明", "王小明"), 1.0);
        close(
            jaro("王小明", "王小红"),
            (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0,
        );
    }

    #[test]
    fn distances_by_hand() {
        assert_eq!(levenshtein("kitten", "sitting"), 3);
        assert_eq!(levenshtein("", "abc"), 3);
        assert_eq!(levenshtein("flaw", "lawn"), 2);
        assert_eq!(levenshtein("北京市", "北京"), 1);
        assert_eq!(damerau_levenshtein("ca", "ac"), 1);
        assert_eq!(levenshtein("ca", "ac"), 2);
        // The restricted distance would be 3.
        assert_eq!(damerau_levenshtein("ca", "abc"), 2);
        assert_eq!(damerau_levenshtein("", ""), 0);
    }

    #[test]
    fn overlaps_by_hand() {
        assert_eq!(grams("Ab c", 2), [" a", "ab", "b ", " c", "c "]);
        assert_eq!(grams("a", 5), [" a "]);
        // {" a","ab","b "} and {" a","ac","c "} have one gram of five in common.
        close(jaccard("ab", "ac", 2), 0.2);
        close(token_jaccard("Blue Shirt", "shirt, red"), 1.0 / 3.0);
        close(cosine("ab", "ac", 2), 1.0 / 3.0);
        close(cosine("", "", 2), 1.0);
        close(cosine("a", "", 2), 0.0);
        close(jaccard("", "", 2), 1.0);
    }

    fn matrix(a: &[char], b: &[char], transpositions: bool) -> usize {
        // Lowrance and Wagner with the whole matrix, as printed.
        let infinity = a.len() + b.len();
        let mut d = vec![vec![infinity; b.len() + 2]; a.len() + 2];
        for (i, row) in d.iter_mut().enumerate().skip(1) {
            row[1] = i - 1;
        }
        for j in 0..=b.len() {
            d[1][j + 1] = j;
        }
        let mut rows = HashMap::new();
        for i in 1..=a.len() {
            let mut column = 0;
            for j in 1..=b.len() {
                let k = rows.get(&b[j - 1]).copied().unwrap_or(0);
                let l = column;
                let cost = usize::from(a[i - 1] != b[j - 1]);
                if cost == 0 {
                    column = j;
                }
                let mut least = (d[i][j] + cost).min(d[i + 1][j] + 1).min(d[i][j + 1] + 1);
                if transpositions {
                    least = least.min(d[k][l] + (i - k - 1) + 1 + (j - l - 1));
                }
                d[i + 1][j + 1] = least;
            }
            rows.insert(a[i - 1], i);
        }
        d[a.len() + 1][b.len() + 1]
    }

    proptest! {
        #[test]
        fn distances_are_those_of_the_whole_matrix(a in "[abcé]{0,9}", b in "[abcé]{0,9}") {
            let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(levenshtein(&a, &b), matrix(&x, &y, false));
            prop_assert_eq!(damerau_levenshtein(&a, &b), matrix(&x, &y, true));
        }

        #[test]
        fn long_strings_cross_the_blocks(a in "[ab]{50,200}", b in "[ab]{50,200}") {
            let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(levenshtein(&a, &b), matrix(&x, &y, false));
            prop_assert_eq!(short_matches(&x[..50], &y[..50]), long_matches(&x[..50], &y[..50]));
        }

        #[test]
        fn laws(a in "\\PC{0,12}", b in "\\PC{0,12}") {
            for similarity in [jaro, jaro_winkler, token_jaccard] {
                let found = similarity(&a, &b);
                prop_assert!((0.0..=1.0).contains(&found));
                prop_assert_eq!(similarity(&a, &a), 1.0);
            }
            prop_assert_eq!(jaccard(&a, &b, 3), jaccard(&b, &a, 3));
            prop_assert_eq!(cosine(&a, &b, 2), cosine(&b, &a, 2));
            prop_assert!(cosine(&a, &b, 2) <= 1.0 + 1e-15);
            prop_assert_eq!(damerau_levenshtein(&a, &b), damerau_levenshtein(&b, &a));
            prop_assert!(damerau_levenshtein(&a, &b) <= levenshtein(&a, &b));
        }

        #[test]
        fn short_and_long_jaro_are_one(a in "[abc]{0,90}", b in "[abc]{0,64}") {
            let (x, y) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(short_matches(x, y), long_matches(x, y));
        }
    }
}
