//! Definitions: CREATE, DROP, ALTER .. RENAME and COMMENT as changes of a transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::TableReference;
use datafusion::logical_expr::{Extension, LogicalPlan};
use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    AlterTableOperation, ColumnDef as SqlColumn, ColumnOption, CommentObject, CreateTable,
    CreateView, ObjectName, ObjectType, RenameTableNameKind, SchemaName, Statement,
};
use tributary_catalog::{
    ColumnDef, CommentOn, RelationKind, Snapshot, Transaction, TypeModifier, ViewDef,
};

use super::numeric::unconstrained;
use super::{Plan, Target, WriteTag, column_names, creation_name, qualify, reference, transaction};
use crate::error::{Condition, Report, Result};
use crate::names::output_names;
use crate::parse::parse;
use crate::planner::{Planner, rename_columns};
use crate::relation::{canonicalise, normalise};
use crate::types::field_of;
use crate::write::{WriteNode, WriteTarget, WriteTask};

/// A change of the catalog, all names resolved.
#[derive(Debug, Clone)]
pub enum Definition {
    /// CREATE SCHEMA.
    CreateSchema {
        /// Its name.
        name: String,
    },
    /// CREATE TABLE.
    CreateTable {
        /// The schema it is made in.
        schema: String,
        /// Its name.
        name: String,
        /// Its columns.
        columns: Vec<ColumnDef>,
    },
    /// CREATE VIEW.
    CreateView {
        /// The schema it is made in.
        schema: String,
        /// Its name.
        name: String,
        /// What it stands for.
        view: ViewDef,
        /// Whether one of that name is replaced.
        or_replace: bool,
    },
    /// DROP, with everything that goes with it; schemas last.
    Drop {
        /// The command tag.
        tag: &'static str,
        /// Tables and views: kind, schema, name.
        relations: Vec<(RelationKind, String, String)>,
        /// Schemas.
        schemas: Vec<String>,
        /// What to tell the user.
        notices: Vec<String>,
    },
    /// ALTER TABLE or VIEW .. RENAME TO.
    Rename {
        /// The command tag.
        tag: &'static str,
        /// The schema.
        schema: String,
        /// The name before.
        name: String,
        /// The name after.
        to: String,
    },
    /// COMMENT ON a schema, table, view or column.
    Comment {
        /// The schema.
        schema: String,
        /// The relation in it.
        relation: Option<(RelationKind, String)>,
        /// The column of the relation.
        column: Option<String>,
        /// The comment; `None` removes it.
        comment: Option<String>,
    },
}

impl Definition {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::CreateSchema { .. } => "CREATE SCHEMA",
            Self::CreateTable { .. } => "CREATE TABLE",
            Self::CreateView { .. } => "CREATE VIEW",
            Self::Drop { tag, .. } | Self::Rename { tag, .. } => tag,
            Self::Comment { .. } => "COMMENT",
        }
    }

    /// What to tell the user beside the tag.
    pub fn notices(&self) -> &[String] {
        match self {
            Self::Drop { notices, .. } => notices,
            _ => &[],
        }
    }

    /// Makes the change in `transaction`.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn apply(&self, transaction: &Transaction) -> Result<()> {
        match self {
            Self::CreateSchema { name } => {
                transaction.create_schema(name)?;
            }
            Self::CreateTable {
                schema,
                name,
                columns,
            } => {
                transaction.create_table(schema, name, columns)?;
            }
            Self::CreateView {
                schema,
                name,
                view,
                or_replace,
            } => {
                transaction.create_view(schema, name, view.clone(), *or_replace)?;
            }
            Self::Drop {
                relations, schemas, ..
            } => {
                for (kind, schema, name) in relations {
                    match kind {
                        RelationKind::Table => transaction.drop_table(schema, name)?,
                        RelationKind::View => transaction.drop_view(schema, name)?,
                    }
                }
                for schema in schemas {
                    transaction.drop_schema(schema, true)?;
                }
            }
            Self::Rename {
                schema, name, to, ..
            } => transaction.rename_relation(schema, name, to)?,
            Self::Comment {
                schema,
                relation,
                column,
                comment,
            } => {
                let on = match (relation, column) {
                    (None, _) => CommentOn::Schema(schema),
                    (Some((_, name)), Some(column)) => CommentOn::Column(schema, name, column),
                    (Some((RelationKind::Table, name)), None) => CommentOn::Table(schema, name),
                    (Some((RelationKind::View, name)), None) => CommentOn::View(schema, name),
                };
                transaction.set_comment(on, comment.as_deref())?;
            }
        }
        Ok(())
    }
}

/// Plans a definition, or says that the statement is not supported.
pub fn plan(planner: &Planner, statement: &Statement) -> Result<Plan> {
    match statement {
        Statement::CreateSchema {
            schema_name,
            if_not_exists,
            with: None,
            options: None,
            default_collate_spec: None,
            ..
        } => create_schema(planner, schema_name, *if_not_exists),
        Statement::CreateTable(create) => create_table(planner, create),
        Statement::CreateView(create) => create_view(planner, create),
        Statement::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            purge: false,
            temporary: false,
            table: None,
            ..
        } => drop(planner, *object_type, *if_exists, names, *cascade),
        Statement::AlterTable(alter) => {
            let [AlterTableOperation::RenameTable { table_name }] = alter.operations.as_slice()
            else {
                return Err(unsupported(statement));
            };
            let (RenameTableNameKind::To(to) | RenameTableNameKind::As(to)) = table_name;
            rename(planner, &alter.name, to, alter.if_exists, "ALTER TABLE")
        }
        Statement::Comment {
            object_type,
            object_name,
            comment,
            if_exists: false,
            ..
        } => comment_on(planner, object_type, object_name, comment.clone()),
        other => Err(unsupported(other)),
    }
}

/// The error for a statement that PostgreSQL has and this version lacks.
fn unsupported(statement: &Statement) -> crate::error::Error {
    let text = statement.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()))
        .take(3)
        .collect();
    Report::unsupported(if words.is_empty() {
        "this statement".to_owned()
    } else {
        words.join(" ")
    })
    .into()
}

fn create_schema(planner: &Planner, name: &SchemaName, if_not_exists: bool) -> Result<Plan> {
    let SchemaName::Simple(name) = name else {
        return Err(Report::unsupported("CREATE SCHEMA .. AUTHORIZATION").into());
    };
    let name = schema_name(name)?;
    if name.starts_with("pg_") || crate::system::is_reserved_schema(&name) {
        return Err(Report::new(
            Condition::InsufficientPrivilege,
            format!("unacceptable schema name \"{name}\""),
        )
        .detail("The prefix \"pg_\", the system schemas and the schemas of relation functions are reserved.")
        .into());
    }
    if planner.snapshot().schema(&name).is_some() {
        if if_not_exists {
            return Ok(Plan::Nothing {
                tag: "CREATE SCHEMA",
                notice: format!("schema \"{name}\" already exists, skipping"),
            });
        }
        return Err(Report::new(
            Condition::DuplicateSchema,
            format!("schema \"{name}\" already exists"),
        )
        .into());
    }
    Ok(Plan::Define(Definition::CreateSchema { name }))
}

/// A schema's name, possibly with the database before it.
fn schema_name(name: &ObjectName) -> Result<String> {
    let reference = reference(name)?;
    match (reference.catalog(), reference.schema()) {
        (None, None) => Ok(reference.table().to_owned()),
        (None, Some(database)) if database == crate::planner::DATABASE => {
            Ok(reference.table().to_owned())
        }
        _ => Err(Report::new(
            Condition::FeatureNotSupported,
            format!("cross-database references are not implemented: {name}"),
        )
        .into()),
    }
}

/// Whether a table or view of that name stops a CREATE: with IF NOT EXISTS it is skipped.
fn existing(
    planner: &Planner,
    schema: &str,
    name: &str,
    if_not_exists: bool,
    tag: &'static str,
) -> Result<Option<Plan>> {
    if planner.snapshot().schema(schema).is_none() {
        return Err(Report::new(
            Condition::UndefinedSchema,
            format!("schema \"{schema}\" does not exist"),
        )
        .into());
    }
    if planner.snapshot().relation(schema, name).is_none() {
        return Ok(None);
    }
    if if_not_exists {
        return Ok(Some(Plan::Nothing {
            tag,
            notice: format!("relation \"{name}\" already exists, skipping"),
        }));
    }
    Err(Report::new(
        Condition::DuplicateTable,
        format!("relation \"{name}\" already exists"),
    )
    .into())
}

/// Refuses clauses of CREATE TABLE that are not carried out.
fn check_create_table(create: &CreateTable) -> Result<()> {
    if create.temporary {
        return Err(Report::unsupported("CREATE TEMPORARY TABLE").into());
    }
    if let Some(constraint) = create.constraints.first() {
        return Err(Report::unsupported(format!("the table constraint {constraint}")).into());
    }
    let plain = CreateTableBuilder::new(create.name.clone())
        .columns(create.columns.clone())
        .if_not_exists(create.if_not_exists)
        .query(create.query.clone())
        .build();
    if plain.to_string() != create.to_string() {
        return Err(Report::unsupported("this form of CREATE TABLE")
            .detail(format!("What is supported of it: {plain}."))
            .into());
    }
    Ok(())
}

fn create_table(planner: &Planner, create: &CreateTable) -> Result<Plan> {
    check_create_table(create)?;
    let (schema, name) = creation_name(planner, &create.name)?;
    if let Some(skip) = existing(
        planner,
        &schema,
        &name,
        create.if_not_exists,
        "CREATE TABLE",
    )? {
        return Ok(skip);
    }
    column_names(create.columns.iter().map(|column| &column.name))?;
    if create.columns.is_empty() {
        return Err(Report::unsupported("a table without columns").into());
    }
    let columns = create
        .columns
        .iter()
        .map(|column| column_definition(planner, column))
        .collect::<Result<Vec<_>>>()?;
    Ok(Plan::Define(Definition::CreateTable {
        schema,
        name,
        columns,
    }))
}

fn column_definition(planner: &Planner, column: &SqlColumn) -> Result<ColumnDef> {
    let name = normalise(&column.name);
    let field = field_of(&name, &column.data_type)?;
    let mut definition = ColumnDef {
        type_modifier: TypeModifier::of_field(&field),
        ..ColumnDef::new(name, field.data_type().clone())
    };
    for option in &column.options {
        match &option.option {
            ColumnOption::Null => definition.nullable = true,
            ColumnOption::NotNull => definition.nullable = false,
            ColumnOption::Default(expr) => {
                let text = expr.to_string();
                planner.constant(&text)?;
                definition.default = Some(text);
            }
            other => {
                return Err(Report::unsupported(format!(
                    "{other} on column \"{}\"",
                    definition.name
                ))
                .into());
            }
        }
    }
    Ok(definition)
}

/// Plans CREATE TABLE .. AS query.
pub fn create_table_as(
    planner: &Planner,
    create: &CreateTable,
    parameters: &[Option<FieldRef>],
    target: Target<'_>,
) -> Result<Plan> {
    check_create_table(create)?;
    let (schema, name) = creation_name(planner, &create.name)?;
    if let Some(skip) = existing(
        planner,
        &schema,
        &name,
        create.if_not_exists,
        "CREATE TABLE AS",
    )? {
        return Ok(skip);
    }
    let query = create
        .query
        .clone()
        .ok_or_else(|| Report::new(Condition::Internal, "CREATE TABLE AS has a query"))?;
    let input = planner.plan(Statement::Query(query), parameters)?;
    let tags = model_tags(&input);
    let input = unconstrained(input)?;
    let aliases = column_names(create.columns.iter().map(|column| &column.name))?;
    let input = rename_columns(input, &aliases)?;
    let columns: Vec<ColumnDef> = input
        .schema()
        .fields()
        .iter()
        .map(|field| ColumnDef::from_field(field))
        .collect();
    refuse_repeated(&input)?;
    let node = WriteNode::try_new(
        WriteTask {
            transaction: transaction(target)?.clone(),
            label: format!("create table {schema}.{name}"),
            target: WriteTarget::New {
                schema,
                create_schema: false,
                name,
                columns,
                tags,
            },
            files: vec![],
        },
        input,
    )?;
    Ok(Plan::Write {
        plan: LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }),
        tag: WriteTag::CreateTableAs,
    })
}

/// Refuses result columns that would have the same name in a table or view.
fn refuse_repeated(plan: &LogicalPlan) -> Result<()> {
    let mut names = BTreeSet::new();
    for name in output_names(
        plan.schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str()),
    ) {
        if !names.insert(name.clone()) {
            return Err(Report::new(
                Condition::DuplicateColumn,
                format!("column \"{name}\" specified more than once"),
            )
            .hint("Give the columns different names with AS.")
            .into());
        }
    }
    Ok(())
}

/// The catalog tags of a table made of exactly the rows of one relation function.
fn model_tags(plan: &LogicalPlan) -> Vec<(String, String)> {
    match plan {
        LogicalPlan::Extension(extension) => extension
            .node
            .as_any()
            .downcast_ref::<tributary_udfs::plan::RelationFunctionNode>()
            .map(|node| node.tags().to_vec())
            .unwrap_or_default(),
        LogicalPlan::SubqueryAlias(alias) => model_tags(&alias.input),
        // SELECT * projects every column under its own name: the same rows.
        LogicalPlan::Projection(projection) => {
            let input = projection.input.schema();
            let same = projection.expr.len() == input.fields().len()
                && projection
                    .expr
                    .iter()
                    .zip(input.columns())
                    .all(|(expr, column)| {
                        matches!(expr, datafusion::logical_expr::Expr::Column(named) if named.name == column.name)
                    });
            if same {
                model_tags(&projection.input)
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

fn create_view(planner: &Planner, create: &CreateView) -> Result<Plan> {
    if create.materialized {
        return Err(Report::unsupported("CREATE MATERIALIZED VIEW").into());
    }
    if create.temporary {
        return Err(Report::unsupported("CREATE TEMPORARY VIEW").into());
    }
    let options_given = !create.cluster_by.is_empty()
        || create.or_alter
        || create.secure
        || create.comment.is_some()
        || create.with_no_schema_binding
        || create.copy_grants
        || create.to.is_some()
        || create.params.is_some()
        || create.options != sqlparser::ast::CreateTableOptions::None
        || create
            .columns
            .iter()
            .any(|column| column.data_type.is_some() || column.options.is_some());
    if options_given {
        return Err(Report::unsupported("this form of CREATE VIEW").into());
    }
    let (schema, name) = creation_name(planner, &create.name)?;
    let skip_if_there = create.if_not_exists || create.or_replace;
    if let Some(skip) = existing(planner, &schema, &name, skip_if_there, "CREATE VIEW")? {
        if create.if_not_exists {
            return Ok(skip);
        }
        if planner.snapshot().view(&schema, &name).is_none() {
            return Err(Report::new(
                Condition::WrongObjectType,
                format!("\"{name}\" is not a view"),
            )
            .into());
        }
    }
    let column_aliases = column_names(create.columns.iter().map(|column| &column.name))?;
    // Planned first as the user wrote it, so that errors name what the user wrote.
    let written = planner.plan(Statement::Query(create.query.clone()), &[])?;
    let written = rename_columns(written, &column_aliases)?;
    refuse_repeated(&written)?;
    let mut statement = Statement::Query(create.query.clone());
    canonicalise(&mut statement)?;
    let uses_functions = uses_relation_functions(&statement);
    let Statement::Query(mut query) = statement else {
        return Err(Report::new(Condition::Internal, "a view is made of a query").into());
    };
    qualify::qualify(planner, &mut query)?;
    let itself = (schema.clone(), name.clone());
    if reads(
        planner.snapshot(),
        &Statement::Query(query.clone()),
        &itself,
    )? {
        return Err(Report::new(
            Condition::WrongObjectType,
            format!("view \"{name}\" would read itself"),
        )
        .into());
    }
    Ok(Plan::Define(Definition::CreateView {
        schema,
        name,
        view: ViewDef {
            sql: query.to_string(),
            dialect: if uses_functions {
                "tributary"
            } else {
                "postgres"
            }
            .to_owned(),
            column_aliases,
        },
        or_replace: create.or_replace,
    }))
}

fn uses_relation_functions(statement: &Statement) -> bool {
    use sqlparser::ast::{TableFactor, Visit, Visitor};
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> std::ops::ControlFlow<()> {
            match factor {
                TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. } => {
                    std::ops::ControlFlow::Break(())
                }
                _ => std::ops::ControlFlow::Continue(()),
            }
        }
    }
    statement.visit(&mut Finder).is_break()
}

/// Whether a stored statement reads `wanted`, directly or through views.
fn reads(snapshot: &Snapshot, statement: &Statement, wanted: &(String, String)) -> Result<bool> {
    let mut seen = BTreeSet::new();
    let mut open = qualify::relations_of(statement);
    while let Some(relation) = open.pop() {
        if relation == *wanted {
            return Ok(true);
        }
        if !seen.insert(relation.clone()) {
            continue;
        }
        if let Some(view) = snapshot.view(&relation.0, &relation.1) {
            for parsed in parse(&view.sql)? {
                open.extend(qualify::relations_of(&parsed.statement));
            }
        }
    }
    Ok(false)
}

/// The views that read any of `targets` directly, as schema and name.
fn dependents(
    snapshot: &Snapshot,
    targets: &BTreeSet<(String, String)>,
) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for view in snapshot.views() {
        let Some(schema) = snapshot.schema_by_id(view.schema_id) else {
            continue;
        };
        let itself = (schema.name.clone(), view.name.clone());
        if targets.contains(&itself) {
            continue;
        }
        // A view in another program's dialect may not parse here; it is then not ours to judge.
        let Ok(parsed) = parse(&view.sql) else {
            continue;
        };
        let depends = parsed
            .iter()
            .flat_map(|parsed| qualify::relations_of(&parsed.statement))
            .any(|relation| targets.contains(&relation));
        if depends {
            found.push(itself);
        }
    }
    Ok(found)
}

fn drop(
    planner: &Planner,
    object: ObjectType,
    if_exists: bool,
    names: &[ObjectName],
    cascade: bool,
) -> Result<Plan> {
    let snapshot = planner.snapshot();
    let mut notices = Vec::new();
    let mut schemas = Vec::new();
    let mut targets: BTreeSet<(String, String)> = BTreeSet::new();
    let tag = match object {
        ObjectType::Schema => "DROP SCHEMA",
        ObjectType::Table => "DROP TABLE",
        ObjectType::View => "DROP VIEW",
        other => return Err(Report::unsupported(format!("DROP {other}")).into()),
    };
    for name in names {
        if object == ObjectType::Schema {
            let name = schema_name(name)?;
            match snapshot.schema(&name) {
                Some(schema) => {
                    targets.extend(
                        schema
                            .relations
                            .keys()
                            .map(|relation| (name.clone(), relation.clone())),
                    );
                    let described = schema
                        .relations
                        .values()
                        .map(|relation| format!("{} {name}.{}", relation.kind(), relation.name()));
                    if !cascade && !schema.relations.is_empty() {
                        return Err(depended(&format!("schema {name}"), described));
                    }
                    notices.extend(described.map(|object| format!("drop cascades to {object}")));
                    schemas.push(name);
                }
                None if if_exists => {
                    notices.push(format!("schema \"{name}\" does not exist, skipping"));
                }
                None => {
                    return Err(Report::new(
                        Condition::UndefinedSchema,
                        format!("schema \"{name}\" does not exist"),
                    )
                    .into());
                }
            }
            continue;
        }
        let found = reference(name)?;
        let wanted = if object == ObjectType::Table {
            RelationKind::Table
        } else {
            RelationKind::View
        };
        match planner.find(&found)? {
            Some((schema, relation)) if relation.kind() == wanted => {
                targets.insert((schema, relation.name().to_owned()));
            }
            Some((_, relation)) => {
                return Err(Report::new(
                    Condition::WrongObjectType,
                    format!("\"{}\" is not a {wanted}", found.table()),
                )
                .hint(format!(
                    "Use DROP {} to remove a {}.",
                    relation.kind().to_string().to_uppercase(),
                    relation.kind()
                ))
                .into());
            }
            None if if_exists => notices.push(format!(
                "{wanted} \"{}\" does not exist, skipping",
                found.table()
            )),
            None => {
                return Err(Report::new(
                    Condition::UndefinedTable,
                    format!("{wanted} \"{}\" does not exist", found.table()),
                )
                .into());
            }
        }
    }
    loop {
        let further = dependents(snapshot, &targets)?;
        if further.is_empty() {
            break;
        }
        if !cascade {
            let what = names
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(depended(
                &format!("{} {what}", object.to_string().to_lowercase()),
                further
                    .iter()
                    .map(|(schema, name)| format!("view {schema}.{name}")),
            ));
        }
        notices.extend(
            further
                .iter()
                .map(|(schema, name)| format!("drop cascades to view {schema}.{name}")),
        );
        targets.extend(further);
    }
    let relations = targets
        .into_iter()
        .filter(|(schema, _)| !schemas.contains(schema))
        .filter_map(|(schema, name)| {
            let kind = snapshot.relation(&schema, &name)?.kind();
            Some((kind, schema, name))
        })
        .collect();
    Ok(Plan::Define(Definition::Drop {
        tag,
        relations,
        schemas,
        notices,
    }))
}

fn depended(what: &str, by: impl Iterator<Item = String>) -> crate::error::Error {
    Report::new(
        Condition::DependentObjects,
        format!("cannot drop {what} because other objects depend on it"),
    )
    .detail(
        by.map(|object| format!("{object} depends on {what}"))
            .collect::<Vec<_>>()
            .join("\n"),
    )
    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
    .into()
}

fn rename(
    planner: &Planner,
    name: &ObjectName,
    to: &ObjectName,
    if_exists: bool,
    tag: &'static str,
) -> Result<Plan> {
    let found = reference(name)?;
    let to = reference(to)?;
    let Some((schema, relation)) = planner.find(&found)? else {
        if if_exists {
            return Ok(Plan::Nothing {
                tag,
                notice: format!("relation \"{}\" does not exist, skipping", found.table()),
            });
        }
        return Err(planner.undefined(&found).into());
    };
    if to.schema().is_some() {
        return Err(Report::new(Condition::Syntax, "a new name has no schema")
            .hint("A rename keeps the relation in its schema.")
            .into());
    }
    let itself = BTreeSet::from([(schema.clone(), relation.name().to_owned())]);
    if let Some((view_schema, view)) = dependents(planner.snapshot(), &itself)?.into_iter().next() {
        return Err(Report::new(
            Condition::DependentObjects,
            format!(
                "cannot rename {} because view {view_schema}.{view} reads it",
                relation.name()
            ),
        )
        .hint("Drop the view first and make it again afterwards.")
        .into());
    }
    if planner.snapshot().relation(&schema, to.table()).is_some() {
        return Err(Report::new(
            Condition::DuplicateTable,
            format!("relation \"{}\" already exists", to.table()),
        )
        .into());
    }
    Ok(Plan::Define(Definition::Rename {
        tag,
        schema,
        name: relation.name().to_owned(),
        to: to.table().to_owned(),
    }))
}

fn comment_on(
    planner: &Planner,
    object: &CommentObject,
    name: &ObjectName,
    comment: Option<String>,
) -> Result<Plan> {
    let relation_of = |found: &TableReference| -> Result<(String, RelationKind, String)> {
        match planner.find(found)? {
            Some((schema, relation)) => Ok((schema, relation.kind(), relation.name().to_owned())),
            None => Err(planner.undefined(found).into()),
        }
    };
    let (schema, relation, column) = match object {
        CommentObject::Schema => {
            let schema = schema_name(name)?;
            if planner.snapshot().schema(&schema).is_none() {
                return Err(Report::new(
                    Condition::UndefinedSchema,
                    format!("schema \"{schema}\" does not exist"),
                )
                .into());
            }
            (schema, None, None)
        }
        CommentObject::Table | CommentObject::View => {
            let (schema, kind, name) = relation_of(&reference(name)?)?;
            (schema, Some((kind, name)), None)
        }
        CommentObject::Column => {
            let mut parts = name.0.clone();
            let column = parts
                .pop()
                .and_then(|part| part.as_ident().map(normalise))
                .ok_or_else(|| Report::new(Condition::Syntax, "column name must be qualified"))?;
            if parts.is_empty() {
                return Err(Report::new(Condition::Syntax, "column name must be qualified").into());
            }
            let (schema, kind, name) = relation_of(&reference(&ObjectName(parts))?)?;
            (schema, Some((kind, name)), Some(column))
        }
        other => return Err(Report::unsupported(format!("COMMENT ON {other}")).into()),
    };
    if let (Some((RelationKind::View, view)), Some(_)) = (&relation, &column) {
        return Err(
            Report::unsupported(format!("a comment on a column of view \"{view}\"")).into(),
        );
    }
    Ok(Plan::Define(Definition::Comment {
        schema,
        relation,
        column,
        comment,
    }))
}
