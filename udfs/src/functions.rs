//! The list of relation functions. Adding one: its file below `functions/`, a `mod` line and an
//! entry in [`ALL`] here, and `tests/slt/functions/<schema>_<name>.slt`.

use crate::function::RelationFunction;

mod fusion_connected_components;
mod fusion_evaluate;
mod fusion_stitch;
mod ml_evaluate_ranking;
mod ml_factorize;
mod ml_kmeans;
mod ml_recommend;
mod ml_svd;
mod ml_train;

pub use ml_train::{ITEM, USER};

/// Every relation function, in the order of the documentation.
pub const ALL: &[&'static dyn RelationFunction] = &[
    &fusion_stitch::Stitch,
    &fusion_connected_components::ConnectedComponents,
    &fusion_evaluate::Evaluate,
    &ml_train::Train,
    &ml_recommend::Recommend,
    &ml_evaluate_ranking::EvaluateRanking,
    &ml_factorize::Factorize,
    &ml_svd::Svd,
    &ml_kmeans::KMeans,
];

/// The function called `schema.name`, both in lower case.
pub fn find(schema: &str, name: &str) -> Option<&'static dyn RelationFunction> {
    ALL.iter().copied().find(|function| {
        let signature = function.signature();
        signature.schema == schema && signature.name == name
    })
}

/// Whether some function lives in `schema`.
pub fn is_schema(schema: &str) -> bool {
    ALL.iter()
        .any(|function| function.signature().schema == schema)
}
