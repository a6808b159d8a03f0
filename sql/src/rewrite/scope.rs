//! Which relation a name in a query stands for, for the system column `tableoid`.

use std::sync::Arc;

use sqlparser::ast::{
    Ident, JoinOperator, ObjectName, ObjectNamePart, Query, Select, TableFactor, TableWithJoins,
};

use crate::relation::normalise;
use crate::system::SystemEnv;

/// The FROM clauses around the expression being visited, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    selects: Vec<Vec<Named>>,
    /// The names of the common table expressions of the queries around it.
    common_tables: Vec<Vec<String>>,
}

/// An item of FROM.
#[derive(Debug)]
struct Named {
    name: String,
    /// The relation as it is written; `None` for anything else, and where an outer join may put NULL in its place.
    relation: Option<String>,
}

impl Scopes {
    /// To be called before the parts of a query are visited.
    pub fn enter_query(&mut self, query: &Query) {
        let with = query.with.as_ref().map(|with| with.cte_tables.as_slice());
        let names = with.unwrap_or_default().iter();
        self.common_tables
            .push(names.map(|table| normalise(&table.alias.name)).collect());
    }

    /// To be called after the parts of a query were visited.
    pub fn leave_query(&mut self) {
        self.common_tables.pop();
    }

    /// To be called before the parts of a SELECT are visited.
    pub fn enter_select(&mut self, select: &Select) {
        let mut names = Vec::new();
        for from in &select.from {
            self.add(from, &mut names);
        }
        self.selects.push(names);
    }

    /// To be called after the parts of a SELECT were visited.
    pub fn leave_select(&mut self) {
        self.selects.pop();
    }

    /// The oid of the relation called `name`, or of the only one if no name is given.
    pub fn table_oid(&self, name: Option<&Ident>, env: &Arc<SystemEnv>) -> Option<u32> {
        let named = match name.map(normalise) {
            Some(name) => self
                .selects
                .iter()
                .rev()
                .find_map(|names| names.iter().find(|named| named.name == name))?,
            None => match self.selects.last()?.as_slice() {
                [only] => only,
                _ => return None,
            },
        };
        env.relation_oid(named.relation.as_deref()?)
    }

    fn add(&self, from: &TableWithJoins, names: &mut Vec<Named>) {
        let start = names.len();
        self.add_factor(&from.relation, names);
        for join in &from.joins {
            let (left_nullable, right_nullable) = match join.join_operator {
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => (false, true),
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
                JoinOperator::FullOuter(_) => (true, true),
                _ => (false, false),
            };
            let middle = names.len();
            self.add_factor(&join.relation, names);
            for (at, named) in names.iter_mut().enumerate().skip(start) {
                if (at < middle && left_nullable) || (at >= middle && right_nullable) {
                    named.relation = None;
                }
            }
        }
    }

    fn add_factor(&self, factor: &TableFactor, names: &mut Vec<Named>) {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident) else {
                    return;
                };
                let called = alias.as_ref().map_or(last, |alias| &alias.name);
                names.push(Named {
                    name: normalise(called),
                    relation: self.relation(name),
                });
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => {
                self.add(table_with_joins, names);
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::Table { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => {
                names.extend(alias.iter().map(|alias| Named {
                    name: normalise(&alias.name),
                    relation: None,
                }));
            }
            _ => {}
        }
    }

    fn relation(&self, name: &ObjectName) -> Option<String> {
        if let [ObjectNamePart::Identifier(only)] = name.0.as_slice() {
            let only = normalise(only);
            if self
                .common_tables
                .iter()
                .flatten()
                .any(|table| *table == only)
            {
                return None;
            }
        }
        Some(name.to_string())
    }
}
