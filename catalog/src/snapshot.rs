//! One immutable version of the whole catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::model::{
    Relation, RelationKind, Schema, SchemaId, SnapshotId, Table, TableId, View, ViewId,
};

/// One version of the catalog: what a statement sees from its first name to its last row.
///
/// It never changes; a transaction's own snapshot is its base with the pending changes laid over. The maps are shared between versions, so a
/// clone is cheap and a change copies only the map it touches.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its number; inside a transaction with pending changes, that of the base.
    pub id: SnapshotId,
    /// When it was committed.
    pub committed_at: DateTime<Utc>,
    /// Counts the commits that changed more than rows.
    pub(crate) schema_version: i64,
    pub(crate) next_catalog_id: i64,
    pub(crate) next_file_id: i64,
    data_path: Arc<str>,
    schemas: Arc<BTreeMap<String, Arc<Schema>>>,
    schema_names: Arc<BTreeMap<SchemaId, String>>,
    tables: Arc<BTreeMap<TableId, Arc<Table>>>,
    views: Arc<BTreeMap<ViewId, Arc<View>>>,
}

impl Snapshot {
    /// A version without any schema.
    pub(crate) fn empty(id: SnapshotId, committed_at: DateTime<Utc>, data_path: &str) -> Self {
        Self {
            id,
            committed_at,
            schema_version: 0,
            next_catalog_id: 0,
            next_file_id: 0,
            data_path: data_path.into(),
            schemas: Arc::default(),
            schema_names: Arc::default(),
            tables: Arc::default(),
            views: Arc::default(),
        }
    }

    /// All schemas, by name. See [`Schema::is_hidden`] for the one not to list.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    /// The schema of that name.
    pub fn schema(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.get(name)
    }

    /// The table or view of that name.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.schemas.get(schema)?.relations.get(name)
    }

    /// The table of that name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        match self.relation(schema, name)? {
            Relation::Table(table) => Some(table),
            Relation::View(_) => None,
        }
    }

    /// The view of that name.
    pub fn view(&self, schema: &str, name: &str) -> Option<&Arc<View>> {
        match self.relation(schema, name)? {
            Relation::View(view) => Some(view),
            Relation::Table(_) => None,
        }
    }

    /// The table of that id.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables.get(&id)
    }

    /// The view of that id.
    pub fn view_by_id(&self, id: ViewId) -> Option<&Arc<View>> {
        self.views.get(&id)
    }

    /// The schema of that id.
    pub fn schema_by_id(&self, id: SchemaId) -> Option<&Arc<Schema>> {
        self.schemas.get(self.schema_names.get(&id)?)
    }

    /// All tables, by id.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// All views, by id.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.values()
    }

    /// The schema of that name, or the error that there is none.
    pub(crate) fn require_schema(&self, name: &str) -> Result<&Arc<Schema>> {
        self.schema(name).ok_or_else(|| Error::UndefinedSchema {
            name: name.to_owned(),
        })
    }

    /// The relation of that name, or the error that there is none.
    pub(crate) fn require_relation(&self, schema: &str, name: &str) -> Result<&Relation> {
        self.require_schema(schema)?
            .relations
            .get(name)
            .ok_or_else(|| Error::UndefinedRelation {
                schema: schema.to_owned(),
                name: name.to_owned(),
            })
    }

    /// The table of that name, or the error that there is none or that it is a view.
    pub(crate) fn require_table(&self, schema: &str, name: &str) -> Result<&Arc<Table>> {
        match self.require_relation(schema, name)? {
            Relation::Table(table) => Ok(table),
            Relation::View(_) => Err(wrong_kind(schema, name, RelationKind::Table)),
        }
    }

    /// The view of that name, or the error that there is none or that it is a table.
    pub(crate) fn require_view(&self, schema: &str, name: &str) -> Result<&Arc<View>> {
        match self.require_relation(schema, name)? {
            Relation::View(view) => Ok(view),
            Relation::Table(_) => Err(wrong_kind(schema, name, RelationKind::View)),
        }
    }

    /// Adds a schema.
    pub(crate) fn put_schema(&mut self, schema: Arc<Schema>) -> Result<()> {
        if self.schemas.contains_key(&schema.name) {
            return Err(Error::DuplicateSchema {
                name: schema.name.clone(),
            });
        }
        Arc::make_mut(&mut self.schema_names).insert(schema.id, schema.name.clone());
        Arc::make_mut(&mut self.schemas).insert(schema.name.clone(), schema);
        Ok(())
    }

    /// Removes a schema, which must be empty.
    pub(crate) fn remove_schema(&mut self, id: SchemaId) -> Result<()> {
        let schema = self.schema_by_id(id).ok_or_else(|| gone("schema", id.0))?;
        if !schema.relations.is_empty() {
            let relations = schema
                .relations
                .iter()
                .map(|(name, relation)| format!("{} {name}", relation.kind()))
                .collect();
            return Err(Error::SchemaNotEmpty {
                name: schema.name.clone(),
                relations,
            });
        }
        let name = schema.name.clone();
        Arc::make_mut(&mut self.schemas).remove(&name);
        Arc::make_mut(&mut self.schema_names).remove(&id);
        Ok(())
    }

    /// Changes a schema in place, its name and id excepted.
    pub(crate) fn alter_schema(
        &mut self,
        id: SchemaId,
        change: impl FnOnce(&mut Schema),
    ) -> Result<()> {
        let name = self
            .schema_names
            .get(&id)
            .ok_or_else(|| gone("schema", id.0))?;
        let schema = Arc::make_mut(&mut self.schemas)
            .get_mut(name)
            .ok_or_else(|| gone("schema", id.0))?;
        change(Arc::make_mut(schema));
        Ok(())
    }

    /// Adds a table, or puts it in the place of the one with the same id.
    pub(crate) fn put_table(&mut self, table: Table) -> Result<()> {
        let table = Arc::new(table);
        let old = self.tables.get(&table.id);
        let old = old.map(|old| (old.schema_id, old.name.clone()));
        self.put_relation(table.schema_id, old, Relation::Table(Arc::clone(&table)))?;
        Arc::make_mut(&mut self.tables).insert(table.id, table);
        Ok(())
    }

    /// Adds a view, or puts it in the place of the one with the same id.
    pub(crate) fn put_view(&mut self, view: View) -> Result<()> {
        let view = Arc::new(view);
        let old = self.views.get(&view.id);
        let old = old.map(|old| (old.schema_id, old.name.clone()));
        self.put_relation(view.schema_id, old, Relation::View(Arc::clone(&view)))?;
        Arc::make_mut(&mut self.views).insert(view.id, view);
        Ok(())
    }

    fn put_relation(
        &mut self,
        schema_id: SchemaId,
        old: Option<(SchemaId, String)>,
        relation: Relation,
    ) -> Result<()> {
        let schema = self
            .schema_by_id(schema_id)
            .ok_or_else(|| gone("schema", schema_id.0))?;
        let stays = old
            .as_ref()
            .is_some_and(|(schema, name)| *schema == schema_id && name == relation.name());
        if !stays && schema.relations.contains_key(relation.name()) {
            return Err(Error::DuplicateRelation {
                schema: schema.name.clone(),
                name: relation.name().to_owned(),
            });
        }
        if let Some((schema, name)) = old.filter(|_| !stays) {
            self.alter_schema(schema, |schema| {
                schema.relations.remove(&name);
            })?;
        }
        self.alter_schema(schema_id, |schema| {
            schema
                .relations
                .insert(relation.name().to_owned(), relation);
        })
    }

    /// Removes a table.
    pub(crate) fn remove_table(&mut self, id: TableId) -> Result<()> {
        let table = Arc::make_mut(&mut self.tables)
            .remove(&id)
            .ok_or_else(|| gone("table", id.0))?;
        self.alter_schema(table.schema_id, |schema| {
            schema.relations.remove(&table.name);
        })
    }

    /// Removes a view.
    pub(crate) fn remove_view(&mut self, id: ViewId) -> Result<()> {
        let view = Arc::make_mut(&mut self.views)
            .remove(&id)
            .ok_or_else(|| gone("view", id.0))?;
        self.alter_schema(view.schema_id, |schema| {
            schema.relations.remove(&view.name);
        })
    }

    /// The schema of that id, or the internal error that it is not there.
    pub(crate) fn expect_schema(&self, id: SchemaId) -> Result<&Arc<Schema>> {
        self.schema_by_id(id).ok_or_else(|| gone("schema", id.0))
    }

    /// The data directory of the warehouse, ending in a slash.
    pub(crate) fn data_path(&self) -> &str {
        &self.data_path
    }

    /// The table of that id, or the internal error that it is not there.
    pub(crate) fn expect_table(&self, id: TableId) -> Result<&Arc<Table>> {
        self.tables.get(&id).ok_or_else(|| gone("table", id.0))
    }
}

fn wrong_kind(schema: &str, name: &str, wanted: RelationKind) -> Error {
    let actual = match wanted {
        RelationKind::Table => RelationKind::View,
        RelationKind::View => RelationKind::Table,
    };
    Error::WrongRelationKind {
        schema: schema.to_owned(),
        name: name.to_owned(),
        wanted,
        actual,
    }
}

/// A change names an object by an id that the snapshot does not have. Conflicts are found before changes are replayed, so this is a bug.
fn gone(kind: &str, id: i64) -> Error {
    Error::Internal(format!(
        "a pending change names {kind} {id}, which the snapshot does not have"
    ))
}
