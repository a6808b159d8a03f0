//! `ml.hdbscan`: clusters by a hierarchy of densities.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array};
use arrow::datatypes::{DataType, Field};
use tributary_algo::clustering::{Hdbscan, Selection, refuse_rounded};

use crate::call::Call;
use crate::error::Result;
use crate::features::{FEATURES, Features, IMPUTE, OUTPUT, STANDARDIZE, bind_labels, emit_ordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct HdbscanFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "hdbscan",
    summary: "clusters rows by density at all scales and finds noise (HDBSCAN)",
    prose: "The hierarchy of all DBSCAN clusterings is cut where clusters persist longest. The parameters and their meaning are those of scikit-learn's HDBSCAN, exact, with Euclidean distances. Every input row comes back once; noise is of cluster -1 and probability 0. A column whose rounding to single precision would be felt within a cluster is refused. Time is about O(rows log^2 rows) in few dimensions, O(rows^2 features log rows) at worst.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "min_cluster_size",
            ParameterType::Integer,
            Default::Integer(5),
            "The fewest rows of a cluster, at least 2.",
        ),
        Parameter::new(
            "min_samples",
            ParameterType::Integer,
            Default::Null,
            "How many rows, itself included, make the neighbourhood by which the density at a row is measured, at least 1; absent, `min_cluster_size`.",
        ),
        Parameter::new(
            "cluster_selection_method",
            ParameterType::Text,
            Default::Text("eom"),
            "Which clusters are kept: 'eom', those of the largest excess of mass, or 'leaf', the smallest and most alike.",
        ),
        Parameter::new(
            "allow_single_cluster",
            ParameterType::Boolean,
            Default::Boolean(false),
            "Whether all rows together may be one cluster.",
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
            name: "probability",
            data_type: "double precision",
            meaning: "How near the row is to the densest part of its cluster, from 0 to 1.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT cluster_id >= 0 AS clustered, count(*) FROM ml.hdbscan((SELECT * FROM (VALUES (1.0), (2.0), (3.0), (4.0), (50.0), (51.0), (52.0), (53.0), (900.0)) AS points (x)), features => 'x', min_cluster_size => 3) GROUP BY clustered ORDER BY clustered",
        output: "f|1\nt|8",
    },
    source: "R. J. G. B. Campello, D. Moulavi, J. Sander: Density-based clustering based on hierarchical density estimates, PAKDD 2013.",
};

fn algorithm(call: &Call) -> Result<Hdbscan> {
    let selection = match call.word("cluster_selection_method", &["eom", "leaf"])? {
        "leaf" => Selection::Leaf,
        _ => Selection::ExcessOfMass,
    };
    Ok(Hdbscan {
        min_cluster_size: call.count("min_cluster_size", 2)?,
        min_samples: match call.integer("min_samples")? {
            None => None,
            Some(_) => Some(call.count("min_samples", 1)?),
        },
        selection,
        allow_single_cluster: call.boolean("allow_single_cluster")?,
    })
}

impl RelationFunction for HdbscanFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        bind_labels(
            call,
            vec![Field::new("probability", DataType::Float64, false)],
        )
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let algorithm = algorithm(call)?;
        // By all columns: rows of equal features need not come to the same cluster.
        let order = rows.canonical_order(&rows.names(), run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let found = run.compute(|| -> tributary_algo::Result<_> {
            let found = algorithm.fit(matrix.view(), run)?;
            refuse_rounded(matrix.view(), &found.labels, &features.names, run)?;
            Ok(found)
        })?;
        let columns = [
            Arc::new(Int32Array::from(found.labels)) as ArrayRef,
            Arc::new(Float64Array::from(found.probabilities)),
        ];
        emit_ordered(rows, &order, &columns, run)
    }
}
