//! Street addresses: one spelling for comparing.

use super::fold::unaccent;
use super::names::{is_cjk, is_mark};
use crate::fusion::is_null_like;

/// One spelling of a street address: small letters without accents, the numbers first in the order they stand, then the words, with common
/// abbreviations written out (`5 Main St. Apt 2` and `Main Street 5, #2` are `5 2 main street`). `None` for what stands for no address
/// or has more than 1,000 bytes.
///
/// Words for the kind of dwelling (`apt`, `unit`, `suite`) go, their numbers stay. German `-str.` becomes `-strasse`. Chinese, Japanese and Korean
/// addresses keep their order and only lose blanks and punctuation, since in them the numbers belong to the words before
/// them (`朝阳区 建国路 88号` is `朝阳区建国路88号`).
pub fn address_key(value: &str) -> Option<String> {
    let value = value.trim();
    if value.len() > 1000 || is_null_like(value) {
        return None;
    }
    let plain = unaccent(value).to_lowercase();
    if plain.chars().any(is_cjk) {
        let key: String = plain
            .chars()
            .filter(|c| c.is_alphanumeric() || is_mark(*c))
            .collect();
        return Some(key);
    }
    let mut numbers = Vec::new();
    let mut words = Vec::new();
    for word in plain
        .replace(['\'', '.'], "")
        .split(|c: char| !c.is_alphanumeric() && !is_mark(c))
        .filter(|word| !word.is_empty())
    {
        if word.starts_with(|c: char| c.is_numeric()) {
            numbers.push(word.to_owned());
        } else if let Some(full) = written_out(word) {
            words.push(full);
        }
    }
    numbers.append(&mut words);
    (!numbers.is_empty()).then(|| numbers.join(" "))
}

/// A word of an address in full; `None` for words that say nothing.
fn written_out(word: &str) -> Option<String> {
    let full = match word {
        "apt" | "apartment" | "unit" | "suite" | "ste" | "flat" | "fl" | "floor" | "no" | "nr"
        | "room" | "rm" | "whg" | "wohnung" => return None,
        "st" | "str" | "strt" => "street",
        "rd" => "road",
        "ave" | "av" | "aven" | "avn" => "avenue",
        "blvd" | "boul" | "blv" => "boulevard",
        "dr" | "drv" => "drive",
        "ln" => "lane",
        "ct" | "crt" => "court",
        "pl" => "place",
        "sq" => "square",
        "cres" | "cr" | "crs" => "crescent",
        "cl" => "close",
        "cct" | "circ" => "circuit",
        "cir" => "circle",
        "hwy" => "highway",
        "pkwy" | "pky" => "parkway",
        "ter" | "terr" | "tce" => "terrace",
        "trl" => "trail",
        "gdns" | "gdn" => "gardens",
        "gr" | "gro" => "grove",
        "esp" => "esplanade",
        "n" => "north",
        "s" => "south",
        "e" => "east",
        "w" => "west",
        "ne" => "northeast",
        "nw" => "northwest",
        "se" => "southeast",
        "sw" => "southwest",
        "mt" => "mount",
        "ft" => "fort",
        "pde" => "parade",
        _ => match word
            .strip_suffix("str")
            .filter(|stem| stem.chars().count() >= 3)
        {
            Some(stem) => return Some(format!("{stem}strasse")),
            None => word,
        },
    };
    Some(full.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(address_key(value).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn one_spelling() {
        check("5 Main St., Apt 2", Some("5 2 main street"));
        check("Main Street 5 #2", Some("5 2 main street"));
        check("Hauptstr. 12a", Some("12a hauptstrasse"));
        check("Hauptstraße 12a", Some("12a hauptstrasse"));
        check("221B Baker St", Some("221b baker street"));
        check("12 N. Oak Ave", Some("12 north oak avenue"));
        check("ул. Ленина, 5", Some("5 ул ленина"));
    }

    #[test]
    fn chinese_keeps_its_order() {
        check("朝阳区 建国路 88号", Some("朝阳区建国路88号"));
        check("東京都千代田区１－１", Some("東京都千代田区11"));
    }

    #[test]
    fn what_is_no_address_links_nothing() {
        for value in ["", "n/a", "-", "unknown", "Apt"] {
            check(value, None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(value in "\\PC{0,30}") {
            if let Some(key) = address_key(&value) {
                prop_assert_eq!(key.trim(), key.as_str());
            }
        }
    }
}
