//! One form for the values of common identifiers, so that equal means equal.
//!
//! A normaliser returns `None` for what cannot be the identifier: such a value must not link records. None of them guesses:
//! a rule is here when the provider documents it.

/// Whether a value stands for "not known" in disguise, such as `n/a`, `unknown`, `-` or `0`; blanks around it and case do not
/// matter. Such values never link records.
pub fn is_null_like(value: &str) -> bool {
    const WORDS: [&str; 28] = [
        "na",
        "n/a",
        "n.a.",
        "n.a",
        "#n/a",
        "#na",
        "nan",
        "nil",
        "none",
        "null",
        "(null)",
        "<null>",
        "[null]",
        "\\n",
        "unknown",
        "unbekannt",
        "inconnu",
        "desconocido",
        "sconosciuto",
        "undefined",
        "missing",
        "not available",
        "not applicable",
        "not provided",
        "not given",
        "not set",
        "tbd",
        "tba",
    ];
    let value = value.trim();
    // One repeated sign or zero, however often: "", "-", "...", "0000000000".
    let filler = value.chars().all(|c| c == '0' || !c.is_alphanumeric());
    filler || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// The canonical form of an e-mail address, or `None` for what is not one.
///
/// Blanks and a trailing dot go, all is lower-cased. Mail providers that deliver several spellings to one mailbox are brought
/// to one spelling: at Gmail dots in the name and a `+tag` mean nothing and `googlemail.com` is `gmail.com`; at Outlook,
/// Fastmail, iCloud and Proton a `+tag` means nothing, and `me.com` and `mac.com` are `icloud.com`, `protonmail.com` and `pm.me` are
/// `proton.me`. Elsewhere the name is left alone. Quoted names and addresses at bare IP numbers are refused.
pub fn email_norm(value: &str) -> Option<String> {
    let value = value.trim();
    if is_null_like(value) || value.len() > 254 + 1 {
        return None;
    }
    let lower = value.to_lowercase();
    let (name, domain) = lower.split_once('@')?;
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if !is_local_part(name) || !is_domain(domain) || is_null_like(name) {
        return None;
    }
    let (domain, rule) = mailbox_rule(domain);
    let name = match rule {
        Mailbox::Exact => name.to_owned(),
        Mailbox::Tags => without_tag(name).to_owned(),
        Mailbox::TagsAndDots => without_tag(name).replace('.', ""),
    };
    // A tag without a name before it is all the name there is.
    (!name.is_empty() && name.len() + 1 + domain.len() <= 254).then(|| format!("{name}@{domain}"))
}

/// The E.164 form of a telephone number (`+` and digits), or `None` for what is not one.
///
/// A number is international when it begins with `+`, `00`, or `011` where the default is the North American `1`; else it is
/// national to `country_code` (digits such as `49`, without `+`) and its trunk prefix is dropped: `0` in most countries, `1` in
/// North America, `8` in 7, `06` in 36. Countries that keep their leading 0 or have no trunk prefix (such as 34, 39, 45, 47) lose nothing.
/// Punctuation, a bracketed `(0)` and an extension (`x12`, `ext. 12`, `#12`) are dropped; digits of all scripts in use on telephones are
/// read. Without a country code a national number is `None`: it could be anyone's.
///
/// This is a rule of digits and lengths, not a numbering plan: it checks 8 to 15 digits in all, and for North America the ten
/// digits with their first digits; a number of equal digits is refused.
pub fn phone_norm(value: &str, country_code: Option<&str>) -> Option<String> {
    let value = value.trim();
    if is_null_like(value) {
        return None;
    }
    let (plus, digits) = dialled(value)?;
    let country = country_code.map(|code| code.trim().trim_start_matches('+'));
    let number = if plus {
        digits
    } else if let Some(rest) = digits.strip_prefix("00") {
        rest.to_owned()
    } else {
        let country = country.filter(|code| is_country_code(code))?;
        match digits.strip_prefix("011").filter(|_| country == "1") {
            Some(rest) => rest.to_owned(),
            None => format!("{country}{}", without_trunk(&digits, country)),
        }
    };
    is_e164(&number).then(|| format!("+{number}"))
}

/// Which spellings of a mailbox name are the same mailbox.
enum Mailbox {
    Exact,
    Tags,
    TagsAndDots,
}

/// The chief domain of a provider, and its rule.
fn mailbox_rule(domain: &str) -> (&str, Mailbox) {
    match domain {
        "gmail.com" | "googlemail.com" => ("gmail.com", Mailbox::TagsAndDots),
        "icloud.com" | "me.com" | "mac.com" => ("icloud.com", Mailbox::Tags),
        "proton.me" | "protonmail.com" | "pm.me" => ("proton.me", Mailbox::Tags),
        "fastmail.com" | "fastmail.fm" | "outlook.com" | "msn.com" => (domain, Mailbox::Tags),
        _ if ["hotmail.", "live.", "outlook."]
            .iter()
            .any(|brand| domain.starts_with(brand) && domain.len() <= brand.len() + 6) =>
        {
            (domain, Mailbox::Tags)
        }
        _ => (domain, Mailbox::Exact),
    }
}

fn without_tag(name: &str) -> &str {
    match name.split_once('+') {
        Some((base, _)) if !base.is_empty() => base,
        _ => name,
    }
}

/// A dot-atom of RFC 5321 or, beyond ASCII, RFC 6531.
fn is_local_part(name: &str) -> bool {
    name.len() <= 64
        && name.split('.').all(|atom| {
            !atom.is_empty()
                && atom
                    .chars()
                    .all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
        })
}

/// Two or more labels of letters, digits and inner hyphens, the last not a number.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    domain.split('.').all(label)
        && domain.rsplit_once('.').is_some_and(|(_, last)| {
            last.chars().count() >= 2 && !last.chars().all(char::is_numeric)
        })
}

/// Whether a number is international, and its digits; `None` for anything that is not a telephone number.
fn dialled(value: &str) -> Option<(bool, String)> {
    let value = value
        .strip_prefix("tel:")
        .unwrap_or(value)
        .replace("(0)", "");
    let lower = value.to_lowercase();
    // What follows is an extension.
    let end = ["ext", "x", "#", ";", ",", "durchwahl"]
        .iter()
        .filter_map(|mark| lower.find(mark))
        .min()
        .unwrap_or(lower.len());
    let number = lower.get(..end)?.trim();
    let (plus, rest) = match number.strip_prefix(['+', '\u{ff0b}']) {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let mut digits = String::with_capacity(rest.len());
    for c in rest.chars() {
        if let Some(digit) = digit(c) {
            digits.push(digit);
        } else if !(c.is_whitespace()
            || "-./()\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}\u{ad}\u{200b}".contains(c))
        {
            return None;
        }
    }
    Some((plus, digits))
}

/// The ASCII digit of a decimal digit: ASCII, full-width, Arabic-Indic, Persian or Devanagari.
fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => return Some(c),
        '\u{ff10}'..='\u{ff19}' => 0xff10,
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{966}'..='\u{96f}' => 0x966,
        _ => return None,
    };
    char::from_digit(u32::from(c) - zero, 10)
}

fn is_country_code(code: &str) -> bool {
    (1..=3).contains(&code.len())
        && !code.starts_with('0')
        && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// National digits without the prefix that is only dialled inside the country.
fn without_trunk<'a>(digits: &'a str, country: &str) -> &'a str {
    match country {
        "1" if digits.len() == 11 => digits.strip_prefix('1').unwrap_or(digits),
        "7" if digits.len() == 11 => digits.strip_prefix('8').unwrap_or(digits),
        "36" => digits.strip_prefix("06").unwrap_or(digits),
        // No trunk prefix, or a 0 that is part of the number.
        "1" | "7" | "30" | "34" | "39" | "45" | "47" | "48" | "65" | "351" | "352" | "371"
        | "372" | "378" | "379" | "420" | "852" | "853" | "965" | "968" | "974" => digits,
        _ => digits.strip_prefix('0').unwrap_or(digits),
    }
}

fn is_e164(number: &str) -> bool {
    let digits = number.as_bytes();
    let national = digits.get(1..).unwrap_or_default();
    let repeated = |digits: &[u8]| {
        digits
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a == b))
    };
    match digits.first() {
        None | Some(b'0') => false,
        Some(b'1') => {
            let starts = |at: usize| national.get(at).is_some_and(|digit| *digit >= b'2');
            digits.len() == 11 && starts(0) && starts(3) && !repeated(national)
        }
        Some(_) => {
            (8..=15).contains(&digits.len())
                && !repeated(digits)
                && !digits.get(2..).is_some_and(repeated)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(email_norm(value).as_deref(), expected, "{value:?}");
    }

    fn dial(value: &str, country: Option<&str>, expected: Option<&str>) {
        assert_eq!(phone_norm(value, country).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn nulls_in_disguise() {
        for value in [
            "", "  ", "N/A", "na", "None", "NULL", "0", "000", "-", "--", "?", "Unknown", "...",
        ] {
            assert!(is_null_like(value), "{value:?}");
        }
        for value in ["10", "a", "nana@x.org", "Noh", "O'Neill", "李"] {
            assert!(!is_null_like(value), "{value:?}");
        }
    }

    #[test]
    fn emails_become_one_mailbox() {
        check(" Ann.Lee@Example.ORG ", Some("ann.lee@example.org"));
        check("ann.lee+shop@example.org", Some("ann.lee+shop@example.org"));
        check("A.n.n+shop@GoogleMail.com", Some("ann@gmail.com"));
        check("ann.lee+x@outlook.com", Some("ann.lee@outlook.com"));
        check("ann+x@hotmail.co.uk", Some("ann@hotmail.co.uk"));
        check("ann+x@live.example.org", Some("ann+x@live.example.org"));
        check("ann+x@me.com", Some("ann@icloud.com"));
        check("+tag@gmail.com", Some("+tag@gmail.com"));
        check("ann@example.org.", Some("ann@example.org"));
        check("ümit@bücher.example", Some("ümit@bücher.example"));
    }

    #[test]
    fn what_is_no_email_links_nothing() {
        for value in [
            "",
            "n/a",
            "ann",
            "ann@",
            "@x.org",
            "ann@x",
            "ann@@x.org",
            "a b@x.org",
            ".a@x.org",
            "a..b@x.org",
            "ann@-x.org",
            "ann@x..org",
            "ann@10.0.0.1",
            "\"a b\"@x.org",
            "ann@x.o",
            "na@x.org",
            "ann,bob@x.org",
        ] {
            check(value, None);
        }
        check(&format!("{}@x.org", "a".repeat(65)), None);
    }

    #[test]
    fn phones_become_e164() {
        dial("+49 (0)30 / 1234-567", None, Some("+49301234567"));
        dial("0049 30 1234567", None, Some("+49301234567"));
        dial("030 1234567", Some("49"), Some("+49301234567"));
        dial("030 1234567", Some("+49"), Some("+49301234567"));
        dial("(212) 555-0123", Some("1"), Some("+12125550123"));
        dial("1-212-555-0123 ext. 9", Some("1"), Some("+12125550123"));
        dial("011 44 20 7946 0018", Some("1"), Some("+442079460018"));
        dial("06 1234 5678", Some("39"), Some("+390612345678"));
        dial("8 (495) 123-45-67", Some("7"), Some("+74951234567"));
        dial("06 1 234 5678", Some("36"), Some("+3612345678"));
        dial(
            "\u{ff10}30 123456\u{ff17}",
            Some("49"),
            Some("+49301234567"),
        );
        dial("tel:+442079460018", None, Some("+442079460018"));
    }

    #[test]
    fn what_is_no_phone_links_nothing() {
        dial("030 1234567", None, None);
        dial("0000000000", Some("49"), None);
        dial("9999999999", Some("1"), None);
        dial("(112) 555-0123", Some("1"), None);
        dial("555-0123", Some("1"), None);
        dial("12", Some("49"), None);
        dial("1-800-FLOWERS", Some("1"), None);
        dial("+1234567890123456", None, None);
        dial("030 1234567", Some("abc"), None);
        dial("n/a", Some("49"), None);
        dial("+", Some("49"), None);
    }
}
