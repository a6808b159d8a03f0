//! Letters without their accents, where an accent is an ornament.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// `text` with Latin and Greek letters without accents, and wide, narrow and ligature forms as plain letters (`Ｌéﬁ` is `Lefi`).
///
/// An accent is taken away only where readers do without it: from Latin and Greek letters, and in Cyrillic the stress mark and
/// the dots of `ё`. Marks that make another letter stay: Cyrillic `й` and `ї`, Japanese `が`, the vowels of Indic scripts, of Thai,
/// Hebrew and Arabic. Chinese characters stay as they are; nothing is romanised. Letters with strokes become their base
/// (`ø` is `o`, `ł` is `l`), joined letters come apart (`ß` is `ss`, `æ` is `ae`, `þ` is `th`).
pub fn unaccent(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut base = ' ';
    text.nfkd()
        .filter(|&c| {
            if !is_combining_mark(c) {
                base = c;
                return true;
            }
            !is_ornament(base, c)
        })
        .flat_map(plain)
        .nfc()
        .collect()
}

/// Whether `mark` can go from the letter `base`.
fn is_ornament(base: char, mark: char) -> bool {
    if !('\u{300}'..='\u{36f}').contains(&mark) {
        return false;
    }
    match base {
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{3ff}' => true,
        'е' | 'Е' => matches!(mark, '\u{300}' | '\u{301}' | '\u{308}'),
        'а' | 'и' | 'о' | 'у' | 'ы' | 'э' | 'ю' | 'я' | 'А' | 'И' | 'О' | 'У' | 'Ы' | 'Э' | 'Ю'
        | 'Я' => matches!(mark, '\u{300}' | '\u{301}'),
        _ => false,
    }
}

/// A letter as the plain letters it stands for; only letters that have no decomposition in Unicode.
fn plain(c: char) -> impl Iterator<Item = char> {
    let letters = match c {
        'ß' => "ss",
        'ẞ' => "SS",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'ł' => "l",
        'Ł' => "L",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' => "th",
        'Þ' => "TH",
        'ħ' => "h",
        'Ħ' => "H",
        'ı' => "i",
        'ŋ' => "ng",
        'Ŋ' => "NG",
        'ŧ' => "t",
        'Ŧ' => "T",
        'ƒ' => "f",
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2bb}' | '\u{2032}' => "'",
        '\u{201c}' | '\u{201d}' | '\u{201f}' | '\u{2033}' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        _ => "",
    };
    let kept = letters.is_empty().then_some(c);
    letters.chars().chain(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(unaccent(text), expected, "{text:?}");
    }

    #[test]
    fn ornaments_go() {
        check("Hôtel Ångström", "Hotel Angstrom");
        check(
            "Þórður Łukasz Søren Œuvre Straße",
            "THordur Lukasz Soren OEuvre Strasse",
        );
        check("Nguyễn Thị Ánh", "Nguyen Thi Anh");
        check("Γιώργος", "Γιωργος");
        check("Королёв", "Королев");
        check("Ｗａｎｇ ﬁn", "Wang fin");
        check("O\u{2019}Neill", "O'Neill");
    }

    #[test]
    fn letters_stay() {
        for text in [
            "张伟",
            "Андрей Її",
            "がギ",
            "한국어",
            "हिन्दी",
            "ที่",
            "שָׁלוֹם",
            "محمد",
        ] {
            check(text, text);
        }
        check("ｶﾞ", "ガ");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "\\PC{0,16}") {
            let once = unaccent(&text);
            prop_assert_eq!(unaccent(&once), once.clone());
        }
    }
}
