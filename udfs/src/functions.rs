//! The list of relation functions. Adding one: its file below `functions/`, a `mod` line and an
//! entry in [`ALL`] here, and `tests/slt/functions/<schema>_<name>.slt`.

use crate::function::RelationFunction;

mod fusion_aliases;
mod fusion_connected_components;
mod fusion_evaluate;
mod fusion_explain;
mod fusion_golden;
mod fusion_link;
mod fusion_map_schema;
mod fusion_match_products;
mod fusion_pairs;
mod fusion_profile;
mod fusion_refusals;
mod fusion_resolve;
mod fusion_stitch;
mod fusion_train;
mod ml_evaluate_ranking;
mod ml_factorize;
mod ml_kmeans;
mod ml_recommend;
mod ml_svd;
mod ml_train;
mod quality_deduplicate;
mod quality_impute;
mod quality_outliers;
mod quality_scale;

pub use fusion_golden::outside_brackets;
pub use fusion_profile::looked_through;
pub use fusion_resolve::score;
pub use ml_train::{ITEM, USER};

/// Every relation function, in the order of the documentation.
pub const ALL: &[&'static dyn RelationFunction] = &[
    &fusion_profile::Profile,
    &fusion_map_schema::MapSchema,
    &quality_deduplicate::Deduplicate,
    &quality_impute::Impute,
    &quality_outliers::DetectOutliers,
    &quality_scale::ScaleColumns,
    &fusion_stitch::Stitch,
    &fusion_resolve::Resolve,
    &fusion_pairs::Pairs,
    &fusion_refusals::Refusals,
    &fusion_explain::Explain,
    &fusion_train::TrainResolve,
    &fusion_aliases::Aliases,
    &fusion_golden::Golden,
    &fusion_link::Link,
    &fusion_match_products::MatchProducts,
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
