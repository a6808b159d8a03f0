//! The list of system relations: name, oid, kind and columns of each, as in PostgreSQL 15.
//!
//! `relations.txt` has one entry a relation: `schema.name oid kind`, then indented `column type` pairs, `!` marking NOT
//! NULL. Domains of `information_schema` are given as their base types, which is what clients receive.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::names::quote_ident;
use crate::pgtype::{self, PgType};

/// A system relation.
#[derive(Debug)]
pub(super) struct Definition {
    /// `pg_catalog` or `information_schema`.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its oid in PostgreSQL 15.
    pub oid: u32,
    /// `r` for a table, `v` for a view, `f` for the rows of a function in FROM, which no list of relations shows.
    pub kind: char,
    /// Its columns.
    pub columns: Vec<ColumnDefinition>,
    /// The columns as Arrow fields.
    pub arrow_schema: SchemaRef,
    query: OnceLock<Option<String>>,
}

/// A column of a system relation.
#[derive(Debug)]
pub(super) struct ColumnDefinition {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub pg_type: &'static PgType,
    /// Whether it is declared NOT NULL.
    pub not_null: bool,
}

impl Definition {
    /// The position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The query of the file in `sql/views`, if the relation has one.
    pub fn view_source(&self) -> Option<&'static str> {
        VIEWS
            .iter()
            .find(|(schema, name, _)| *schema == self.schema && *name == self.name)
            .map(|(_, _, query)| *query)
    }

    /// The query that gives the relation its declared columns and types; `None` where it is not a view over others. Columns
    /// that the file does not give are NULL.
    pub fn view_query(&self) -> Option<&str> {
        let query = self
            .query
            .get_or_init(|| self.conforming_query(self.view_source()?));
        query.as_deref()
    }

    fn conforming_query(&self, source: &str) -> Option<String> {
        let given = output_names(source)?;
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let name = quote_ident(column.name);
                let (element, brackets) = match column.pg_type.element() {
                    Some(element) if column.pg_type.is_array() => (element, "[]"),
                    _ => (column.pg_type, ""),
                };
                let value = if given.iter().any(|given| given == column.name) {
                    format!("view.{name}")
                } else {
                    "NULL".to_owned()
                };
                format!(
                    "CAST({value} AS pg_catalog.\"{}\"{brackets}) AS {name}",
                    element.name
                )
            })
            .collect();
        Some(format!(
            "SELECT {} FROM ({source}) AS view",
            columns.join(", ")
        ))
    }
}

macro_rules! views {
    ($($schema:literal: $($name:literal),+;)+) => {
        /// The views that are written in SQL: schema, name, query.
        const VIEWS: &[(&str, &str, &str)] = &[$($(
            ($schema, $name, include_str!(concat!("../../views/", $schema, "/", $name, ".sql"))),
        )+)+];
    };
}

views! {
    "pg_catalog": "pg_group", "pg_roles", "pg_shadow", "pg_stat_all_tables", "pg_stat_database", "pg_stat_sys_tables", "pg_stat_user_tables", "pg_statio_all_tables", "pg_statio_sys_tables", "pg_statio_user_tables", "pg_tables", "pg_user", "pg_views";
    "information_schema": "applicable_roles", "character_sets", "columns", "enabled_roles", "information_schema_catalog_name", "key_column_usage", "parameters", "role_table_grants", "routines", "schemata", "table_constraints", "table_privileges", "tables", "views";
}

/// The names of a query's columns, as far as the query itself gives them.
fn output_names(query: &str) -> Option<Vec<String>> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, query)
        .ok()?
        .pop()?;
    let Statement::Query(query) = statement else {
        return None;
    };
    let mut body = *query.body;
    // The first branch of a UNION names its columns.
    while let SetExpr::SetOperation { left, .. } = body {
        body = *left;
    }
    let SetExpr::Select(select) = body else {
        return None;
    };
    let names = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
            parts.last().map(|part| part.value.clone())
        }
        _ => None,
    });
    Some(names.collect())
}

/// The relation of that name.
pub(super) fn find(schema: &str, name: &str) -> Option<&'static Definition> {
    static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static Definition>> =
        LazyLock::new(|| all().iter().map(|d| ((d.schema, d.name), d)).collect());
    BY_NAME.get(&(schema, name)).copied()
}

/// All relations, in the order of the list.
pub(super) fn all() -> &'static [Definition] {
    static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| parse(include_str!("relations.txt")));
    &ALL
}

/// Reads the list. A line that does not parse gives no relation or column; the tests check that there is none.
fn parse(list: &'static str) -> Vec<Definition> {
    let mut definitions: Vec<Definition> = Vec::new();
    for line in list.lines() {
        if line.starts_with(' ') {
            if let Some(definition) = definitions.last_mut() {
                let columns = line.split(',').filter_map(column);
                definition.columns.extend(columns);
            }
        } else if let Some(definition) = header(line) {
            definitions.push(definition);
        }
    }
    for definition in &mut definitions {
        let fields: Vec<Field> = definition
            .columns
            .iter()
            .filter_map(|column| {
                let field = pgtype::field(column.name, column.pg_type)?;
                Some(field.with_nullable(!column.not_null))
            })
            .collect();
        definition.arrow_schema = Arc::new(Schema::new(fields));
    }
    definitions
}

fn header(line: &'static str) -> Option<Definition> {
    let mut words = line.split_whitespace();
    let (schema, name) = words.next()?.split_once('.')?;
    Some(Definition {
        schema,
        name,
        oid: words.next()?.parse().ok()?,
        kind: words.next()?.chars().next()?,
        columns: Vec::new(),
        arrow_schema: Arc::new(Schema::empty()),
        query: OnceLock::new(),
    })
}

fn column(text: &'static str) -> Option<ColumnDefinition> {
    let (name, type_name) = text.trim().split_once(' ')?;
    let pg_type = pgtype::by_name(type_name.trim_end_matches('!'))?;
    Some(ColumnDefinition {
        name,
        pg_type,
        not_null: type_name.ends_with('!'),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_of_the_list_is_read() {
        let list = include_str!("relations.txt");
        let headers = list.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(all().len(), headers);
        let columns: usize = list
            .lines()
            .filter(|line| line.starts_with(' '))
            .map(|line| {
                line.split(',')
                    .filter(|part| !part.trim().is_empty())
                    .count()
            })
            .sum();
        let read: usize = all().iter().map(|d| d.columns.len()).sum();
        assert_eq!(read, columns);
    }

    #[test]
    fn every_column_has_values_of_its_type() {
        for definition in all() {
            assert_eq!(
                definition.columns.len(),
                definition.arrow_schema.fields().len(),
                "{}.{}",
                definition.schema,
                definition.name
            );
            for (column, field) in definition
                .columns
                .iter()
                .zip(definition.arrow_schema.fields())
            {
                assert_eq!(pgtype::of_field(field), column.pg_type);
            }
        }
    }

    #[test]
    fn names_and_oids_are_unique() {
        let oids: HashSet<u32> = all().iter().map(|d| d.oid).collect();
        assert_eq!(oids.len(), all().len());
        for (schema, name, source) in VIEWS {
            let definition = find(schema, name).unwrap_or_else(|| unreachable!("{schema}.{name}"));
            assert_eq!(definition.kind, 'v', "{schema}.{name}");
            let names = output_names(source).unwrap_or_else(|| panic!("{schema}.{name}"));
            for column in names {
                assert!(
                    definition.column(&column).is_some(),
                    "{schema}.{name}.{column}"
                );
            }
            assert!(
                definition
                    .view_query()
                    .is_some_and(|query| query.contains("view.")),
                "{schema}.{name}"
            );
        }
    }
}
