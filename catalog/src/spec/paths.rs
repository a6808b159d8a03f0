//! Where files lie: a directory for each schema, in it one for each table, in it files named by a UUID.

use uuid::Uuid;

/// Longer names are replaced by the UUID, well below what any file system allows.
const NAME_BYTES_MAX: usize = 100;

/// The directory of a schema or table within its parent: its name if that is harmless, else its UUID. Ends in a slash.
///
/// A name of letters, digits and underscores cannot leave the parent directory, hide or need quoting; any other never reaches the file system.
pub fn directory(name: &str, uuid: &str) -> String {
    let harmless = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    format!("{}/", if harmless { name } else { uuid })
}

/// A new file name, ordered by time of making.
pub fn file_name() -> String {
    format!("ducklake-{}.parquet", Uuid::now_v7())
}

/// A new name for a file of deletes.
pub fn delete_file_name() -> String {
    format!("ducklake-{}-delete.parquet", Uuid::now_v7())
}

/// The full path of a file: each part stands alone if it is absolute, else on the one before it.
pub fn resolve<'a>(data_path: &'a str, parts: impl IntoIterator<Item = (&'a str, bool)>) -> String {
    let mut path = data_path.to_owned();
    for (part, is_relative) in parts {
        if is_relative {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(part);
        } else {
            path = part.to_owned();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_become_directories() {
        for (name, expected) in [
            ("orders", "orders/"),
            ("Orders_2024", "Orders_2024/"),
            ("", "u/"),
            (".", "u/"),
            ("..", "u/"),
            ("../../etc", "u/"),
            ("a/b", "u/"),
            ("a\\b", "u/"),
            ("a b", "u/"),
            ("a\0", "u/"),
            ("\u{202e}abc", "u/"),
            ("ünïcode", "u/"),
        ] {
            assert_eq!(directory(name, "u"), expected, "{name:?}");
        }
        assert_eq!(directory(&"x".repeat(10_000), "u"), "u/");
    }

    #[test]
    fn absolute_parts_stand_alone() {
        assert_eq!(
            resolve(
                "/w/data/",
                [("s/", true), ("t/", true), ("f.parquet", true)]
            ),
            "/w/data/s/t/f.parquet"
        );
        assert_eq!(
            resolve("/w/data/", [("/else/", false), ("t", true), ("f", true)]),
            "/else/t/f"
        );
        assert_eq!(
            resolve(
                "/w/data/",
                [("s/", true), ("t/", true), ("/x/f.parquet", false)]
            ),
            "/x/f.parquet"
        );
    }
}
