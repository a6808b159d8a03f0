use super::*;
use crate::Unlimited;
use proptest::prelude::*;

const MAKERS: [&str; 6] = ["Sony", "Canon", "Nikon", "Philips", "Bosch", "Braun"];
const THINGS: [&str; 8] = [
    "digital camera",
    "radio",
    "toaster",
    "kettle",
    "drill",
    "shaver",
    "lamp",
    "headphones",
];
const COLOURS: [&str; 5] = ["black", "white", "silver", "red", "blue"];

/// `n` products as two shops write them; every tenth of the second catalog is not in the first.
fn shops(n: usize) -> (Vec<String>, Vec<String>, Vec<f64>, Vec<f64>) {
    let code = |at: usize| format!("{}{}", ["DSC", "KX", "HR", "MZ"][at % 4], 100 + at * 37);
    let parts = |at: usize| (MAKERS[at % 6], THINGS[at * 5 % 8], COLOURS[at * 3 % 5]);
    let left = (0..n).map(|at| {
        let (maker, thing, colour) = parts(at);
        format!("{maker} {} {thing} {colour}", code(at))
    });
    let right = (0..n).map(|at| {
        let other = if at % 10 == 9 { at + n } else { at };
        let (maker, thing, colour) = parts(other);
        let code = code(other).replace("DSC", "DSC-");
        match at % 3 {
            0 => format!("{thing} {maker} {code}"),
            1 => format!("{maker} {thing}, {colour} ({code})"),
            _ => format!("{maker} {code} {thing} new"),
        }
    });
    let price = |at: usize| 20.0 + (at * 7 % 90) as f64;
    let prices = (0..n).map(price).collect();
    let others = (0..n)
        .map(|at| price(at) * [1.0, 1.1, 0.95][at % 3])
        .collect();
    (left.collect(), right.collect(), prices, others)
}

fn texts(titles: &[String]) -> Vec<&str> {
    titles.iter().map(String::as_str).collect()
}

#[test]
fn finds_the_products_of_two_shops() {
    let (left, right, prices, others) = shops(200);
    let (left, right) = (texts(&left), texts(&right));
    let left = Catalog {
        titles: &left,
        prices: &prices,
        ..Catalog::default()
    };
    let right = Catalog {
        titles: &right,
        prices: &others,
        ..Catalog::default()
    };
    let found = MatchProducts::default()
        .fit(&left, &right, &Unlimited)
        .unwrap();
    let right_ones = found
        .iter()
        .filter(|found| found.left == found.right && found.right % 10 != 9)
        .count();
    assert!(right_ones >= 176, "{right_ones} of 180");
    assert!(
        found.len() - right_ones <= 4,
        "{} wrong",
        found.len() - right_ones
    );
}

#[test]
fn bar_codes_find_what_titles_do_not() {
    let (mut left, mut right, ..) = shops(60);
    (left[0], right[0]) = ("Gift".to_owned(), "Present".to_owned());
    let mut gtins = vec![""; 60];
    gtins[0] = "4006381333931";
    let mut others = gtins.clone();
    others[0] = "04006381333931";
    // Enough others agree for the bar code to be believed.
    let more: Vec<String> = (0..60).map(|at| ean(400_000_000_000 + at * 17)).collect();
    for at in 1..60 {
        gtins[at] = &more[at];
        others[at] = if at % 10 == 9 { "" } else { &more[at] };
    }
    let (left, right) = (texts(&left), texts(&right));
    let left = Catalog {
        titles: &left,
        gtins: &gtins,
        ..Catalog::default()
    };
    let right = Catalog {
        titles: &right,
        gtins: &others,
        ..Catalog::default()
    };
    let found = MatchProducts::default()
        .fit(&left, &right, &Unlimited)
        .unwrap();
    let gift = found.iter().find(|found| found.left == 0).unwrap();
    assert_eq!((gift.right, gift.key), (0, ProductKey::Gtin));
}

fn ean(digits: u64) -> String {
    let digits = digits.to_string();
    let sum: u32 = digits
        .bytes()
        .zip([1, 3].iter().cycle())
        .map(|(d, w)| u32::from(d - b'0') * w)
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[test]
fn empty_catalogs_and_bad_parameters() {
    let none = Catalog::default();
    let titles = ["a lamp"];
    let one = Catalog {
        titles: &titles,
        ..Catalog::default()
    };
    assert_eq!(
        MatchProducts::default().fit(&none, &one, &Unlimited),
        Ok(Vec::new())
    );
    let wrong = MatchProducts {
        threshold: 1.0,
        ..MatchProducts::default()
    };
    let error = wrong.fit(&one, &one, &Unlimited).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"threshold\" must be above 0 and below 1, not 1"
    );
    let wrong = MatchProducts {
        candidates: 0,
        ..MatchProducts::default()
    };
    assert!(wrong.fit(&one, &one, &Unlimited).is_err());
    let blank = [""];
    let blank = Catalog {
        titles: &blank,
        ..Catalog::default()
    };
    assert_eq!(
        MatchProducts::default().fit(&blank, &blank, &Unlimited),
        Ok(Vec::new())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn one_to_one_and_the_same_for_any_threads(n in 5usize..80) {
        let (left, right, ..) = shops(n);
        let (left, right) = (texts(&left), texts(&right));
        let left = Catalog { titles: &left, ..Catalog::default() };
        let right = Catalog { titles: &right, ..Catalog::default() };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| MatchProducts::default().fit(&left, &right, &Unlimited).unwrap())
        };
        let found = run(1);
        prop_assert_eq!(&found, &run(3));
        for side in [|found: &ProductMatch| found.left, |found: &ProductMatch| found.right] {
            let mut rows: Vec<u32> = found.iter().map(side).collect();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), found.len());
        }
    }
}
