//! The list of changes in a snapshot: `created_table:"s"."t",inserted_into_table:3`.

use std::fmt;

/// One change of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeMade {
    /// A schema was dropped, by id.
    DroppedSchema(i64),
    /// A table was dropped, by id.
    DroppedTable(i64),
    /// A view was dropped, by id.
    DroppedView(i64),
    /// A schema was made, by name.
    CreatedSchema(String),
    /// A table was made or renamed to, by schema and name.
    CreatedTable(String, String),
    /// A view was made or renamed to, by schema and name.
    CreatedView(String, String),
    /// Rows were added to a table, by id.
    InsertedIntoTable(i64),
    /// Rows were deleted from a table, by id.
    DeletedFromTable(i64),
    /// The columns or tags of a table were altered, by id.
    AlteredTable(i64),
    /// The tags of a view were altered, by id.
    AlteredView(i64),
    /// Rows were added to the catalog database for a table, by id.
    InlinedInsert(i64),
    /// Rows of a table were deleted in the catalog database, by id.
    InlinedDelete(i64),
    /// Rows of a table were moved from the catalog database to files, by id.
    InlineFlush(i64),
    /// Files of a table were joined, by id.
    MergeAdjacent(i64),
    /// Files of a table were written anew without deleted rows, by id.
    RewriteDelete(i64),
    /// Something that only outside writers do: the word and what follows its colon.
    Other(String, String),
}

impl fmt::Display for ChangeMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DroppedSchema(id) => write!(f, "dropped_schema:{id}"),
            Self::DroppedTable(id) => write!(f, "dropped_table:{id}"),
            Self::DroppedView(id) => write!(f, "dropped_view:{id}"),
            Self::CreatedSchema(name) => write!(f, "created_schema:{}", quote(name)),
            Self::CreatedTable(schema, name) => {
                write!(f, "created_table:{}.{}", quote(schema), quote(name))
            }
            Self::CreatedView(schema, name) => {
                write!(f, "created_view:{}.{}", quote(schema), quote(name))
            }
            Self::InsertedIntoTable(id) => write!(f, "inserted_into_table:{id}"),
            Self::DeletedFromTable(id) => write!(f, "deleted_from_table:{id}"),
            Self::AlteredTable(id) => write!(f, "altered_table:{id}"),
            Self::AlteredView(id) => write!(f, "altered_view:{id}"),
            Self::InlinedInsert(id) => write!(f, "inlined_insert:{id}"),
            Self::InlinedDelete(id) => write!(f, "inlined_delete:{id}"),
            Self::InlineFlush(id) => write!(f, "inline_flush:{id}"),
            Self::MergeAdjacent(id) => write!(f, "merge_adjacent:{id}"),
            Self::RewriteDelete(id) => write!(f, "rewrite_delete:{id}"),
            Self::Other(word, rest) => write!(f, "{word}:{rest}"),
        }
    }
}

impl ChangeMade {
    /// Where in the list the official extension puts it.
    pub fn rank(&self) -> u8 {
        match self {
            Self::DroppedSchema(_) => 0,
            Self::DroppedTable(_) => 1,
            Self::DroppedView(_) => 2,
            Self::CreatedSchema(_) => 3,
            Self::CreatedTable(..) | Self::CreatedView(..) => 4,
            Self::InsertedIntoTable(_) => 5,
            Self::DeletedFromTable(_) => 6,
            Self::AlteredTable(_) => 7,
            Self::AlteredView(_) => 8,
            Self::InlinedInsert(_) => 9,
            Self::InlinedDelete(_) => 10,
            Self::InlineFlush(_) => 11,
            Self::MergeAdjacent(_) => 12,
            Self::RewriteDelete(_) => 13,
            Self::Other(..) => 14,
        }
    }
}

/// Prints the list.
pub fn print(changes: &[ChangeMade]) -> String {
    changes
        .iter()
        .map(ChangeMade::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// Parses a list. A word we do not know is kept as [`ChangeMade::Other`].
///
/// # Errors
/// The part that is not of the grammar.
pub fn parse(text: &str) -> Result<Vec<ChangeMade>, String> {
    split(text, ',')
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(parse_one)
        .collect()
}

fn parse_one(part: &str) -> Result<ChangeMade, String> {
    let wrong = || part.to_owned();
    let (word, rest) = part.split_once(':').ok_or_else(wrong)?;
    let id = || rest.parse::<i64>().map_err(|_| wrong());
    let names = || match split(rest, '.').as_slice() {
        [schema, name] => Ok((
            unquote(schema).ok_or_else(wrong)?,
            unquote(name).ok_or_else(wrong)?,
        )),
        _ => Err(wrong()),
    };
    Ok(match word {
        "dropped_schema" => ChangeMade::DroppedSchema(id()?),
        "dropped_table" => ChangeMade::DroppedTable(id()?),
        "dropped_view" => ChangeMade::DroppedView(id()?),
        "created_schema" => ChangeMade::CreatedSchema(unquote(rest).ok_or_else(wrong)?),
        "created_table" => names().map(|(schema, name)| ChangeMade::CreatedTable(schema, name))?,
        "created_view" => names().map(|(schema, name)| ChangeMade::CreatedView(schema, name))?,
        "inserted_into_table" => ChangeMade::InsertedIntoTable(id()?),
        "deleted_from_table" => ChangeMade::DeletedFromTable(id()?),
        "altered_table" => ChangeMade::AlteredTable(id()?),
        "altered_view" => ChangeMade::AlteredView(id()?),
        "inlined_insert" => ChangeMade::InlinedInsert(id()?),
        "inlined_delete" => ChangeMade::InlinedDelete(id()?),
        "inline_flush" => ChangeMade::InlineFlush(id()?),
        "merge_adjacent" => ChangeMade::MergeAdjacent(id()?),
        "rewrite_delete" => ChangeMade::RewriteDelete(id()?),
        _ => ChangeMade::Other(word.to_owned(), rest.to_owned()),
    })
}

/// A name in double quotes, inner ones doubled.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name that [`quote`] has put in quotes.
pub(crate) fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = inner.replace("\"\"", "");
    (!plain.contains('"')).then(|| inner.replace("\"\"", "\""))
}

/// Splits at `separator` outside double quotes.
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_official_extension_writes() {
        let text = r#"dropped_schema:2,created_table:"s"."we""ird/../n,a:m",inserted_into_table:6,merge_adjacent:4,set_things:4"#;
        let parsed = parse(text).unwrap();
        assert_eq!(
            parsed,
            [
                ChangeMade::DroppedSchema(2),
                ChangeMade::CreatedTable("s".into(), "we\"ird/../n,a:m".into()),
                ChangeMade::InsertedIntoTable(6),
                ChangeMade::MergeAdjacent(4),
                ChangeMade::Other("set_things".into(), "4".into()),
            ]
        );
        assert_eq!(print(&parsed), text);
        assert_eq!(parse("").unwrap(), []);
        assert!(parse("created_table:\"s\"").is_err());
        assert!(parse("dropped_table:x").is_err());
    }

    proptest! {
        #[test]
        fn parse_inverts_print(names in prop::collection::vec(("[\\PC\"',.:]*", "[\\PC\"',.:]*", 0i64..1000), 0..6)) {
            let changes: Vec<_> = names
                .into_iter()
                .flat_map(|(schema, name, id)| [
                    ChangeMade::CreatedSchema(schema.clone()),
                    ChangeMade::CreatedTable(schema.clone(), name.clone()),
                    ChangeMade::CreatedView(name, schema),
                    ChangeMade::AlteredTable(id),
                ])
                .collect();
            prop_assert_eq!(parse(&print(&changes)).unwrap(), changes);
        }
    }
}
