//! `ml.agglomerative`: joins the nearest clusters until k are left.

use tributary_algo::clustering::{Agglomerative, Linkage};

use crate::call::Call;
use crate::error::Result;
use crate::features::{
    FEATURES, Features, IMPUTE, OUTPUT, STANDARDIZE, bind_labels, emit_ordered, label_array,
};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct AgglomerativeFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "agglomerative",
    summary: "joins the two nearest clusters until k are left (agglomerative clustering)",
    prose: "Every row begins as a cluster of its own. The linkages and their distances are those of scikit-learn's AgglomerativeClustering, with Euclidean distances, all in double precision. Clusters are numbered in an order that depends on the rows alone. Every input row comes back once. Time and memory grow with the square of the rows, so at most 20000 are taken.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Required,
            "The number of clusters, from 1 to the number of rows.",
        ),
        Parameter::new(
            "linkage",
            ParameterType::Text,
            Default::Text("ward"),
            "How far two clusters are apart: 'ward', by how much joining them raises the inertia, 'complete', by their farthest rows, 'average', by the mean over pairs of rows, or 'single', by their nearest rows.",
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
            meaning: "The cluster's number, from 0 to k - 1.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT x, cluster_id = first_value(cluster_id) OVER (ORDER BY x) AS with_first FROM ml.agglomerative((SELECT * FROM (VALUES (0.0), (1.0), (3.0), (10.0), (12.0)) AS points (x)), features => 'x', k => 2) ORDER BY x",
        output: "0.0|t\n1.0|t\n3.0|t\n10.0|f\n12.0|f",
    },
    source: "J. H. Ward: Hierarchical grouping to optimize an objective function, JASA 58 (1963); F. Murtagh: A survey of recent advances in hierarchical clustering algorithms, Comput. J. 26 (1983).",
};

fn algorithm(call: &Call) -> Result<Agglomerative> {
    let linkage = match call.word("linkage", &["ward", "complete", "average", "single"])? {
        "complete" => Linkage::Complete,
        "average" => Linkage::Average,
        "single" => Linkage::Single,
        _ => Linkage::Ward,
    };
    Ok(Agglomerative {
        k: call.count("k", 1)?,
        linkage,
    })
}

impl RelationFunction for AgglomerativeFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        bind_labels(call, vec![])
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let algorithm = algorithm(call)?;
        // By all columns: rows of equal features need not come to the same cluster.
        let order = rows.canonical_order(&rows.names(), run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let found = run.compute(|| algorithm.fit(matrix.view(), run))?;
        emit_ordered(rows, &order, &[label_array(&found.labels)?], run)
    }
}
