//! `docs/functions.md`, written from the definitions: what is documented is what is there.

use std::fmt::{Result as FormatResult, Write};

use crate::function::{Example, Signature};
use crate::functions::ALL;
use crate::scalars;

/// The documentation of every function as Markdown.
pub fn functions_markdown() -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _: FormatResult = write_all(&mut text);
    text
}

fn write_all(text: &mut String) -> FormatResult {
    text.push_str(
        "# Functions\n\n\
         <!-- Written by the test `docs` of tributary-udfs from the functions' definitions: do not edit. -->\n\n\
         A relation function is called in `FROM`: `SELECT * FROM schema.verb(relation, name => value, ...)`. \
         A relation is `(SELECT ...)`, a name, or a name in quotes, and further relations are arguments of the \
         same forms. Columns are named in text, several with commas between them or as `text[]`. A model is the \
         name of a table that `ml.train` made. Arguments marked *constant* shape the result and must be literals; \
         the others may be parameters of a prepared statement. Key columns come back under their own names and \
         types. Where randomness plays a part, `seed` fixes it, and the answer does not depend on the order of \
         rows, the number of threads or the size of batches.\n",
    );
    let signatures: Vec<&Signature> = ALL.iter().map(|function| function.signature()).collect();
    for signature in &signatures {
        let name = signature.qualified_name();
        let anchor = name.replace('.', "");
        write!(text, "\n- [`{name}`](#{anchor}) {}", signature.summary)?;
    }
    let functions = scalars::all();
    for function in &functions {
        write!(text, "\n- [`{0}`](#{0})", function.name())?;
    }
    text.push('\n');
    for signature in signatures {
        relation_function(text, signature)?;
    }
    for function in functions {
        write!(text, "\n## {}\n", function.name())?;
        if let Some(documentation) = function.documentation() {
            write!(text, "\n```sql\n{}\n```\n", documentation.syntax_example)?;
            write!(text, "\n{}\n", documentation.description)?;
            let arguments = documentation.arguments.iter().flatten();
            table(
                text,
                ["Argument", "Meaning"],
                arguments.map(|(name, meaning)| [format!("`{name}`"), meaning.clone()]),
            )?;
            if let Some(example) = &documentation.sql_example {
                write!(text, "\n```sql\n{example}\n```\n")?;
            }
        }
    }
    Ok(())
}

fn relation_function(text: &mut String, signature: &Signature) -> FormatResult {
    let summary = signature.summary;
    write!(text, "\n## {}\n", signature.qualified_name())?;
    write!(
        text,
        "\n`{}` {summary}.\n\n{}\n",
        signature.qualified_name(),
        signature.prose
    )?;
    table(
        text,
        ["Argument", "Type", "Default", "Meaning"],
        signature.parameters.iter().map(|parameter| {
            let constant = if parameter.constant {
                ", *constant*"
            } else {
                ""
            };
            [
                format!("`{}`", parameter.name),
                format!("{}{constant}", parameter.kind.name()),
                parameter
                    .default
                    .sql()
                    .map_or_else(String::new, |default| format!("`{default}`")),
                parameter.meaning.to_owned(),
            ]
        }),
    )?;
    table(
        text,
        ["Result column", "Type", "Meaning"],
        signature.columns.iter().map(|column| {
            [
                format!("`{}`", column.name),
                column.data_type.to_owned(),
                column.meaning.to_owned(),
            ]
        }),
    )?;
    example(text, &signature.example)?;
    write!(text, "\nSource: {}\n", signature.source)
}

fn example(text: &mut String, example: &Example) -> FormatResult {
    text.push_str("\n```sql\n");
    for statement in example.setup {
        writeln!(text, "{};", folded(statement))?;
    }
    writeln!(text, "{};\n```\n", folded(example.sql))?;
    writeln!(text, "```text\n{}\n```", example.output)
}

/// Breaks a statement where its clauses and further arguments begin.
fn folded(statement: &str) -> String {
    [
        " FROM ml.",
        " FROM fusion.",
        " FROM quality.",
        " WHERE ",
        " ORDER BY ",
    ]
    .iter()
    .fold(statement.to_owned(), |text, mark| {
        text.replace(mark, &format!("\n{}", mark.trim_start()))
    })
}

fn table<const N: usize>(
    text: &mut String,
    titles: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> FormatResult {
    write!(
        text,
        "\n| {} |\n|{}\n",
        titles.join(" | "),
        "---|".repeat(N)
    )?;
    for row in rows {
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::function::{Default, RelationFunction};

    /// The root of the sources, as cargo tells it when it runs a test.
    fn sources() -> PathBuf {
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..")
    }

    #[test]
    fn docs_are_fresh() {
        let file = sources().join("docs/functions.md");
        let expected = functions_markdown();
        if std::env::var_os("TRIBUTARY_UPDATE_DOCS").is_some() {
            std::fs::write(&file, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == expected,
            "docs/functions.md is stale; refresh it with\n\
             TRIBUTARY_UPDATE_DOCS=1 cargo test --release -p tributary-udfs docs"
        );
    }

    /// The words that a name of an argument must not be, or SQL tools cannot parse a call: reserved
    /// words of PostgreSQL, those reserved as column names, and names of types.
    const FORBIDDEN: [&str; 40] = [
        "all", "any", "array", "as", "between", "bigint", "bit", "boolean", "case", "char",
        "check", "column", "create", "date", "default", "desc", "distinct", "do", "end", "float",
        "for", "from", "group", "in", "int", "integer", "interval", "limit", "numeric", "offset",
        "on", "order", "real", "select", "table", "text", "time", "to", "user", "where",
    ];

    #[test]
    fn definitions_are_whole() {
        for function in ALL {
            let signature = function.signature();
            let name = signature.qualified_name();
            assert!(signature.positional <= signature.parameters.len(), "{name}");
            assert!(
                !signature.prose.is_empty() && !signature.source.is_empty(),
                "{name}"
            );
            assert!(!signature.summary.ends_with('.'), "{name}");
            for (position, parameter) in signature.parameters.iter().enumerate() {
                let argument = format!("{name} {}", parameter.name);
                assert!(parameter.meaning.ends_with('.'), "{argument}");
                assert!(!FORBIDDEN.contains(&parameter.name), "{argument}");
                assert_eq!(
                    signature.parameter(parameter.name).map(|found| found.0),
                    Some(position),
                    "{argument} is there twice"
                );
                // An optional argument never stands before a required one that is given by place.
                if position < signature.positional {
                    assert_eq!(parameter.default, Default::Required, "{argument}");
                }
            }
            for column in signature.columns {
                assert!(column.meaning.ends_with('.'), "{name} {}", column.name);
            }
        }
    }

    /// The example of a function is a test of its SQL file, word by word.
    fn check_example(function: &dyn RelationFunction) {
        let signature = function.signature();
        let file = sources().join(format!(
            "tests/slt/functions/{}_{}.slt",
            signature.schema, signature.name
        ));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for statement in signature.example.setup {
            assert!(
                text.contains(&format!("statement ok\n{statement}\n")),
                "{} does not run {statement}",
                file.display()
            );
        }
        let rows: Vec<String> = signature
            .example
            .output
            .lines()
            .map(|line| {
                let values: Vec<&str> = line
                    .split('|')
                    .map(|value| if value.is_empty() { "NULL" } else { value })
                    .collect();
                values.join(" ")
            })
            .collect();
        let expected = format!("{}\n----\n{}\n", signature.example.sql, rows.join("\n"));
        assert!(
            text.contains(&expected),
            "{} does not hold\n{expected}",
            file.display()
        );
    }

    #[test]
    fn examples_are_tests() {
        for function in ALL {
            check_example(*function);
        }
    }
}
