//! INSERT: a query brought to the table's columns, with a sink on top.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use sqlparser::ast::{Expr as SqlExpr, Insert, Query, SetExpr, Statement, TableObject, Value};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use tributary_catalog::{Column, Relation, Table};

use super::{Plan, Target, WriteTag, column_names, reference, transaction};
use crate::error::{Condition, Report, Result};
use crate::pgtype;
use crate::planner::Planner;
use crate::rewrite::{cast_to, keep};
use crate::system::formats::checked_input;
use crate::write::{WriteNode, WriteTarget, WriteTask};

/// Plans INSERT INTO table [(columns)] query.
pub fn plan(
    planner: &Planner,
    insert: &Insert,
    parameters: &[Option<FieldRef>],
    target: Target<'_>,
) -> Result<Plan> {
    refuse_unsupported(insert)?;
    let TableObject::TableName(name) = &insert.table else {
        return Err(Report::unsupported("INSERT INTO something other than a table").into());
    };
    let found = reference(name)?;
    let table = match planner.find(&found)? {
        Some((_, Relation::Table(table))) => Arc::clone(table),
        Some((schema, Relation::View(view))) => {
            return Err(Report::new(
                Condition::WrongObjectType,
                format!("cannot insert into view \"{schema}.{}\"", view.name),
            )
            .into());
        }
        None => return Err(planner.undefined(&found).into()),
    };
    let listed: Vec<sqlparser::ast::Ident> = insert
        .columns
        .iter()
        .filter_map(|name| name.0.last().and_then(|part| part.as_ident()).cloned())
        .collect();
    let columns = target_columns(&table, &column_names(&listed)?)?;
    let mut source = insert
        .source
        .as_deref()
        .cloned()
        .ok_or_else(|| Report::unsupported("INSERT without a query"))?;
    let parameters = with_types_of_values(&source, &columns, parameters);
    put_defaults(&mut source, &columns)?;
    let rows = planner.plan(Statement::Query(Box::new(source)), &parameters)?;
    let given = rows.schema().fields().len();
    if given > columns.len() || (!listed.is_empty() && given < columns.len()) {
        let (more, fewer) = if given > columns.len() {
            ("expressions", "target columns")
        } else {
            ("target columns", "expressions")
        };
        return Err(Report::new(
            Condition::Syntax,
            format!("INSERT has more {more} than {fewer}"),
        )
        .into());
    }
    let columns: Vec<&Column> = columns.into_iter().take(given).collect();
    let input = assigned(planner, &table, &columns, rows)?;
    let node = WriteNode::try_new(
        WriteTask {
            transaction: transaction(target)?.clone(),
            target: WriteTarget::Existing(table.id),
            label: format!("into {}", table.qualified_name()),
            files: vec![],
        },
        input,
    )?;
    Ok(Plan::Write {
        plan: LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }),
        tag: WriteTag::Insert,
    })
}

/// Refuses clauses that are not carried out.
fn refuse_unsupported(insert: &Insert) -> Result<()> {
    let what = if insert.on.is_some() {
        "ON CONFLICT"
    } else if insert.returning.is_some() {
        "RETURNING"
    } else if insert.table_alias.is_some() || insert.insert_alias.is_some() {
        "an alias in INSERT"
    } else if insert.overwrite
        || insert.replace_into
        || insert.ignore
        || insert.or.is_some()
        || insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || !insert.assignments.is_empty()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.multi_table_insert_type.is_some()
        || insert.output.is_some()
    {
        "this form of INSERT"
    } else {
        return Ok(());
    };
    Err(Report::unsupported(what).into())
}

/// The columns that are named, or all.
///
/// # Errors
/// [`Condition::UndefinedColumn`].
pub fn target_columns<'a>(table: &'a Table, names: &[String]) -> Result<Vec<&'a Column>> {
    if names.is_empty() {
        return Ok(table.columns.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            table.column(name).ok_or_else(|| {
                Report::new(
                    Condition::UndefinedColumn,
                    format!(
                        "column \"{name}\" of relation \"{}\" does not exist",
                        table.name
                    ),
                )
                .into()
            })
        })
        .collect()
}

/// Declares `$n` that stand alone in VALUES as of their column's type.
fn with_types_of_values(
    source: &Query,
    columns: &[&Column],
    parameters: &[Option<FieldRef>],
) -> Vec<Option<FieldRef>> {
    let mut types = parameters.to_vec();
    let SetExpr::Values(values) = source.body.as_ref() else {
        return types;
    };
    for row in &values.rows {
        for (expr, column) in row.content.iter().zip(columns) {
            let SqlExpr::Value(value) = expr else {
                continue;
            };
            let Value::Placeholder(name) = &value.value else {
                continue;
            };
            let Some(number) = name
                .strip_prefix('$')
                .and_then(|digits| digits.parse::<usize>().ok())
                .and_then(|number| number.checked_sub(1))
                .filter(|number| *number < usize::from(u16::MAX))
            else {
                continue;
            };
            if types.len() <= number {
                types.resize(number + 1, None);
            }
            if let Some(slot) = types.get_mut(number)
                && slot.is_none()
            {
                *slot = Some(Arc::new(column.arrow_field()));
            }
        }
    }
    types
}

/// Puts a column's default where VALUES says DEFAULT.
fn put_defaults(source: &mut Query, columns: &[&Column]) -> Result<()> {
    let SetExpr::Values(values) = source.body.as_mut() else {
        return Ok(());
    };
    for row in &mut values.rows {
        for (expr, column) in row.content.iter_mut().zip(columns) {
            // It is brought to the column's type in any case.
            keep(expr);
            type_literal(expr, column);
            let is_default = matches!(expr, SqlExpr::Identifier(ident)
                if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"));
            if is_default {
                *expr = default_expr(column)?;
            }
        }
    }
    Ok(())
}

/// Makes a literal one of its column's type, so that rows of different literals are not brought to a type of their own.
/// Text and `numeric` literals stay: their columns' lengths and scales are for the assignment to check and round to.
fn type_literal(expr: &mut SqlExpr, column: &Column) {
    let name = pgtype::of_field(&column.arrow_field()).name;
    let is_float = matches!(name, "float4" | "float8");
    let typed = match expr {
        SqlExpr::Value(value) => match &value.value {
            Value::SingleQuotedString(_) => {
                is_float
                    || matches!(
                        name,
                        "bool"
                            | "bytea"
                            | "date"
                            | "int2"
                            | "int4"
                            | "int8"
                            | "time"
                            | "timestamp"
                            | "timestamptz"
                    )
            }
            Value::Number(..) => is_float,
            _ => false,
        },
        SqlExpr::UnaryOp { expr: inner, .. } => {
            is_float
                && matches!(inner.as_ref(), SqlExpr::Value(value) if matches!(value.value, Value::Number(..)))
        }
        _ => false,
    };
    if typed {
        cast_to(expr, name);
    }
}

/// A column's default as a syntax tree; NULL where it has none.
fn default_expr(column: &Column) -> Result<SqlExpr> {
    let text = column.default.as_deref().unwrap_or("NULL");
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|_| {
            Report::new(
                Condition::Internal,
                format!("the default of column \"{}\" cannot be read", column.name),
            )
            .into()
        })
}

/// The rows of `input`, whose columns are for `columns` of `table`, as rows of the whole table:
/// cast on assignment, with defaults for the columns not named.
pub fn assigned(
    planner: &Planner,
    table: &Table,
    columns: &[&Column],
    input: LogicalPlan,
) -> Result<LogicalPlan> {
    let sources = input.schema().columns();
    let schema: Schema = input.schema().as_arrow().clone();
    let mut projection = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let position = columns.iter().position(|named| named.id == column.id);
        let expr = match position {
            Some(position) => {
                let source = sources.get(position).ok_or_else(|| {
                    Report::new(Condition::Internal, "a target column has no source")
                })?;
                let from = schema.field(position);
                check_assignable(column, from)?;
                let source = checked(planner, column, from, Expr::Column(source.clone()));
                if *from.data_type() == column.data_type {
                    source
                } else {
                    cast(source, column.data_type.clone())
                }
            }
            None => match &column.default {
                Some(text) => {
                    let value = planner.constant(text)?;
                    let (_, from) = value.to_field(&DFSchema::empty())?;
                    let value = checked(planner, column, &from, value);
                    cast(value, column.data_type.clone())
                }
                None => lit(ScalarValue::try_from(&column.data_type)?),
            },
        };
        projection.push(expr.alias(&column.name));
    }
    let rows = LogicalPlanBuilder::from(input)
        .project(projection)?
        .build()?;
    planner.coerced(rows)
}

/// `value` of type `from` as one of the column's type, where that is held as text but not every text is one.
fn checked(planner: &Planner, column: &Column, from: &Field, value: Expr) -> Expr {
    let read =
        checked_input(&column.arrow_field(), from).and_then(|name| planner.functions().get(name));
    match read {
        Some(read) => read.call(vec![value]),
        None => value,
    }
}

/// Refuses a value that PostgreSQL would not bring to the column's type by itself. A text may be a literal of no type, so
/// that it is read as a value of the column's type when the statement runs.
fn check_assignable(column: &Column, from: &Field) -> Result<()> {
    let to = column.arrow_field();
    let assignable = match (class(from.data_type()), class(to.data_type())) {
        (Class::Open, _) | (_, Class::Open) => true,
        (from, to) => from == to,
    };
    if assignable {
        return Ok(());
    }
    let name = |field: &Field| pgtype::format_type(pgtype::of_field(field).oid, None);
    Err(Report::new(
        Condition::DatatypeMismatch,
        format!(
            "column \"{}\" is of type {} but expression is of type {}",
            column.name,
            name(&to),
            name(from)
        ),
    )
    .hint("You will need to rewrite or cast the expression.")
    .into())
}

/// Types that are assigned to one another.
#[derive(Debug, PartialEq, Eq)]
enum Class {
    /// Text, NULL, and types whose casts the engine checks.
    Open,
    Boolean,
    Number,
    Time,
    OfDay,
    Interval,
    Bytes,
}

fn class(data_type: &DataType) -> Class {
    match data_type {
        DataType::Boolean => Class::Boolean,
        number if number.is_numeric() => Class::Number,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Class::Time,
        DataType::Time32(_) | DataType::Time64(_) => Class::OfDay,
        DataType::Interval(_) | DataType::Duration(_) => Class::Interval,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Class::Bytes,
        _ => Class::Open,
    }
}
