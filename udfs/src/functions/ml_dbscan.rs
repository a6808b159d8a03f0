//! `ml.dbscan`: clusters by density.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field};
use ndarray::Array2;
use tributary_algo::clustering::{Dbscan, Eps, PointType};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::features::{FEATURES, Features, IMPUTE, OUTPUT, STANDARDIZE, bind_labels, emit_ordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct DbscanFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "dbscan",
    summary: "clusters rows by density and finds noise (DBSCAN)",
    prose: "A row with `min_samples` rows within `eps` of it, itself included, is a core; cores within `eps` of each other are of one cluster, and a row within `eps` of a core is on that cluster's border. All others are noise, of cluster -1. The parameters are those of scikit-learn's DBSCAN, and so are clusters, cores and noise; clusters are numbered in an order that depends on the rows alone, and a border row between two clusters is given to the one of the smaller number. Distances that single precision cannot decide are computed again in double. With eps => 'auto' the radius is the knee of the sorted distances to the `min_samples`-th neighbour. Every input row comes back once. Time is about O(rows log rows) while neighbourhoods are small.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "eps",
            ParameterType::FloatOrAuto,
            Default::Text("auto"),
            "The radius of a neighbourhood, positive, in the units of the standardized features where `standardize` is not 'none'; or 'auto'.",
        ),
        Parameter::new(
            "min_samples",
            ParameterType::Integer,
            Default::Integer(5),
            "How many rows within the radius make a row a core, itself included.",
        ),
        Parameter::new(
            "metric",
            ParameterType::Text,
            Default::Text("euclidean"),
            "How distances are measured: 'euclidean', or 'cosine', one less the cosine of the angle between rows, of which none may be all zeros.",
        ),
        STANDARDIZE,
        IMPUTE,
        OUTPUT,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<all input columns>",
            data_type: "as in the input",
            meaning: "The row that was clustered.",
        },
        ResultColumn {
            name: "cluster_id",
            data_type: "integer",
            meaning: "The cluster's number, from 0; -1 for noise.",
        },
        ResultColumn {
            name: "point_type",
            data_type: "text",
            meaning: "'core', 'border' or 'noise'.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT x, cluster_id, point_type FROM ml.dbscan((SELECT * FROM (VALUES (1.0), (2.0), (3.0), (9.0), (20.0), (21.0), (22.0)) AS points (x)), features => 'x', eps => 1.5, min_samples => 3) WHERE point_type <> 'border' ORDER BY x",
        output: "2.0|0|core\n9.0|-1|noise\n21.0|1|core",
    },
    source: "M. Ester, H.-P. Kriegel, J. Sander, X. Xu: A density-based algorithm for discovering clusters in large spatial databases with noise, KDD 1996.",
};

/// The algorithm with the arguments of a call; a cosine distance becomes the Euclidean one of rows of length 1.
///
/// # Errors
/// For values out of range.
pub(super) fn algorithm(call: &Call) -> Result<(Dbscan, bool)> {
    let cosine = call.word("metric", &["euclidean", "cosine"])? == "cosine";
    let eps = match call.float_or_auto("eps", 0.0)? {
        None => Eps::Auto,
        Some(eps) if cosine && eps >= 2.0 => {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("argument \"eps\" is out of range: {eps}"),
            )
            .hint("A cosine distance is from 0 to 2."));
        }
        // |a - b|^2 = 2 (1 - cos) for rows of length 1.
        Some(eps) if cosine => Eps::Distance((2.0 * eps).sqrt()),
        Some(eps) => Eps::Distance(eps),
    };
    let params = Dbscan {
        eps,
        min_samples: call.count("min_samples", 1)?,
    };
    Ok((params, cosine))
}

/// Brings every row to length 1.
///
/// # Errors
/// [`Kind::InvalidData`] for a row of zeros.
pub(crate) fn to_unit_length(matrix: &mut Array2<f64>) -> Result<()> {
    for mut row in matrix.outer_iter_mut() {
        let largest = row
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        if largest == 0.0 {
            return Err(Error::new(
                Kind::InvalidData,
                "a row whose features are all 0 has no direction",
            )
            .hint("Leave such rows out, or use metric => 'euclidean'."));
        }
        // Divided by the largest first, so that no square overflows.
        row.mapv_inplace(|value| value / largest);
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.mapv_inplace(|value| value / length);
    }
    Ok(())
}

impl RelationFunction for DbscanFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        bind_labels(call, vec![Field::new("point_type", DataType::Utf8, false)])
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let (algorithm, cosine) = algorithm(call)?;
        let order = rows.canonical_order(&features.names, run)?;
        let mut matrix = features.read(call, rows, &order, run)?.matrix;
        if cosine {
            to_unit_length(&mut matrix)?;
        }
        let found = run.compute(|| algorithm.fit(matrix.view(), run))?;
        let types = found.types.iter().map(|point| match point {
            PointType::Core => "core",
            PointType::Border => "border",
            PointType::Noise => "noise",
        });
        let columns = [
            Arc::new(Int32Array::from(found.labels)) as ArrayRef,
            Arc::new(StringArray::from_iter_values(types)),
        ];
        emit_ordered(rows, &order, &columns, run)
    }
}
