//! Splits `demo.sql` into the steps that are shown and run one after the other.
//!
//! The file is plain SQL. A line `-- # Title` starts a section, a line `-- contracts` stands where
//! the contract views are made from the channels' mapping files, other comment lines explain the
//! statement that follows, and a statement ends at a semicolon at the end of a line. `{input}` in a
//! statement is the directory of the input files.

use super::DemoInput;

const SQL: &str = include_str!("demo.sql");

/// A step of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A section begins: its title.
    Section(String),
    /// The contract views are made from [`super::CONTRACTS`].
    Contracts {
        /// What is said about it.
        note: String,
    },
    /// A statement is run.
    Statement {
        /// What is said about it; may be empty.
        note: String,
        /// The statement, without its semicolon.
        sql: String,
    },
}

/// The steps of the demo over this input.
#[must_use]
pub fn script(input: &DemoInput) -> Vec<Step> {
    // The directory stands inside quotes in the script.
    let directory = input.directory.display().to_string().replace('\'', "''");
    steps(SQL, &directory)
}

fn steps(sql: &str, directory: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut note = String::new();
    let mut statement = String::new();
    for line in sql.lines() {
        let comment = line
            .strip_prefix("--")
            .filter(|_| statement.is_empty())
            .map(str::trim);
        match comment {
            Some("contracts") => steps.push(Step::Contracts {
                note: std::mem::take(&mut note),
            }),
            Some(title) if title.starts_with("# ") => {
                note.clear();
                steps.push(Step::Section(title.trim_start_matches("# ").to_owned()));
            }
            Some(text) => append(&mut note, text),
            None if line.trim().is_empty() && statement.is_empty() => {}
            None => {
                append(&mut statement, line.trim_end());
                if let Some(whole) = statement.strip_suffix(';') {
                    let sql = whole.replace("{input}", directory);
                    steps.push(Step::Statement {
                        note: std::mem::take(&mut note),
                        sql,
                    });
                    statement.clear();
                }
            }
        }
    }
    steps
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_notes_and_statements() {
        let sql = "-- # One\n-- What\n-- it does.\nSELECT\n  -- inside; kept\n  'a;b', '{input}/x';\n\n-- All of them.\n-- contracts\nSELECT 2;\n";
        assert_eq!(
            steps(sql, "it''s"),
            [
                Step::Section("One".into()),
                Step::Statement {
                    note: "What\nit does.".into(),
                    sql: "SELECT\n  -- inside; kept\n  'a;b', 'it''s/x'".into()
                },
                Step::Contracts {
                    note: "All of them.".into()
                },
                Step::Statement {
                    note: String::new(),
                    sql: "SELECT 2".into()
                },
            ]
        );
    }

    #[test]
    fn the_script_ends_with_a_whole_statement() {
        let last = SQL.lines().rev().find(|line| !line.trim().is_empty());
        assert!(last.is_some_and(|line| line.ends_with(';')), "{last:?}");
    }
}
