//! `ml.evaluate`: predictions against what was true.

use arrow::datatypes::DataType;

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::evaluation::Figures;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::output::{positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Evaluate;

pub(super) const FIGURES: [ResultColumn; 4] = [
    ResultColumn {
        name: "metric",
        data_type: "text",
        meaning: "The measure.",
    },
    ResultColumn {
        name: "class",
        data_type: "text",
        meaning: "The class that it is of, as text, 'macro average', or 'weighted average'; NULL for the whole.",
    },
    ResultColumn {
        name: "value",
        data_type: "double precision",
        meaning: "The figure.",
    },
    ResultColumn {
        name: "predicted_class",
        data_type: "text",
        meaning: "For metric 'confusion', the class that was predicted for rows of `class`; else NULL.",
    },
];

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "evaluate",
    summary: "measures predicted numbers or classes against the actual ones",
    prose: "Of numbers: mse, rmse, mae, r2 and rows. Of classes: accuracy; precision, recall, f1 and support \
            of each class, their plain mean and their mean weighted by support; and confusion, how many rows \
            of a class were predicted as each. With `probability`, that of the larger of two classes (true, 1): \
            auc, the area under the ROC curve, and log_loss. The figures are those of scikit-learn; where a \
            ratio has nothing below its line it is 0. NULL is refused.",
    parameters: &[
        Parameter::relation("rel", "The rows with what was true and what was predicted."),
        Parameter::constant(
            "actual",
            ParameterType::Column,
            Default::Required,
            "The column that holds what was true.",
        ),
        Parameter::constant(
            "predicted",
            ParameterType::Column,
            Default::Null,
            "The column that holds what was predicted; it may be left out where `probability` is given.",
        ),
        Parameter::constant(
            "probability",
            ParameterType::Column,
            Default::Null,
            "The column that holds the predicted probability of the larger of two classes, from 0 to 1.",
        ),
        Parameter::constant(
            "task",
            ParameterType::Text,
            Default::Text("auto"),
            "What is predicted: 'regression', numbers; 'classification', classes; 'auto', numbers where the \
             actual or the predicted column is of a type with fractions, else classes.",
        ),
    ],
    positional: 1,
    columns: &FIGURES,
    example: Example {
        setup: &[],
        sql: "SELECT metric, class, value FROM ml.evaluate((SELECT * FROM (VALUES (1, 1), (1, 0), (0, 0), (0, 0)) \
              AS answers (truth, guess)), actual => 'truth', predicted => 'guess') \
              WHERE metric IN ('accuracy', 'recall') AND coalesce(class, '0') < '2' ORDER BY metric, class",
        output: "accuracy||0.75\nrecall|0|1\nrecall|1|0.5",
    },
    source: "J. A. Hanley, B. J. McNeil: The meaning and use of the area under a ROC curve, Radiology 143 (1982).",
};

struct Columns {
    actual: String,
    predicted: Option<String>,
    probability: Option<String>,
    regression: bool,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let field = |name: &str| Ok::<_, Error>(input.schema.field(input.column(name)?));
        let actual = field(&call.required_text("actual")?)?;
        let optional = |parameter: &str| {
            let name = call.text(parameter)?;
            name.map(|name| field(&name)).transpose()
        };
        let (predicted, probability) = (optional("predicted")?, optional("probability")?);
        if predicted.is_none() && probability.is_none() {
            return Err(call.missing("predicted"));
        }
        if let Some(field) = probability {
            check_numeric(input, field.name(), field.data_type())?;
        }
        let fractions = |data_type: &DataType| {
            data_type.is_floating()
                || matches!(data_type, DataType::Decimal128(_, scale) if *scale > 0)
        };
        let regression = match call.word("task", &["auto", "regression", "classification"])? {
            "regression" => true,
            "classification" => false,
            _ => {
                fractions(actual.data_type())
                    || predicted.is_some_and(|field| fractions(field.data_type()))
            }
        };
        if regression {
            for field in [Some(actual), predicted].into_iter().flatten() {
                check_numeric(input, field.name(), field.data_type())?;
            }
            if predicted.is_none() || probability.is_some() {
                return Err(Error::new(
                    Kind::InvalidParameter,
                    "ml.evaluate of numbers takes \"predicted\" and no \"probability\"",
                )
                .hint("Give task => 'classification' for classes."));
            }
        }
        Ok(Self {
            actual: actual.name().clone(),
            predicted: predicted.map(|field| field.name().clone()),
            probability: probability.map(|field| field.name().clone()),
            regression,
        })
    }
}

impl RelationFunction for Evaluate {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        Ok(Binding {
            schema: Figures::schema(),
            required: required(call, |input| {
                positions(
                    input,
                    [&columns.actual]
                        .into_iter()
                        .chain(&columns.predicted)
                        .chain(&columns.probability),
                )
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let columns = Columns::of(call)?;
        run.reserve(rows.rows().saturating_mul(64))?;
        let mut figures = Figures::default();
        if columns.regression {
            let predicted = columns
                .predicted
                .as_ref()
                .ok_or_else(|| call.missing("predicted"))?;
            figures.regression(
                &rows.numbers(described, &columns.actual)?,
                &rows.numbers(described, predicted)?,
            )?;
            return figures.emit(run);
        }
        let values = |name: &String| {
            let found = rows.key_columns(described, std::slice::from_ref(name))?;
            let column = found.into_iter().next();
            column.ok_or_else(|| Error::internal("a single key has one column"))
        };
        let actual = values(&columns.actual)?;
        if let Some(predicted) = &columns.predicted {
            figures.classes(&actual, &values(predicted)?, run)?;
        }
        if let Some(probability) = &columns.probability {
            let scores = rows.numbers(described, probability)?;
            figures.probabilities(&actual, &scores, true, run)?;
        }
        figures.emit(run)
    }
}
