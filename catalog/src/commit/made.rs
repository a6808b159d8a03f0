//! The change list of a snapshot.

use std::collections::BTreeSet;

use crate::change::Change;
use crate::model::{FileId, TableId};
use crate::snapshot::Snapshot;
use crate::spec::changes::ChangeMade;

/// The change list, in the order of the official extension: what was dropped, created, inserted, altered.
pub(super) fn changes_made(
    changes: &[Change],
    head: &Snapshot,
    after: &Snapshot,
    in_database: &BTreeSet<(TableId, FileId)>,
) -> Vec<ChangeMade> {
    let mut made: Vec<ChangeMade> = Vec::new();
    let flushed = changes.iter().filter_map(|change| match change {
        Change::Flush(id) | Change::Rewrite(id, _) => Some(*id),
        _ => None,
    });
    let flushed = flushed.collect::<BTreeSet<_>>();
    for change in changes {
        let entry = match change {
            Change::AddFiles(id, _) | Change::DeleteInlined(id, _) if flushed.contains(id) => None,
            Change::DropSchema(id) => head
                .schema_by_id(*id)
                .map(|_| ChangeMade::DroppedSchema(id.0)),
            Change::DropTable(id) => head
                .table_by_id(*id)
                .map(|_| ChangeMade::DroppedTable(id.0)),
            Change::DropView(id) => head.view_by_id(*id).map(|_| ChangeMade::DroppedView(id.0)),
            Change::CreateSchema(schema) => after
                .schema_by_id(schema.id)
                .map(|_| ChangeMade::CreatedSchema(schema.name.clone())),
            Change::CreateTable(table) => after
                .table_by_id(table.id)
                .map(|_| ChangeMade::CreatedTable(table.schema.clone(), table.name.clone())),
            Change::RenameTable(id, _, name) => after
                .table_by_id(*id)
                .map(|table| ChangeMade::CreatedTable(table.schema.clone(), name.clone())),
            Change::CreateView(view) => after
                .view_by_id(view.id)
                .map(|_| ChangeMade::CreatedView(view.schema.clone(), view.name.clone())),
            Change::RenameView(id, _, name) => after
                .view_by_id(*id)
                .map(|view| ChangeMade::CreatedView(view.schema.clone(), name.clone())),
            Change::AddFiles(id, files) => after
                .table_by_id(*id)
                .filter(|table| files.iter().any(|file| table.file(file.id).is_some()))
                .map(|_| ChangeMade::InsertedIntoTable(id.0)),
            Change::Flush(id) => Some(ChangeMade::InlineFlush(id.0)),
            Change::Rewrite(id, files) => {
                let deleted = head
                    .table_by_id(*id)
                    .is_some_and(|table| files.iter().any(|file| table.deletes.contains_key(file)));
                Some(if deleted {
                    ChangeMade::RewriteDelete(id.0)
                } else {
                    ChangeMade::MergeAdjacent(id.0)
                })
            }
            Change::Inline(id, _) => after
                .table_by_id(*id)
                .map(|_| ChangeMade::InlinedInsert(id.0)),
            Change::DeleteInlined(id, rows) => (after.table_by_id(*id).is_some()
                && head
                    .table_by_id(*id)
                    .is_some_and(|table| !table.inlined.born(rows).is_empty()))
            .then_some(ChangeMade::InlinedDelete(id.0)),
            // What the transaction has inserted itself is not deleted from the table.
            Change::DeleteRows(id, file, _) => (after.table_by_id(*id).is_some()
                && head
                    .table_by_id(*id)
                    .is_some_and(|table| table.file(*file).is_some()))
            .then_some(if in_database.contains(&(*id, *file)) {
                ChangeMade::InlinedDelete(id.0)
            } else {
                ChangeMade::DeletedFromTable(id.0)
            }),
            Change::DropFiles(id, files) => (after.table_by_id(*id).is_some()
                && head
                    .table_by_id(*id)
                    .is_some_and(|table| files.iter().any(|file| table.file(*file).is_some())))
            .then_some(ChangeMade::DeletedFromTable(id.0)),
            Change::SetTableTag(id, ..)
            | Change::SetColumnComment(id, ..)
            | Change::SetColumns(id, _) => (head.table_by_id(*id).is_some()
                && after.table_by_id(*id).is_some())
            .then_some(ChangeMade::AlteredTable(id.0)),
            Change::SetViewTag(id, ..) => (head.view_by_id(*id).is_some()
                && after.view_by_id(*id).is_some())
            .then_some(ChangeMade::AlteredView(id.0)),
            // The grammar has no word for it: the official extension knows no comments on schemas.
            Change::SetSchemaComment(..) => None,
        };
        made.extend(
            entry
                .filter(|entry| !made.contains(entry))
                .into_iter()
                .collect::<Vec<_>>(),
        );
    }
    made.sort_by_key(ChangeMade::rank);
    made
}
