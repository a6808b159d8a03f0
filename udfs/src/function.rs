//! What a relation function is: its [`Signature`], how it is planned and how it runs.
//!
//! One definition, everything else derived: the planner's argument checks, error texts, `\df`,
//! `information_schema.routines` and `docs/functions.md` all come from the [`Signature`].
//! Start with [`RelationFunction`]; a function file holds one unit struct that implements it.

use std::fmt::Debug;

use arrow::datatypes::{DataType, SchemaRef};

use crate::call::Call;
use crate::error::Result;
use crate::input::Input;
use crate::run::Run;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// A relation: `(SELECT ...)`, a bare name, or `'name'`.
    Relation,
    /// A model table: a name, `'name'`, or `(SELECT * FROM name)`.
    Model,
    /// The name of one column of the first relation.
    Column,
    /// Names of columns: text with commas, or `text[]`.
    Columns,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// An array of whole numbers, or text with commas.
    Integers,
    /// The key of one row: a value of any type, or an array of text for a key of several columns.
    Key,
}

impl ParameterType {
    /// The type's name in signatures and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Model => "model",
            Self::Column => "column",
            Self::Columns => "columns",
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Float => "double precision",
            Self::Boolean => "boolean",
            Self::Integers => "bigint[]",
            Self::Key => "key",
        }
    }

    /// Whether an argument of this type is planned as an input of the node.
    pub fn is_relation(self) -> bool {
        matches!(self, Self::Relation | Self::Model)
    }

    /// The Arrow type to which a scalar argument is cast; `None` for relations and for types
    /// that accept text as well as an array.
    pub fn data_type(self) -> Option<DataType> {
        match self {
            Self::Text | Self::Column | Self::Key => Some(DataType::Utf8),
            Self::Integer => Some(DataType::Int64),
            Self::Float => Some(DataType::Float64),
            Self::Boolean => Some(DataType::Boolean),
            Self::Columns | Self::Integers | Self::Relation | Self::Model => None,
        }
    }
}

/// What stands for an argument that is not given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// The argument must be given.
    Required,
    /// The argument may be absent; the meaning says what follows.
    Null,
    /// A text.
    Text(&'static str),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Whole numbers.
    Integers(&'static [i64]),
}

impl Default {
    /// The default as SQL text; `None` for a required argument.
    pub fn sql(self) -> Option<String> {
        match self {
            Self::Required => None,
            Self::Null => Some("NULL".to_owned()),
            Self::Text(text) => Some(format!("'{}'", text.replace('\'', "''"))),
            Self::Integer(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integers(values) => Some(format!(
                "ARRAY[{}]",
                values
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        }
    }
}

/// One parameter of a relation function.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name used in `name => value`.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ParameterType,
    /// What an absent argument stands for.
    pub default: Default,
    /// Whether the value shapes the result, so that it must be a constant when planned.
    pub constant: bool,
    /// What it means, its range and unit.
    pub meaning: &'static str,
}

impl Parameter {
    /// A relation that must be given.
    pub const fn relation(name: &'static str, meaning: &'static str) -> Self {
        Self::new(name, ParameterType::Relation, Default::Required, meaning)
    }

    /// A parameter whose value may be given at execution.
    pub const fn new(
        name: &'static str,
        kind: ParameterType,
        default: Default,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            constant: false,
            meaning,
        }
    }

    /// A parameter that shapes the result and so must be a constant.
    pub const fn constant(
        name: &'static str,
        kind: ParameterType,
        default: Default,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            constant: true,
            meaning,
        }
    }
}

/// One column of the result, as documented.
#[derive(Debug, Clone, Copy)]
pub struct ResultColumn {
    /// The column's name, or a description in angle brackets such as `<key columns>`.
    pub name: &'static str,
    /// The column's SQL type, or `as in the input`.
    pub data_type: &'static str,
    /// What it means, its range and unit.
    pub meaning: &'static str,
}

/// An example that the documentation shows and the tests run.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// Statements to run before it, which make the tables it needs; usually none.
    pub setup: &'static [&'static str],
    /// One SQL statement.
    pub sql: &'static str,
    /// Its rows as `psql -At -F '|'` prints them.
    pub output: &'static str,
}

/// Everything that is known about a relation function without running it.
#[derive(Debug)]
pub struct Signature {
    /// The schema it is called in, such as `ml`.
    pub schema: &'static str,
    /// Its name within the schema, such as `kmeans`.
    pub name: &'static str,
    /// One line on what it gives.
    pub summary: &'static str,
    /// Method, behaviour with missing values, complexity.
    pub prose: &'static str,
    /// Its parameters, positional ones first.
    pub parameters: &'static [Parameter],
    /// How many of the parameters may be given by position.
    pub positional: usize,
    /// The result's columns.
    pub columns: &'static [ResultColumn],
    /// The example.
    pub example: Example,
    /// The paper or textbook the method is taken from.
    pub source: &'static str,
}

impl Signature {
    /// The name as it is called: `schema.name`.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The parameter called `name` and its position.
    pub fn parameter(&self, name: &str) -> Option<(usize, &'static Parameter)> {
        self.parameters
            .iter()
            .enumerate()
            .find(|(_, parameter)| parameter.name == name)
    }

    /// The parameters as `\df` shows them: `name type DEFAULT value, ...`.
    pub fn arguments_text(&self) -> String {
        self.parameters
            .iter()
            .map(|parameter| match parameter.default.sql() {
                None => format!("{} {}", parameter.name, parameter.kind.name()),
                Some(default) => {
                    format!(
                        "{} {} DEFAULT {default}",
                        parameter.name,
                        parameter.kind.name()
                    )
                }
            })
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The result as `\df` shows it: `TABLE(name type, ...)`.
    pub fn result_text(&self) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.data_type))
            .collect::<Vec<_>>()
            .join(", ");
        format!("TABLE({columns})")
    }
}

/// What planning a call has fixed.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The result's columns.
    pub schema: SchemaRef,
    /// For each input relation, in the order of the call's inputs, the positions of the columns
    /// the function reads; the rest are not read from storage.
    pub required: Vec<Vec<usize>>,
    /// Tags for a table made of exactly this result: what planning must know of a model.
    pub tags: Vec<(String, String)>,
}

/// A table function that is planned as a node and runs as one operator.
///
/// `bind` is called whenever the plan is (re)built and must be cheap, free of I/O and give the
/// same schema for the same call; `run` is called once per execution with all values known.
pub trait RelationFunction: Debug + Send + Sync + 'static {
    /// The definition from which everything else is derived.
    fn signature(&self) -> &'static Signature;

    /// Checks the constant arguments and the inputs' columns, and fixes the result's schema.
    fn bind(&self, call: &Call) -> Result<Binding>;

    /// Computes the result and hands it to [`Run::emit`]. `inputs` are in the order of the call's
    /// inputs and hold at least the required columns, under the names they had in `bind`.
    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()>;
}
