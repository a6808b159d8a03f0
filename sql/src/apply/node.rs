//! The logical node: a row of the input and what a subquery says of it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{
    DFSchema, DFSchemaRef, Result, TableReference, internal_err, plan_datafusion_err,
};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

/// What the subquery gives for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Its one value, NULL for no rows.
    Scalar,
    /// Whether it has rows.
    Exists,
    /// Whether a comparison holds for any of its rows; the subquery yields the outcome for each row where it may.
    Any,
    /// Whether a comparison holds for all of its rows; the subquery yields the outcome for each row where it may not.
    All,
    /// Its rows, each beside the row of the input; `outer` keeps rows of the input without any.
    Rows { outer: bool },
}

/// Adds to each row of `input` what `subquery` says of it.
///
/// The subquery reads a scan of the domain and yields the domain's number first. It is a plan of its own: nothing in it
/// refers to the input. Output: the input's columns, then one column, or for [`Kind::Rows`] those of the subquery without
/// the number.
#[derive(Debug, Clone)]
pub struct ApplyNode {
    input: Arc<LogicalPlan>,
    subquery: Arc<LogicalPlan>,
    /// The values the subquery is run for, over the input.
    domain: Vec<Expr>,
    /// Which rows need the subquery's value; all if `None`.
    guard: Option<Expr>,
    kind: Kind,
    number: u64,
    name: String,
    schema: DFSchemaRef,
}

/// What [`ApplyNode`] is made from.
pub(super) struct Parts {
    pub input: LogicalPlan,
    pub subquery: LogicalPlan,
    pub domain: Vec<Expr>,
    pub guard: Option<Expr>,
    pub kind: Kind,
    /// The number of the domain.
    pub number: u64,
    /// The name of the added column.
    pub name: String,
}

impl ApplyNode {
    pub(super) fn try_new(parts: Parts) -> Result<Self> {
        let Parts {
            input,
            subquery,
            domain,
            guard,
            kind,
            number,
            name,
        } = parts;
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = qualified_fields(&input);
        let mut given = qualified_fields(&subquery).into_iter();
        // The number of the tuple.
        given.next();
        match kind {
            Kind::Rows { outer } => fields.extend(given.map(|(qualifier, field)| {
                let nullable = outer || field.is_nullable();
                (
                    qualifier,
                    Arc::new(Field::clone(&field).with_nullable(nullable)),
                )
            })),
            Kind::Scalar => {
                let (_, field) = given
                    .next()
                    .ok_or_else(|| plan_datafusion_err!("a scalar subquery has no column"))?;
                let field = Field::clone(&field).with_name(&name).with_nullable(true);
                fields.push((None, Arc::new(field)));
            }
            Kind::Exists | Kind::Any | Kind::All => {
                fields.push((None, Arc::new(Field::new(&name, DataType::Boolean, true))));
            }
        }
        let schema = DFSchema::new_with_metadata(fields, Default::default())?;
        Ok(Self {
            input: Arc::new(input),
            subquery: Arc::new(subquery),
            domain,
            guard,
            kind,
            number,
            name,
            schema: Arc::new(schema),
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn domain(&self) -> &[Expr] {
        &self.domain
    }

    pub(super) fn guard(&self) -> Option<&Expr> {
        self.guard.as_ref()
    }

    /// The same node over another input, its expressions as `f` has them.
    pub(super) fn over(
        &self,
        input: LogicalPlan,
        mut f: impl FnMut(Expr) -> Result<Expr>,
    ) -> Result<Self> {
        Self::try_new(Parts {
            input,
            subquery: LogicalPlan::clone(&self.subquery),
            domain: self
                .domain
                .iter()
                .cloned()
                .map(&mut f)
                .collect::<Result<_>>()?,
            guard: self.guard.clone().map(&mut f).transpose()?,
            kind: self.kind,
            number: self.number,
            name: self.name.clone(),
        })
    }
}

fn qualified_fields(plan: &LogicalPlan) -> Vec<(Option<TableReference>, FieldRef)> {
    plan.schema()
        .iter()
        .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
        .collect()
}

// The schema follows from the rest.
impl PartialEq for ApplyNode {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
            && self.kind == other.kind
            && self.name == other.name
            && self.domain == other.domain
            && self.guard == other.guard
            && self.input == other.input
            && self.subquery == other.subquery
    }
}

impl Eq for ApplyNode {}

impl Hash for ApplyNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.kind.hash(state);
        self.domain.hash(state);
        self.guard.hash(state);
        self.input.hash(state);
        self.subquery.hash(state);
    }
}

impl PartialOrd for ApplyNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            Some(Ordering::Equal)
        } else {
            None
        }
    }
}

impl UserDefinedLogicalNodeCore for ApplyNode {
    fn name(&self) -> &str {
        "Apply"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input, &self.subquery]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.domain.iter().chain(&self.guard).cloned().collect()
    }

    // `prevent_predicate_push_down_columns` keeps its default, all columns: the engine would push a condition into both
    // inputs.

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain: Vec<String> = self.domain.iter().map(ToString::to_string).collect();
        write!(
            f,
            "Apply: {:?} domain={} for=[{}]",
            self.kind,
            self.number,
            domain.join(", ")
        )?;
        match &self.guard {
            Some(guard) => write!(f, " where {guard}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let (Some(input), Some(subquery), None) = (inputs.next(), inputs.next(), inputs.next())
        else {
            return internal_err!("Apply has two inputs");
        };
        let mut domain = exprs;
        let guard = match self.guard {
            Some(_) => domain.pop(),
            None => None,
        };
        if domain.len() != self.domain.len() {
            return internal_err!("Apply has {} expressions", self.domain.len());
        }
        Self::try_new(Parts {
            input,
            subquery,
            domain,
            guard,
            kind: self.kind,
            number: self.number,
            name: self.name.clone(),
        })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        // The engine adds what the expressions need.
        let input = output_columns
            .iter()
            .copied()
            .filter(|column| *column < width)
            .collect();
        let subquery = match self.kind {
            // Added columns of the output are the subquery's behind its number.
            Kind::Rows { .. } => std::iter::once(0)
                .chain(
                    output_columns
                        .iter()
                        .filter_map(|column| column.checked_sub(width))
                        .map(|column| column + 1),
                )
                .collect(),
            _ => (0..self.subquery.schema().fields().len()).collect(),
        };
        Some(vec![input, subquery])
    }
}
