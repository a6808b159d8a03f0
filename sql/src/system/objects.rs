//! The objects of a snapshot with their oids: what `pg_class`, `pg_proc` and the name lookups are made from.
//!
//! Oids are stable, so that a client may keep one between statements:
//! - system relations, types and PostgreSQL's own functions have the oids of PostgreSQL 15, below 16384;
//! - a schema, table or view has 16384 + its id in the catalog, which it keeps through renames; one that an open
//!   transaction has made has a number above [`LOCAL_OIDS`] until the commit gives it its id;
//! - schemas of functions and the functions themselves have numbers made from their names, above [`NAMED_OIDS`];
//! - roles have numbers made from their names, above [`ROLE_OIDS`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use tributary_catalog::{Relation, Table, View};
use tributary_udfs::function::{Parameter, ParameterType};

use super::SystemEnv;
use super::definition::{self, Definition};
use super::names::{quote_ident, split_name};
use crate::pgtype::{self, PgType};

/// `pg_namespace.oid` of `pg_catalog`.
pub(super) const PG_CATALOG: u32 = 11;
/// `pg_namespace.oid` of `information_schema`.
pub(super) const INFORMATION_SCHEMA: u32 = 13207;
/// The first oid that is not PostgreSQL's own.
const FIRST_OIDS: u32 = 16_384;
/// Oids of objects that only their own transaction knows.
const LOCAL_OIDS: u32 = 0x7000_0000;
/// Oids made from names.
const NAMED_OIDS: u32 = 0x4000_0000;
/// Oids of roles.
const ROLE_OIDS: u32 = 0x2000_0000;
/// How many oids each of the ranges above has.
const RANGE: u32 = 0x1000_0000;
/// The first id that the catalog gives within a transaction.
const LOCAL_IDS: i64 = 1 << 62;

/// All objects.
#[derive(Debug)]
pub(super) struct Objects {
    /// Schemas, by oid.
    pub namespaces: BTreeMap<u32, Namespace>,
    /// Tables and views, by oid.
    pub relations: BTreeMap<u32, RelationObject>,
    /// Functions, by oid.
    pub functions: BTreeMap<u32, FunctionObject>,
    relation_oids: HashMap<(u32, String), u32>,
    namespace_oids: HashMap<String, u32>,
    /// The schemas searched for an unqualified name, in order, those that exist.
    pub path: Vec<u32>,
}

/// A schema.
#[derive(Debug)]
pub(super) struct Namespace {
    pub oid: u32,
    pub name: String,
    pub comment: Option<String>,
}

/// A table or view.
#[derive(Debug)]
pub(super) struct RelationObject {
    pub oid: u32,
    pub namespace: u32,
    pub name: String,
    pub source: RelationSource,
    columns: OnceLock<Vec<Attribute>>,
}

/// Where a relation is from.
#[derive(Debug)]
pub(super) enum RelationSource {
    /// One of `pg_catalog` or `information_schema`.
    System(&'static Definition),
    /// A table of the warehouse.
    Table(Arc<Table>),
    /// A view of the warehouse.
    View(Arc<View>),
}

/// A column.
#[derive(Debug)]
pub(super) struct Attribute {
    pub name: String,
    pub pg_type: &'static PgType,
    pub modifier: i32,
    pub not_null: bool,
    pub default: Option<String>,
    pub comment: Option<String>,
}

/// A function.
#[derive(Debug)]
pub(super) struct FunctionObject {
    pub oid: u32,
    pub namespace: u32,
    pub name: String,
    /// `pg_proc.prokind`.
    pub kind: char,
    /// `pg_proc.provolatile`.
    pub volatility: char,
    pub strict: bool,
    pub returns_set: bool,
    pub result: u32,
    pub arguments: Vec<Argument>,
    /// The result as `pg_get_function_result` gives it.
    pub result_text: String,
    pub comment: Option<String>,
}

/// An argument of a function.
#[derive(Debug)]
pub(super) struct Argument {
    pub name: Option<&'static str>,
    pub type_oid: u32,
    /// The type as text where it is not the spelling of `type_oid`.
    pub type_name: Option<&'static str>,
    pub default: Option<String>,
}

impl Objects {
    /// The objects that `env` sees.
    pub fn new(env: &Arc<SystemEnv>) -> Self {
        let mut objects = Self {
            namespaces: BTreeMap::new(),
            relations: BTreeMap::new(),
            functions: BTreeMap::new(),
            relation_oids: HashMap::new(),
            namespace_oids: HashMap::new(),
            path: Vec::new(),
        };
        objects.add_namespace(PG_CATALOG, "pg_catalog", Some("system catalog schema"));
        objects.add_namespace(INFORMATION_SCHEMA, "information_schema", None);
        for definition in definition::all()
            .iter()
            .filter(|definition| definition.kind != 'f')
        {
            let namespace = objects.namespace_oid(definition.schema).unwrap_or_default();
            let source = RelationSource::System(definition);
            objects.add_relation(definition.oid, namespace, definition.name, source);
        }
        for schema in env.snapshot.schemas().filter(|schema| !schema.is_hidden()) {
            let namespace = catalog_oid(schema.id.0);
            objects.add_namespace(namespace, &schema.name, schema.comment.as_deref());
            for relation in schema.relations.values() {
                let (id, source) = match relation {
                    Relation::Table(table) => {
                        (table.id.0, RelationSource::Table(Arc::clone(table)))
                    }
                    Relation::View(view) => (view.id.0, RelationSource::View(Arc::clone(view))),
                };
                objects.add_relation(catalog_oid(id), namespace, relation.name(), source);
            }
        }
        objects.add_functions();
        let path = std::iter::once("pg_catalog").chain(env.search_path.iter().map(String::as_str));
        let mut seen = HashSet::new();
        objects.path = path
            .filter_map(|name| objects.namespace_oid(name))
            .filter(|oid| seen.insert(*oid))
            .collect();
        objects
    }

    fn add_namespace(&mut self, oid: u32, name: &str, comment: Option<&str>) {
        self.namespace_oids.insert(name.to_owned(), oid);
        self.namespaces.insert(
            oid,
            Namespace {
                oid,
                name: name.to_owned(),
                comment: comment.map(str::to_owned),
            },
        );
    }

    fn add_relation(&mut self, oid: u32, namespace: u32, name: &str, source: RelationSource) {
        self.relation_oids.insert((namespace, name.to_owned()), oid);
        self.relations.insert(
            oid,
            RelationObject {
                oid,
                namespace,
                name: name.to_owned(),
                source,
                columns: OnceLock::new(),
            },
        );
    }

    fn add_functions(&mut self) {
        for function in builtin_functions() {
            self.functions.insert(function.oid, function);
        }
        for function in tributary_udfs::functions::ALL {
            let signature = function.signature();
            if self.namespace_oid(signature.schema).is_none() {
                let oid = named_oid(signature.schema, |oid| self.namespaces.contains_key(&oid));
                self.add_namespace(oid, signature.schema, None);
            }
            let namespace = self.namespace_oid(signature.schema).unwrap_or_default();
            let oid = named_oid(&signature.qualified_name(), |oid| {
                self.functions.contains_key(&oid)
            });
            self.functions.insert(
                oid,
                FunctionObject {
                    oid,
                    namespace,
                    name: signature.name.to_owned(),
                    kind: 'f',
                    volatility: 's',
                    strict: false,
                    returns_set: true,
                    result: 2249,
                    arguments: signature.parameters.iter().map(argument).collect(),
                    result_text: signature.result_text(),
                    comment: Some(signature.summary.to_owned()),
                },
            );
        }
    }

    /// The oid of a schema.
    pub fn namespace_oid(&self, name: &str) -> Option<u32> {
        self.namespace_oids.get(name).copied()
    }

    /// The name of a schema.
    pub fn namespace_name(&self, oid: u32) -> Option<&str> {
        self.namespaces
            .get(&oid)
            .map(|namespace| namespace.name.as_str())
    }

    /// The relation that a possibly qualified name stands for.
    pub fn find_relation(&self, text: &str) -> Option<&RelationObject> {
        let parts = split_name(text)?;
        let oid = match parts.as_slice() {
            [name] => self
                .path
                .iter()
                .find_map(|namespace| self.relation_oids.get(&(*namespace, name.clone()))),
            [schema, name] | [_, schema, name] => self
                .relation_oids
                .get(&(self.namespace_oid(schema)?, name.clone())),
            _ => None,
        }?;
        self.relations.get(oid)
    }

    /// Whether the unqualified name of a relation stands for it.
    pub fn is_relation_visible(&self, relation: &RelationObject) -> bool {
        self.path
            .iter()
            .find_map(|namespace| self.relation_oids.get(&(*namespace, relation.name.clone())))
            == Some(&relation.oid)
    }

    /// The functions of a possibly qualified name, by oid.
    pub fn find_functions(&self, text: &str) -> Vec<&FunctionObject> {
        let Some(parts) = split_name(text) else {
            return Vec::new();
        };
        let (namespaces, name) = match parts.as_slice() {
            [name] => (self.path.clone(), name),
            [schema, name] | [_, schema, name] => {
                (self.namespace_oid(schema).into_iter().collect(), name)
            }
            _ => return Vec::new(),
        };
        namespaces
            .iter()
            .map(|namespace| {
                self.functions
                    .values()
                    .filter(|f| f.namespace == *namespace && f.name == *name)
                    .collect::<Vec<_>>()
            })
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// Whether the unqualified name of a function finds it.
    pub fn is_function_visible(&self, function: &FunctionObject) -> bool {
        self.find_functions(&quote_ident(&function.name))
            .iter()
            .any(|found| found.oid == function.oid)
    }

    /// A schema's object as SQL text: without the schema if that is not needed to find it.
    pub fn qualified(&self, namespace: u32, name: &str, visible: bool) -> String {
        match self.namespace_name(namespace) {
            Some(schema) if !visible => format!("{}.{}", quote_ident(schema), quote_ident(name)),
            _ => quote_ident(name),
        }
    }
}

impl RelationObject {
    /// `pg_class.relkind`.
    pub fn kind(&self) -> char {
        match &self.source {
            RelationSource::System(definition) => definition.kind,
            RelationSource::Table(_) => 'r',
            RelationSource::View(_) => 'v',
        }
    }

    /// The comment on it.
    pub fn comment(&self) -> Option<&str> {
        match &self.source {
            RelationSource::System(_) => None,
            RelationSource::Table(table) => table.comment(),
            RelationSource::View(view) => view.comment(),
        }
    }

    /// Rows and bytes of a table.
    pub fn size(&self) -> (u64, u64) {
        match &self.source {
            RelationSource::Table(table) => (table.rows, table.bytes),
            RelationSource::System(_) | RelationSource::View(_) => (0, 0),
        }
    }

    /// The query of a view.
    pub fn query(&self) -> Option<String> {
        match &self.source {
            RelationSource::System(definition) => definition.view_source().map(str::to_owned),
            RelationSource::Table(_) => None,
            RelationSource::View(view) => Some(view.sql.clone()),
        }
    }

    /// Whether it is one of `pg_catalog` or `information_schema`.
    pub fn is_system(&self) -> bool {
        matches!(self.source, RelationSource::System(_))
    }

    /// Its columns; none for a view whose query no longer plans.
    pub fn columns(&self, env: &Arc<SystemEnv>) -> &[Attribute] {
        self.columns.get_or_init(|| match &self.source {
            RelationSource::System(definition) => definition
                .columns
                .iter()
                .map(|column| Attribute {
                    name: column.name.to_owned(),
                    pg_type: column.pg_type,
                    modifier: -1,
                    not_null: column.not_null,
                    default: None,
                    comment: None,
                })
                .collect(),
            RelationSource::Table(table) => table
                .columns
                .iter()
                .map(|column| {
                    let field = column.arrow_field();
                    Attribute {
                        name: column.name.clone(),
                        pg_type: pgtype::of_field(&field),
                        modifier: pgtype::type_modifier(&field),
                        not_null: !column.nullable,
                        default: column.default.clone(),
                        comment: column.comment.clone(),
                    }
                })
                .collect(),
            RelationSource::View(view) => {
                let schema = env.view_columns.columns(env, view);
                let fields = schema.iter().flat_map(|schema| schema.fields().iter());
                fields
                    .map(|field| Attribute {
                        name: field.name().clone(),
                        pg_type: pgtype::of_field(field),
                        modifier: pgtype::type_modifier(field),
                        not_null: false,
                        default: None,
                        comment: None,
                    })
                    .collect()
            }
        })
    }
}

impl FunctionObject {
    /// The arguments as `pg_get_function_arguments` gives them, or without defaults as
    /// `pg_get_function_identity_arguments` does.
    pub fn arguments_text(&self, with_defaults: bool) -> String {
        let argument = |argument: &Argument| {
            let type_name = match argument.type_name {
                Some(name) => name.to_owned(),
                None => pgtype::format_type(argument.type_oid, None),
            };
            let name = argument
                .name
                .map(|name| format!("{name} "))
                .unwrap_or_default();
            match &argument.default {
                Some(default) if with_defaults => format!("{name}{type_name} DEFAULT {default}"),
                _ => format!("{name}{type_name}"),
            }
        };
        let arguments: Vec<String> = self.arguments.iter().map(argument).collect();
        arguments.join(", ")
    }
}

/// The oid of a role.
pub(super) fn role_oid(name: &str) -> u32 {
    ROLE_OIDS + hash(name) % RANGE
}

/// The oid of a schema, table or view of the catalog.
fn catalog_oid(id: i64) -> u32 {
    let (base, id, range) = if id >= LOCAL_IDS {
        (LOCAL_OIDS, id - LOCAL_IDS, RANGE)
    } else {
        (FIRST_OIDS, id, ROLE_OIDS - FIRST_OIDS)
    };
    // Ids count up from 0; 500 million objects later oids would repeat, as they do in PostgreSQL after 4 billion.
    base + u32::try_from(id.rem_euclid(i64::from(range))).unwrap_or_default()
}

/// An oid made from a name: the first free one from its hash on.
fn named_oid(name: &str, is_taken: impl Fn(u32) -> bool) -> u32 {
    let start = hash(name) % RANGE;
    (0..RANGE)
        .map(|step| NAMED_OIDS + (start + step) % RANGE)
        .find(|oid| !is_taken(*oid))
        .unwrap_or(NAMED_OIDS)
}

/// FNV-1a: small, and the same on every machine and in every version.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn argument(parameter: &Parameter) -> Argument {
    // A relation or model is no value; `any` is PostgreSQL's word for a type that no type describes.
    let (type_oid, own_name) = match parameter.kind {
        ParameterType::Relation | ParameterType::Model | ParameterType::Key => (2276, true),
        ParameterType::Column | ParameterType::Columns => (25, true),
        ParameterType::Text => (25, false),
        ParameterType::Integer => (20, false),
        ParameterType::Float => (701, false),
        ParameterType::Boolean => (16, false),
        ParameterType::Integers => (1016, false),
    };
    Argument {
        name: Some(parameter.name),
        type_oid,
        type_name: own_name.then(|| parameter.kind.name()),
        default: parameter.default.sql(),
    }
}

/// PostgreSQL's own functions that exist here: `functions.txt`, one a line, as
/// `oid name kind volatility strict set result arguments...`.
fn builtin_functions() -> impl Iterator<Item = FunctionObject> {
    include_str!("functions.txt").lines().filter_map(|line| {
        let mut words = line.split(' ');
        let oid = words.next()?.parse().ok()?;
        let name = words.next()?;
        let kind = words.next()?.chars().next()?;
        let volatility = words.next()?.chars().next()?;
        let strict = words.next()? == "t";
        let returns_set = words.next()? == "t";
        let result = pgtype::by_name(words.next()?)?;
        let arguments = words
            .map(|name| {
                Some(Argument {
                    name: None,
                    type_oid: pgtype::by_name(name)?.oid,
                    type_name: None,
                    default: None,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let result_text = pgtype::format_type(result.oid, None);
        Some(FunctionObject {
            oid,
            namespace: PG_CATALOG,
            name: name.to_owned(),
            kind,
            volatility,
            strict,
            returns_set,
            result: result.oid,
            arguments,
            result_text: if returns_set {
                format!("SETOF {result_text}")
            } else {
                result_text
            },
            comment: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_function_is_read() {
        let lines = include_str!("functions.txt").lines().count();
        let functions: Vec<_> = builtin_functions().collect();
        assert_eq!(functions.len(), lines);
        let oids: HashSet<u32> = functions.iter().map(|f| f.oid).collect();
        assert_eq!(oids.len(), lines);
        assert!(oids.iter().all(|oid| *oid < FIRST_OIDS));
    }

    #[test]
    fn oids_are_stable_and_apart() {
        assert_eq!(catalog_oid(7), 16_391);
        assert_eq!(catalog_oid(LOCAL_IDS + 7), LOCAL_OIDS + 7);
        assert_eq!(role_oid("admin"), role_oid("admin"));
        assert_ne!(named_oid("ml", |_| false), named_oid("fusion", |_| false));
        let first = named_oid("ml", |_| false);
        assert_eq!(named_oid("ml", |oid| oid == first), first + 1);
    }
}
