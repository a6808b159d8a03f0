//! Names as text: quoting, and reading possibly qualified names as PostgreSQL does.

use std::sync::LazyLock;

/// `name` as it must be written in SQL: in double quotes unless it is a plain lower-case name and no keyword.
pub fn quote_ident(name: &str) -> String {
    let plain = name.bytes().enumerate().all(|(at, byte)| match byte {
        b'a'..=b'z' | b'_' => true,
        b'0'..=b'9' | b'$' => at > 0,
        _ => false,
    });
    // PostgreSQL never leaves a dollar sign bare here, although it would be read.
    if plain && !name.is_empty() && !name.contains('$') && !needs_quotes(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// `text` as an SQL string literal; with a backslash in it, in the `E''` form.
pub(super) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The parts of a possibly qualified name such as `web."Events"`: unquoted parts in lower case. `None` if it is no name.
pub(super) fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => {
                let end = rest.find(['.', '"']).unwrap_or(rest.len());
                let (part, after) = rest.split_at_checked(end)?;
                let part = part.trim();
                if part.is_empty() || part.contains(char::is_whitespace) {
                    return None;
                }
                (part.to_lowercase(), after)
            }
        };
        parts.push(part);
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?.trim_start();
    }
}

/// The rest of a quoted name and what follows its closing quote.
fn split_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if name.is_empty() => return None,
            None => return Some((name, after)),
        }
    }
}

/// A keyword of PostgreSQL 15.
#[derive(Debug)]
pub(super) struct Keyword {
    pub word: &'static str,
    /// `U` unreserved, `C` no function or type name, `T` only that, `R` reserved.
    pub category: char,
    /// Whether it may follow an expression as its name without AS.
    pub bare_label: bool,
}

impl Keyword {
    /// The category in words, as `pg_get_keywords` has them.
    pub fn category_description(&self) -> &'static str {
        match self.category {
            'C' => "unreserved (cannot be function or type name)",
            'T' => "reserved (can be function or type name)",
            'R' => "reserved",
            _ => "unreserved",
        }
    }
}

/// All keywords, sorted: `keywords.txt`, one a line, as `category bare-label word`.
pub(super) fn keywords() -> &'static [Keyword] {
    static KEYWORDS: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
        let lines = include_str!("keywords.txt").lines();
        lines
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some(Keyword {
                    category: words.next()?.chars().next()?,
                    bare_label: words.next()? == "t",
                    word: words.next()?,
                })
            })
            .collect()
    });
    &KEYWORDS
}

/// Whether a name is a keyword that needs quotes in some place.
fn needs_quotes(name: &str) -> bool {
    let keywords = keywords();
    keywords
        .binary_search_by(|keyword| keyword.word.cmp(name))
        .is_ok_and(|at| {
            keywords
                .get(at)
                .is_some_and(|keyword| keyword.category != 'U')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_postgres_does() {
        assert!(keywords().is_sorted_by_key(|keyword| keyword.word));
        assert_eq!(
            keywords().len(),
            include_str!("keywords.txt").lines().count()
        );
        for (name, quoted) in [
            ("customers", "customers"),
            ("Customers", "\"Customers\""),
            ("user", "\"user\""),
            ("name", "name"),
            ("1st", "\"1st\""),
            ("a$b", "\"a$b\""),
            ("a\"b", "\"a\"\"b\""),
            ("größe", "\"größe\""),
            ("", "\"\""),
        ] {
            assert_eq!(quote_ident(name), quoted);
        }
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
    }

    #[test]
    fn reads_names() {
        let parts = |text| split_name(text);
        assert_eq!(
            parts("Web.Events"),
            Some(vec!["web".into(), "events".into()])
        );
        assert_eq!(parts("\"A.b\" . c"), Some(vec!["A.b".into(), "c".into()]));
        assert_eq!(parts("\"a\"\"b\""), Some(vec!["a\"b".into()]));
        assert_eq!(parts("a b"), None);
        assert_eq!(parts("a."), None);
        assert_eq!(parts("\"a"), None);
        assert_eq!(parts(""), None);
    }
}
