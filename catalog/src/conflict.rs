//! Whether a transaction may commit on a snapshot newer than its base: first committer wins.
//!
//! The rule is by object. Appends to one table commute with each other, and so do deletes of different rows. Anything else on an object that another transaction has touched in the
//! meantime conflicts: a definition change with any change of the same table, two changes of tags, a name that was taken, a schema that went
//! away. What changed is found by comparing the two snapshots, so it does not depend on what other writers log.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::change::Change;
use crate::deletes::{Deletes, Positions};
use crate::error::{Error, Result};
use crate::files::Disk;
use crate::inline::Inlined;
use crate::model::{Column, DataFile, FileId, LOCAL, SchemaId, Table, TableId, View, ViewId};
use crate::snapshot::Snapshot;
use crate::txn::Pending;

/// Checks that `pending` can be replayed on `head`.
///
/// # Errors
/// [`Error::Conflict`].
pub fn check(pending: &Pending, head: &Snapshot, disk: &Disk) -> Result<()> {
    let check = Check {
        base: &pending.base,
        head,
    };
    if check.base.id == head.id {
        return Ok(());
    }
    for change in &pending.changes {
        match change {
            Change::CreateSchema(_) => {}
            Change::DropSchema(id) | Change::SetSchemaComment(id, _) => check.schema(*id)?,
            Change::CreateTable(table) => check.schema_is_there(table.schema_id)?,
            Change::CreateView(view) => check.schema_is_there(view.schema_id)?,
            Change::DropTable(id) | Change::RenameTable(id, ..) | Change::SetColumns(id, _) => {
                check.table(*id, |was, is| {
                    same_definition(was, is) && same_tags(was, is) && same_files(was, is)
                })?;
            }
            Change::SetTableTag(id, ..) | Change::SetColumnComment(id, ..) => {
                check.table(*id, |was, is| {
                    same_definition(was, is) && same_tags(was, is)
                })?;
            }
            Change::AddFiles(id, _) | Change::Inline(id, _) => check.table(*id, same_definition)?,
            Change::DeleteInlined(id, rows) => {
                check.table(*id, same_definition)?;
                check.inlined(*id, rows)?;
            }
            Change::Flush(_) => {}
            Change::Rewrite(id, files) => check.table(*id, |was, is| {
                same_definition(was, is) && files.iter().all(|file| same_file(was, is, *file))
            })?,
            Change::DeleteRows(id, file, positions) => {
                check.table(*id, same_definition)?;
                check.rows(*id, *file, positions, disk)?;
            }
            Change::DropFiles(id, _) => {
                check.table(*id, |was, is| {
                    same_definition(was, is) && same_files(was, is)
                })?;
            }
            Change::DropView(id) | Change::RenameView(id, ..) | Change::SetViewTag(id, ..) => {
                check.view(*id)?
            }
        }
    }
    Ok(())
}

/// The error that a change which applied to its base gives on `head`, as the conflict it is.
pub fn as_conflict(error: Error) -> Error {
    let conflict = |object: String, reason: &str| Error::Conflict {
        object,
        reason: reason.to_owned(),
    };
    match error {
        Error::DuplicateSchema { name } => conflict(
            format!("schema \"{name}\""),
            "Another transaction has created a schema of that name.",
        ),
        Error::DuplicateRelation { schema, name } => conflict(
            format!("relation \"{schema}.{name}\""),
            "Another transaction has created a relation of that name.",
        ),
        Error::SameButForCase { object, name, .. } => conflict(
            format!("{object} \"{name}\""),
            "Another transaction has created one of nearly that name.",
        ),
        Error::SchemaNotEmpty { name, .. } => conflict(
            format!("schema \"{name}\""),
            "Another transaction has created a relation in it.",
        ),
        other => other,
    }
}

struct Check<'a> {
    base: &'a Snapshot,
    head: &'a Snapshot,
}

impl Check<'_> {
    /// Whether the object was there when the transaction began, and not made by it.
    fn table(&self, id: TableId, unchanged: impl Fn(&Table, &Table) -> bool) -> Result<()> {
        let Some(was) = self.base.table_by_id(id) else {
            return Ok(());
        };
        let reason = match self.head.table_by_id(id) {
            None => "Another transaction has dropped it.",
            Some(is) if Arc::ptr_eq(was, is) || unchanged(was, is) => return Ok(()),
            Some(is) if same_definition(was, is) => "Another transaction has changed it.",
            Some(_) => "Another transaction has altered it.",
        };
        Err(Error::Conflict {
            object: format!("table \"{}\"", was.qualified_name()),
            reason: reason.to_owned(),
        })
    }

    /// Whether the rows are still there that the transaction deletes.
    fn rows(&self, id: TableId, file: FileId, rows: &Positions, disk: &Disk) -> Result<()> {
        let (Some(was), Some(is)) = (self.base.table_by_id(id), self.head.table_by_id(id)) else {
            return Ok(());
        };
        if was.file(file).is_none() {
            return Ok(());
        }
        let conflict = |reason: &str| {
            Err(Error::Conflict {
                object: format!("table \"{}\"", was.qualified_name()),
                reason: reason.to_owned(),
            })
        };
        let Some(data_file) = is.file(file) else {
            return conflict("Another transaction has deleted or moved the same rows.");
        };
        let Some(deletes) = is.deletes.get(&file) else {
            return Ok(());
        };
        let directory = disk.directory(is);
        if deletes
            .load(data_file, &disk.place(&directory))?
            .is_disjoint(rows)
        {
            Ok(())
        } else {
            conflict("Another transaction has deleted or updated the same row.")
        }
    }

    /// Whether the inlined rows are still there that the transaction deletes, and no newer ones of the same ids.
    fn inlined(&self, id: TableId, rows: &Positions) -> Result<()> {
        let (Some(was), Some(is)) = (self.base.table_by_id(id), self.head.table_by_id(id)) else {
            return Ok(());
        };
        if Arc::ptr_eq(&was.inlined, &is.inlined) {
            return Ok(());
        }
        let now = is.inlined.born(rows);
        let before = was.inlined.born(rows);
        if before.iter().all(|(row, born)| now.get(row) == Some(born)) {
            return Ok(());
        }
        Err(Error::Conflict {
            object: format!("table \"{}\"", was.qualified_name()),
            reason: "Another transaction has deleted, updated or moved the same row.".to_owned(),
        })
    }

    fn view(&self, id: ViewId) -> Result<()> {
        let Some(was) = self.base.view_by_id(id) else {
            return Ok(());
        };
        let reason = match self.head.view_by_id(id) {
            None => "Another transaction has dropped it.",
            Some(is) if same_view(was, is) => return Ok(()),
            Some(_) => "Another transaction has changed it.",
        };
        Err(Error::Conflict {
            object: format!("view \"{}.{}\"", was.schema, was.name),
            reason: reason.to_owned(),
        })
    }

    fn schema(&self, id: SchemaId) -> Result<()> {
        self.schema_is_there(id)?;
        match (self.base.schema_by_id(id), self.head.schema_by_id(id)) {
            (Some(was), Some(is)) if was.comment != is.comment => Err(Error::Conflict {
                object: format!("schema \"{}\"", was.name),
                reason: "Another transaction has changed it.".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn schema_is_there(&self, id: SchemaId) -> Result<()> {
        if id.0 >= LOCAL || self.head.schema_by_id(id).is_some() {
            return Ok(());
        }
        let name = self
            .base
            .schema_by_id(id)
            .map(|schema| schema.name.clone())
            .unwrap_or_default();
        Err(Error::Conflict {
            object: format!("schema \"{name}\""),
            reason: "Another transaction has dropped it.".to_owned(),
        })
    }
}

fn same_definition(was: &Table, is: &Table) -> bool {
    let bare = |column: &Column| Column {
        comment: None,
        ..column.clone()
    };
    was.name == is.name
        && was.schema_id == is.schema_id
        && was.columns.len() == is.columns.len()
        && was
            .columns
            .iter()
            .zip(&is.columns)
            .all(|(was, is)| was == is || bare(was) == bare(is))
}

fn same_tags(was: &Table, is: &Table) -> bool {
    was.tags == is.tags
        && was
            .columns
            .iter()
            .zip(&is.columns)
            .all(|(was, is)| was.comment == is.comment)
}

fn same_files(was: &Table, is: &Table) -> bool {
    let same = |(was, is): (&Arc<DataFile>, &Arc<DataFile>)| was.id == is.id;
    was.files.len() == is.files.len()
        && was.files.iter().zip(is.files.iter()).all(same)
        && was.deletes.len() == is.deletes.len()
        && was.deletes.iter().zip(is.deletes.iter()).all(same_deletes)
        && same_inlined(&was.inlined, &is.inlined)
}

/// Whether a file is there with the same deletes.
fn same_file(was: &Table, is: &Table, file: FileId) -> bool {
    let same = match (was.deletes.get(&file), is.deletes.get(&file)) {
        (None, None) => true,
        (Some(was), Some(is)) => same_deletes(((&file, was), (&file, is))),
        _ => false,
    };
    same && is.file(file).is_some()
}

fn same_inlined(was: &Arc<Inlined>, is: &Arc<Inlined>) -> bool {
    let rows = |inlined: &Inlined| inlined.each().collect::<BTreeSet<_>>();
    Arc::ptr_eq(was, is) || (was.rows() == is.rows() && rows(was) == rows(is))
}

fn same_deletes(((file, was), (other, is)): ((&FileId, &Deletes), (&FileId, &Deletes))) -> bool {
    let id = |deletes: &Deletes| deletes.file.as_ref().map(|file| file.id);
    file == other && id(was) == id(is) && was.recorded == is.recorded
}

fn same_view(was: &View, is: &View) -> bool {
    was.name == is.name && was.schema_id == is.schema_id && was.sql == is.sql && was.tags == is.tags
}
