//! Small pieces of syntax tree.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query,
    Select, SelectFlavor, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
    TableWithJoins, UnaryOperator, Value,
};

/// An expression out of its place, which is about to be filled anew.
pub(super) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

/// A query out of its place.
pub(super) fn take_query(query: &mut Query) -> Query {
    std::mem::replace(query, select(Vec::new(), None))
}

/// A whole number.
pub(super) fn number(value: impl std::fmt::Display) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

/// A text.
pub(super) fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).into())
}

/// A name in double quotes, so that it is taken as it is.
pub(super) fn quoted(name: impl Into<String>) -> Ident {
    Ident::with_quote('"', name)
}

/// `CAST (expr AS pg_catalog."type_name")`.
pub(super) fn cast(expr: Expr, type_name: &str) -> Expr {
    let name = vec![
        ObjectNamePart::Identifier(Ident::new("pg_catalog")),
        ObjectNamePart::Identifier(quoted(type_name)),
    ];
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::Custom(ObjectName(name), Vec::new()),
        array: false,
        format: None,
    }
}

/// `name(args)`.
pub(super) fn function(name: &str, args: Vec<Expr>) -> Expr {
    function_with(name, args, Vec::new())
}

/// `name(args clauses)`.
pub(super) fn function_with(
    name: &str,
    args: Vec<Expr>,
    clauses: Vec<FunctionArgumentClause>,
) -> Expr {
    let unnamed = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(quoted(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(unnamed).collect(),
            clauses,
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `SELECT projection FROM from`.
pub(super) fn select(projection: Vec<SelectItem>, from: Option<TableFactor>) -> Query {
    let from = from.into_iter().map(|relation| TableWithJoins {
        relation,
        joins: Vec::new(),
    });
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: from.collect(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// `(query) AS name (columns)`, LATERAL if asked for.
pub(super) fn derived(
    query: Query,
    lateral: bool,
    name: Ident,
    columns: Vec<Ident>,
) -> TableFactor {
    TableFactor::Derived {
        lateral,
        subquery: Box::new(query),
        alias: Some(alias(name, columns)),
        sample: None,
    }
}

/// `AS name (columns)`.
pub(super) fn alias(name: Ident, columns: Vec<Ident>) -> TableAlias {
    let column = |name| TableAliasColumnDef {
        name,
        data_type: None,
    };
    TableAlias {
        explicit: true,
        name,
        columns: columns.into_iter().map(column).collect(),
        at: None,
    }
}

/// Whether an expression is a literal, perhaps with a sign or a cast.
pub(super) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_literal(expr),
        Expr::Nested(expr) | Expr::Cast { expr, .. } => is_literal(expr),
        Expr::Interval(interval) => is_literal(&interval.value),
        Expr::TypedString(_) => true,
        _ => false,
    }
}
