//! Which views read which relations: recorded when a view is made, asked when something is dropped.
//!
//! Views are stored as text with qualified names, so they depend on names, not on ids: a view follows whatever has the name, and a table that
//! was renamed away has no dependents.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Transaction;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::model::{DEPENDS_ON, View};
use crate::snapshot::Snapshot;
use crate::spec::changes::{quote, split, unquote};

impl Transaction {
    /// Records the relations, by schema and name, that a view reads.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`]; [`Error::WrongRelationKind`] for a table.
    pub fn set_view_dependencies(
        &self,
        schema: &str,
        name: &str,
        relations: &[(String, String)],
    ) -> Result<()> {
        let text = relations
            .iter()
            .map(|(schema, name)| format!("{}.{}", quote(schema), quote(name)))
            .collect::<Vec<_>>()
            .join(",");
        self.change(|state| {
            let id = state.overlay.require_view(schema, name)?.id;
            let value = (!text.is_empty()).then_some(text);
            state.push(Change::SetViewTag(id, DEPENDS_ON.to_owned(), value))
        })
    }

    /// Drops a table or view; with `cascade`, the views that depend on it too. Returns what was dropped beside it.
    ///
    /// # Errors
    /// [`Error::UndefinedSchema`], [`Error::UndefinedRelation`]; [`Error::DependentObjects`] without `cascade`.
    pub fn drop_relation(&self, schema: &str, name: &str, cascade: bool) -> Result<Vec<Arc<View>>> {
        self.change(|state| {
            let relation = state.overlay.require_relation(schema, name)?.clone();
            let dependents = state.overlay.dependents(schema, name);
            if !cascade && !dependents.is_empty() {
                return Err(Error::DependentObjects {
                    object: format!("{} \"{schema}.{name}\"", relation.kind()),
                    dependents: dependents
                        .iter()
                        .map(|view| format!("view {}.{}", view.schema, view.name))
                        .collect(),
                });
            }
            for view in &dependents {
                state.push(Change::DropView(view.id))?;
            }
            state.push(Change::drop_of(&relation))?;
            Ok(dependents)
        })
    }
}

impl Snapshot {
    /// The views that read a relation, directly or through other views, as far as it was recorded.
    pub fn dependents(&self, schema: &str, name: &str) -> Vec<Arc<View>> {
        let mut found: Vec<Arc<View>> = Vec::new();
        let mut seen = BTreeSet::from([(schema.to_owned(), name.to_owned())]);
        let mut next = vec![(schema.to_owned(), name.to_owned())];
        while let Some(relation) = next.pop() {
            for view in self.views() {
                let own = (view.schema.clone(), view.name.clone());
                if view.depends_on().contains(&relation) && seen.insert(own.clone()) {
                    found.push(Arc::clone(view));
                    next.push(own);
                }
            }
        }
        found
    }
}

impl View {
    /// The relations it reads, by schema and name, as far as it was recorded.
    pub fn depends_on(&self) -> Vec<(String, String)> {
        let text = self.tags.get(DEPENDS_ON).map(String::as_str);
        split(text.unwrap_or_default(), ',')
            .into_iter()
            .filter_map(|part| match split(part, '.').as_slice() {
                [schema, name] => Some((unquote(schema)?, unquote(name)?)),
                _ => None,
            })
            .collect()
    }
}
