//! Predictions against what was true, the same in every function that measures them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use ndarray::Array2;
use tributary_algo::evaluate::{Classification, Regression, auc, log_loss};

use crate::error::{Error, Kind, Result};
use crate::input::distinct_keys;
use crate::keys::common_type;
use crate::run::Run;

/// Figures: the metric, the class it is of, the value, and for a cell of the confusion matrix what was predicted.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    metric: &'static str,
    class: Option<String>,
    value: f64,
    predicted: Option<String>,
}

impl Figures {
    /// The columns of a result.
    pub fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("metric", DataType::Utf8, false),
            Field::new("class", DataType::Utf8, true),
            Field::new("value", DataType::Float64, false),
            Field::new("predicted_class", DataType::Utf8, true),
        ]))
    }

    /// A figure of the whole.
    pub fn whole(&mut self, metric: &'static str, value: f64) {
        self.push(metric, None, value, None);
    }

    fn push(
        &mut self,
        metric: &'static str,
        class: Option<String>,
        value: f64,
        predicted: Option<String>,
    ) {
        self.0.push(Figure {
            metric,
            class,
            value,
            predicted,
        });
    }

    /// Hands the figures to the reader.
    pub fn emit(self, run: &Run) -> Result<()> {
        let text = |of: fn(&Figure) -> Option<&str>| {
            Arc::new(StringArray::from_iter(self.0.iter().map(of))) as ArrayRef
        };
        run.emit_columns(vec![
            text(|figure| Some(figure.metric)),
            text(|figure| figure.class.as_deref()),
            Arc::new(Float64Array::from_iter_values(
                self.0.iter().map(|figure| figure.value),
            )),
            text(|figure| figure.predicted.as_deref()),
        ])
    }

    /// Adds those of predicted numbers.
    ///
    /// # Errors
    /// For no rows and numbers that are not finite.
    pub fn regression(&mut self, actual: &[f64], predicted: &[f64]) -> Result<()> {
        let mut pairs: Vec<(f64, f64)> = actual
            .iter()
            .copied()
            .zip(predicted.iter().copied())
            .collect();
        // Sums do not depend on the order of rows.
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (actual, predicted): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let found = Regression::of(&actual, &predicted)?;
        self.whole("mse", found.mse);
        self.whole("rmse", found.rmse);
        self.whole("mae", found.mae);
        self.whole("r2", found.r2);
        self.whole("rows", actual.len() as f64);
        Ok(())
    }

    /// Adds those of predicted classes.
    ///
    /// # Errors
    /// For no rows, types that cannot be compared.
    pub fn classes(&mut self, actual: &ArrayRef, predicted: &ArrayRef, run: &Run) -> Result<()> {
        let common = common_type(actual.data_type(), predicted.data_type()).ok_or_else(|| {
            Error::new(
                Kind::DatatypeMismatch,
                "the actual and the predicted classes are of types that cannot be compared",
            )
            .hint("Cast one of them in the subquery.")
        })?;
        let both = concat(&[&cast(actual, &common)?, &cast(predicted, &common)?])?;
        let keys = distinct_keys(&[both], actual.len() + predicted.len(), run)?;
        let (of_actual, of_predicted) = keys
            .codes
            .split_at_checked(actual.len())
            .ok_or_else(|| Error::internal("a code for each row"))?;
        if keys.len() > 1000 {
            return Err(Error::new(
                Kind::InvalidData,
                format!("there are {} classes, more than 1000", keys.len()),
            )
            .hint("Give task => 'regression' for numbers."));
        }
        let found = Classification::of(of_actual, of_predicted, keys.len())?;
        self.whole("accuracy", found.accuracy);
        let names = (0..keys.len() as u32)
            .map(|code| keys.display(code))
            .collect::<Result<Vec<_>>>()?;
        let averages = [
            ("macro average", &found.macro_average),
            ("weighted average", &found.weighted_average),
        ];
        let classes = names.iter().map(String::as_str).zip(&found.classes);
        for (name, score) in classes.chain(averages) {
            for (metric, value) in [
                ("precision", score.precision),
                ("recall", score.recall),
                ("f1", score.f1),
                ("support", score.support as f64),
            ] {
                self.push(metric, Some(name.to_owned()), value, None);
            }
        }
        for (name, counts) in names.iter().zip(found.confusion.outer_iter()) {
            for (predicted, count) in names.iter().zip(counts) {
                self.push(
                    "confusion",
                    Some(name.clone()),
                    *count as f64,
                    Some(predicted.clone()),
                );
            }
        }
        Ok(())
    }

    /// Adds those of the probability of the larger of two classes; of a score that is no probability only the area under the curve.
    ///
    /// # Errors
    /// For no rows, another number of classes than two, or a probability beyond 0 to 1.
    pub fn probabilities(
        &mut self,
        actual: &ArrayRef,
        scores: &[f64],
        probability: bool,
        run: &Run,
    ) -> Result<()> {
        let keys = distinct_keys(std::slice::from_ref(actual), actual.len(), run)?;
        if keys.len() != 2 {
            return Err(Error::new(
                Kind::InvalidData,
                format!(
                    "a probability is of one of two classes, but there are {}",
                    keys.len()
                ),
            )
            .hint("Give rows of two classes; the probability is that of the larger one, such as true or 1."));
        }
        let mut rows: Vec<(u32, f64)> = keys
            .codes
            .iter()
            .copied()
            .zip(scores.iter().copied())
            .collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (classes, scores): (Vec<u32>, Vec<f64>) = rows.into_iter().unzip();
        let positive: Vec<bool> = classes.iter().map(|class| *class == 1).collect();
        self.whole("auc", auc(&positive, &scores)?);
        if probability {
            let both = Array2::from_shape_fn((scores.len(), 2), |(row, class)| {
                let p = scores.get(row).copied().unwrap_or(0.0);
                if class == 1 { p } else { 1.0 - p }
            });
            self.whole("log_loss", log_loss(&classes, both.view())?);
        }
        Ok(())
    }
}

/// A column of numbers without NULL.
///
/// # Errors
/// [`Kind::NullNotAllowed`], with `what` in the message.
pub fn whole_numbers_of(column: &ArrayRef, what: &str) -> Result<Vec<f64>> {
    let column = cast(column, &DataType::Float64)?;
    let numbers = column.as_primitive::<Float64Type>();
    if numbers.null_count() > 0 {
        return Err(Error::new(
            Kind::NullNotAllowed,
            format!("{what} is NULL in {} rows", numbers.null_count()),
        )
        .hint("Leave out the users and items that the model does not know."));
    }
    Ok(numbers.values().to_vec())
}
