//! Qualified names for stored queries: a view means the same whatever its reader's search path.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};

use crate::error::{Error, Result};
use crate::planner::Planner;
use crate::relation::normalise;
use crate::statement::reference;

/// Writes the schema before every relation name in `query` that is not a common table expression.
///
/// # Errors
/// [`crate::error::Condition::UndefinedTable`] for a name that is no relation.
pub fn qualify(planner: &Planner, query: &mut Query) -> Result<()> {
    let mut qualifier = Qualifier {
        planner,
        scopes: Scopes::default(),
    };
    match query.visit(&mut qualifier) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The qualified names of the relations that a stored statement reads, as schema and name.
pub fn relations_of(statement: &Statement) -> Vec<(String, String)> {
    struct Collector(Vec<(String, String)>);
    impl Visitor for Collector {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            if let Ok(reference) = reference(name)
                && let Some(schema) = reference.schema()
            {
                self.0
                    .push((schema.to_owned(), reference.table().to_owned()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut collector = Collector(Vec::new());
    let _ = statement.visit(&mut collector);
    collector.0
}

/// Which common table expressions are visible while a query is walked.
///
/// The walk visits a query's WITH list before its body, so the queries that follow a query which
/// has a WITH list are that list's members, in order: each becomes visible once it is left, or
/// from the start where the list is RECURSIVE.
#[derive(Default)]
struct Scopes {
    frames: Vec<Frame>,
}

struct Frame {
    visible: Vec<String>,
    pending: Vec<String>,
    is_member: bool,
}

impl Scopes {
    fn enter(&mut self, query: &Query) {
        let is_member = self
            .frames
            .last()
            .is_some_and(|parent| !parent.pending.is_empty());
        let mut names: Vec<String> = query
            .with
            .iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| normalise(&cte.alias.name))
            .collect();
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        names.reverse();
        self.frames.push(Frame {
            visible: if recursive { names.clone() } else { Vec::new() },
            pending: names,
            is_member,
        });
    }

    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if frame.is_member
            && let Some(parent) = self.frames.last_mut()
            && let Some(name) = parent.pending.pop()
        {
            parent.visible.push(name);
        }
    }

    fn sees(&self, name: &str) -> bool {
        self.frames
            .iter()
            .any(|frame| frame.visible.iter().any(|visible| visible == name))
    }
}

struct Qualifier<'a> {
    planner: &'a Planner,
    scopes: Scopes,
}

impl Qualifier<'_> {
    fn qualify(&self, name: &mut ObjectName) -> Result<()> {
        let found = reference(name)?;
        if found.schema().is_none() && self.scopes.sees(found.table()) {
            return Ok(());
        }
        let schema = match found.schema() {
            Some(schema) => schema.to_owned(),
            None => match self.planner.schema_of(&found)? {
                Some(schema) => schema,
                None => return Err(self.planner.undefined(&found).into()),
            },
        };
        *name = ObjectName(
            [schema.as_str(), found.table()]
                .map(|part| ObjectNamePart::Identifier(Ident::with_quote('"', part)))
                .to_vec(),
        );
        Ok(())
    }
}

impl VisitorMut for Qualifier<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.scopes.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.scopes.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        // A table function's name is a relation name to the parser, not to us.
        let TableFactor::Table {
            name, args: None, ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        match self.qualify(name) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
