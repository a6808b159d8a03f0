//! Changes of definitions: columns, names, schemas.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::{Transaction, check_column_name, check_name, check_readable};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::model::{Column, ColumnDef, Relation, SchemaId, Table, TypeModifier};
use crate::spec::types::{self, ColumnType};
use crate::spec::values;

impl Transaction {
    /// Adds a column behind the others. Rows that are there get `value` in it; new rows get what INSERT or the default of `def` says.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`], [`Error::WrongRelationKind`]; [`Error::DuplicateColumn`],
    /// [`Error::InvalidName`], [`Error::UnsupportedType`]; [`Error::ColumnHasNulls`] if the column takes no NULL, `value` is NULL and there are
    /// rows; [`Error::ColumnChange`] if `value` is of a type that has no text in the catalog (lists, structs, maps).
    pub fn add_column(
        &self,
        schema: &str,
        table: &str,
        def: &ColumnDef,
        value: &ScalarValue,
    ) -> Result<()> {
        check_column_name(&def.name)?;
        self.alter_columns(schema, table, |table| {
            if table.column(&def.name).is_some() {
                return Err(Error::DuplicateColumn {
                    column: def.name.clone(),
                });
            }
            if !def.nullable && value.is_null() && table.rows > 0 {
                return Err(Error::ColumnHasNulls {
                    table: table.qualified_name(),
                    column: def.name.clone(),
                });
            }
            let mut next_id = table.next_column_id;
            let mut column = types::build_column(def, &mut next_id)?;
            if !value.is_null() {
                let text = values::print_scalar(value, &column);
                column.initial_default = Some(text.ok_or_else(|| {
                    change(
                        table,
                        def,
                        "Rows that are there cannot be given a value of this type.",
                    )
                })?);
            }
            let mut columns = table.columns.clone();
            columns.push(column);
            Ok(columns)
        })
    }

    /// Drops a column. Its values stay in the files, for older snapshots, until compaction.
    ///
    /// # Errors
    /// As [`add_column`](Self::add_column); [`Error::UndefinedColumn`]; [`Error::ColumnChange`] for the only column.
    pub fn drop_column(&self, schema: &str, table: &str, column: &str) -> Result<()> {
        self.alter_columns(schema, table, |table| {
            let id = require(table, column)?.id;
            let mut columns = table.columns.clone();
            columns.retain(|column| column.id != id);
            if columns.is_empty() {
                return Err(refused(table, column, "A table has at least one column."));
            }
            Ok(columns)
        })
    }

    /// Renames a column. Files are not touched: they know it by its id.
    ///
    /// # Errors
    /// As [`add_column`](Self::add_column); [`Error::UndefinedColumn`].
    pub fn rename_column(&self, schema: &str, table: &str, column: &str, name: &str) -> Result<()> {
        check_column_name(name)?;
        self.alter_columns(schema, table, |table| {
            if table.column(name).is_some() {
                return Err(Error::DuplicateColumn {
                    column: name.to_owned(),
                });
            }
            altered(table, column, |column| {
                column.name = name.to_owned();
                Ok(())
            })
        })
    }

    /// Gives a column a wider type: a larger integer or floating point, or text with a longer limit or none. Files are not touched.
    ///
    /// # Errors
    /// As [`add_column`](Self::add_column); [`Error::UndefinedColumn`]; [`Error::ColumnChange`] if the type is not wider, so that the values
    /// would have to be written anew.
    pub fn widen_column(&self, schema: &str, table: &str, def: &ColumnDef) -> Result<()> {
        self.alter_columns(schema, table, |table| {
            let wider = types::build_column(def, &mut 0)?;
            altered(table, &def.name, |column| {
                let same = column.column_type == wider.column_type && column.children.is_empty();
                let (from, to) = (&column.type_modifier, &wider.type_modifier);
                if !(same && is_wider_modifier(from.as_ref(), to.as_ref())
                    || types::is_wider(&column.column_type, &wider.column_type))
                {
                    return Err(change(
                        table,
                        def,
                        "Only a wider type of the same kind leaves the values as they are.",
                    ));
                }
                column.widened |= column.column_type == ColumnType::Float32 && !same;
                column.column_type = wider.column_type.clone();
                column.data_type = wider.data_type.clone();
                column.type_modifier.clone_from(&wider.type_modifier);
                Ok(())
            })
        })
    }

    /// Allows or forbids NULL in a column. Forbidding it, the caller has looked whether there is any where [`Table::has_nulls`] does not know;
    /// rows that others add meanwhile are a conflict.
    ///
    /// # Errors
    /// As [`add_column`](Self::add_column); [`Error::UndefinedColumn`]; [`Error::ColumnHasNulls`] if it is known to have some.
    pub fn set_nullable(
        &self,
        schema: &str,
        table: &str,
        column: &str,
        nullable: bool,
    ) -> Result<()> {
        self.alter_columns(schema, table, |table| {
            if !nullable && table.has_nulls(require(table, column)?.id) == Some(true) {
                return Err(Error::ColumnHasNulls {
                    table: table.qualified_name(),
                    column: column.to_owned(),
                });
            }
            altered(table, column, |column| {
                column.nullable = nullable;
                Ok(())
            })
        })
    }

    /// Sets the default of a column, an expression as SQL text, or removes it. Rows that are there keep their values.
    ///
    /// # Errors
    /// As [`add_column`](Self::add_column); [`Error::UndefinedColumn`].
    pub fn set_default(
        &self,
        schema: &str,
        table: &str,
        column: &str,
        default: Option<&str>,
    ) -> Result<()> {
        self.alter_columns(schema, table, |table| {
            altered(table, column, |column| {
                column.default = default.map(str::to_owned);
                Ok(())
            })
        })
    }

    /// Moves a table or view to another schema. Its files stay where they are.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`], [`Error::DuplicateRelation`].
    pub fn move_relation(&self, schema: &str, name: &str, new_schema: &str) -> Result<()> {
        self.change(|state| {
            let relation = state.overlay.require_relation(schema, name)?.clone();
            let target = Arc::clone(state.overlay.require_schema(new_schema)?);
            if target.name == schema {
                return Err(Error::DuplicateRelation {
                    schema: schema.to_owned(),
                    name: name.to_owned(),
                });
            }
            state.push(moved(&relation, target.id))
        })
    }

    /// Renames a schema, with all that is in it.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::DuplicateSchema`], [`Error::InvalidName`].
    pub fn rename_schema(&self, name: &str, new_name: &str) -> Result<()> {
        check_name(new_name)?;
        self.change(|state| {
            let old = Arc::clone(state.overlay.require_schema(name)?);
            // The specification gives a schema one row for all its life: the new name is a new schema in the same directory.
            let id = SchemaId(state.local_id());
            state.push(Change::CreateSchema(crate::model::Schema {
                id,
                uuid: uuid::Uuid::now_v7().to_string(),
                name: new_name.to_owned(),
                relations: Default::default(),
                ..crate::model::Schema::clone(&old)
            }))?;
            for relation in old.relations.values() {
                state.push(moved(relation, id))?;
            }
            state.push(Change::DropSchema(old.id))
        })
    }

    fn alter_columns(
        &self,
        schema: &str,
        table: &str,
        columns: impl FnOnce(&Table) -> Result<Vec<Column>>,
    ) -> Result<()> {
        self.change(|state| {
            let table = Arc::clone(state.overlay.require_table(schema, table)?);
            check_readable(&table)?;
            let columns = columns(&table)?;
            state.push(Change::SetColumns(table.id, columns))
        })
    }
}

fn moved(relation: &Relation, schema: SchemaId) -> Change {
    match relation {
        Relation::Table(table) => Change::RenameTable(table.id, schema, table.name.clone()),
        Relation::View(view) => Change::RenameView(view.id, schema, view.name.clone()),
    }
}

fn require<'a>(table: &'a Table, column: &str) -> Result<&'a Column> {
    table.column(column).ok_or_else(|| Error::UndefinedColumn {
        relation: table.qualified_name(),
        column: column.to_owned(),
    })
}

/// The columns of `table`, one of them altered.
fn altered(
    table: &Table,
    column: &str,
    alter: impl FnOnce(&mut Column) -> Result<()>,
) -> Result<Vec<Column>> {
    let id = require(table, column)?.id;
    let mut columns = table.columns.clone();
    if let Some(column) = columns.iter_mut().find(|column| column.id == id) {
        alter(column)?;
    }
    Ok(columns)
}

fn change(table: &Table, def: &ColumnDef, reason: &str) -> Error {
    refused(table, &def.name, reason)
}

fn refused(table: &Table, column: &str, reason: &str) -> Error {
    Error::ColumnChange {
        relation: table.qualified_name(),
        column: column.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Whether every value of a column declared as `from` may be in one declared as `to`, both stored alike.
fn is_wider_modifier(from: Option<&TypeModifier>, to: Option<&TypeModifier>) -> bool {
    match (from, to) {
        (_, None) => true,
        (Some(from), Some(to)) if from.type_name == to.type_name => {
            to.modifier == -1 || (from.modifier != -1 && from.modifier <= to.modifier)
        }
        (from, Some(to)) => {
            let text = |name: &str| matches!(name, "text" | "varchar");
            to.modifier == -1
                && text(&to.type_name)
                && from.is_none_or(|from| text(&from.type_name) || from.type_name == "bpchar")
        }
    }
}
