//! Names of people: one spelling for comparing, one sound for looking up.

use rphonetic::{DoubleMetaphone, Encoder, Nysiis, Soundex};

use super::fold::unaccent;
use crate::fusion::is_null_like;

/// How a name sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phonetic {
    /// Double Metaphone (Philips 2000), the primary code, four letters.
    #[default]
    DoubleMetaphone,
    /// American Soundex (Russell and Odell 1918, as the U.S. National Archives write it).
    Soundex,
    /// NYSIIS (Taft 1970), six letters; a `w` after a vowel sounds like that vowel, as in Taft's rules (`Brown` is `BRAN`).
    Nysiis,
}

/// One spelling of a name: small letters without accents, one blank between words, no titles (`Dr.`, `Mrs`), no generational suffixes
/// (`Jr.`, `III`) and no punctuation; an apostrophe joins (`O'Neill` is `oneill`), a hyphen separates. `None` for what stands for no name, has no
/// letter or has more than 400 bytes.
///
/// Other scripts keep their letters: Chinese, Japanese and Korean names only lose the blanks and dots between their characters,
/// which writers set as they like (`欧阳·修` is `欧阳修`).
pub fn name_norm(value: &str) -> Option<String> {
    let value = value.trim();
    if value.len() > 400 || is_null_like(value) || !value.chars().any(char::is_alphabetic) {
        return None;
    }
    let plain = unaccent(value).to_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in plain.chars() {
        if c.is_alphanumeric() || is_mark(c) {
            word.push(c);
        } else if !matches!(c, '\'' | '`' | '\u{b4}') && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    strip(&mut words);
    let mut name = String::with_capacity(plain.len());
    for word in &words {
        let joins = name.chars().next_back().is_some_and(is_cjk) && word.starts_with(is_cjk);
        if !name.is_empty() && !joins {
            name.push(' ');
        }
        name.push_str(word);
    }
    name.chars().any(char::is_alphabetic).then_some(name)
}

/// How a name sounds, word by word with blanks between; `None` where [`name_norm`] is. Words that are not in Latin letters sound
/// as they are written: the rules are those of English.
pub fn name_key(value: &str, phonetic: Phonetic) -> Option<String> {
    let name = name_norm(value)?;
    let mut key = String::with_capacity(name.len());
    for word in name.split(' ') {
        let code = if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            match phonetic {
                Phonetic::DoubleMetaphone => DoubleMetaphone::default().encode(word),
                Phonetic::Soundex => Soundex::default().encode(word),
                Phonetic::Nysiis => Nysiis::default().encode(word),
            }
        } else {
            word.to_owned()
        };
        if code.is_empty() {
            continue;
        }
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(&code);
    }
    // All letters may be silent, as in `h`: then the name stands for itself.
    if key.is_empty() {
        Some(name)
    } else {
        Some(key)
    }
}

/// Whether a character is Chinese, Japanese or Korean, whose words are written without blanks or with arbitrary ones.
pub(crate) fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Whether a character belongs to the letter before it, as the vowels of Indic scripts do.
pub(crate) fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Takes titles from the front and suffixes from the end, as long as a name is left.
fn strip(words: &mut Vec<String>) {
    const TITLES: [&str; 16] = [
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "mme", "mlle", "herr", "frau", "sr",
        "sra", "rev", "hon",
    ];
    const SUFFIXES: [&str; 9] = ["jr", "sr", "ii", "iii", "iv", "esq", "phd", "md", "jnr"];
    let titles = words
        .iter()
        .take_while(|word| TITLES.contains(&word.as_str()))
        .count();
    words.drain(..titles.min(words.len().saturating_sub(1)));
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| SUFFIXES.contains(&word.as_str()))
    {
        words.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(name_norm(value).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn one_spelling() {
        check("  Dr.  José  O\u{2019}Neill, Jr. ", Some("jose oneill"));
        check("MÜLLER-LÜDENSCHEIDT", Some("muller ludenscheidt"));
        check("Sr", Some("sr"));
        check("Søren Kierkegaard III", Some("soren kierkegaard"));
        check("Mrs. Dr. Ann Lee", Some("ann lee"));
        check("R2D2", Some("r2d2"));
    }

    #[test]
    fn other_scripts_keep_their_letters() {
        check("张 伟", Some("张伟"));
        check("欧阳·修", Some("欧阳修"));
        check("田中　太郎", Some("田中太郎"));
        check("김 철수", Some("김철수"));
        check("Андрей Королёв", Some("андрей королев"));
        check("हिन्दी", Some("हिन्दी"));
        check("Wang 伟", Some("wang 伟"));
    }

    #[test]
    fn what_is_no_name_links_nothing() {
        for value in ["", "n/a", "Unknown", "12345", "?!", "--"] {
            check(value, None);
            assert_eq!(name_key(value, Phonetic::Soundex), None);
        }
        check(&"a".repeat(401), None);
    }

    #[test]
    fn sounds() {
        let key = |name, phonetic| name_key(name, phonetic).unwrap();
        assert_eq!(key("Robert", Phonetic::Soundex), "R163");
        assert_eq!(key("Ashcraft", Phonetic::Soundex), "A261");
        assert_eq!(key("Schmidt", Phonetic::DoubleMetaphone), "XMT");
        assert_eq!(
            key("Catherine", Phonetic::DoubleMetaphone),
            key("Kathryn", Phonetic::DoubleMetaphone)
        );
        assert_eq!(
            key("Macdonald", Phonetic::Nysiis),
            key("McDonald", Phonetic::Nysiis)
        );
        assert_eq!(key("Brown", Phonetic::Nysiis), "BRAN");
        assert_eq!(key("Ann Smith", Phonetic::DoubleMetaphone), "AN SM0");
        assert_eq!(key("张伟", Phonetic::DoubleMetaphone), "张伟");
        assert_eq!(key("h", Phonetic::DoubleMetaphone), "h");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(value in "\\PC{0,20}") {
            if let Some(name) = name_norm(&value) {
                prop_assert_eq!(name.trim(), name.as_str());
            }
            for phonetic in [Phonetic::DoubleMetaphone, Phonetic::Soundex, Phonetic::Nysiis] {
                prop_assert_eq!(name_key(&value, phonetic).is_some(), name_norm(&value).is_some());
            }
        }

        #[test]
        fn latin_words_have_keys(value in "[a-zA-Z]{1,12}( [a-z]{1,8})?") {
            for phonetic in [Phonetic::DoubleMetaphone, Phonetic::Soundex, Phonetic::Nysiis] {
                if name_norm(&value).is_some() {
                    prop_assert!(name_key(&value, phonetic).is_some_and(|key| !key.is_empty()));
                }
            }
        }
    }
}
