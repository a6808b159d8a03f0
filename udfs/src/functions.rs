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
mod ml_agglomerative;
mod ml_birch;
mod ml_dbscan;
mod ml_evaluate;
mod ml_evaluate_clusters;
mod ml_evaluate_model;
mod ml_evaluate_ranking;
mod ml_explain_clusters;
mod ml_factorize;
mod ml_gmm;
mod ml_hdbscan;
mod ml_kmeans;
mod ml_kmeans_curve;
mod ml_pca;
mod ml_predict;
mod ml_recommend;
mod ml_similar;
mod ml_split;
mod ml_svd;
mod ml_train;
mod quality_deduplicate;
mod quality_impute;
mod quality_outliers;
mod quality_scale;

pub use fusion_golden::outside_brackets;
pub use fusion_profile::looked_through;
pub use fusion_resolve::score;
mod ml_tune;

pub(crate) use ml_dbscan::to_unit_length;
pub(crate) use ml_pca::{component_columns, component_fields};
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
    &ml_similar::Similar,
    &ml_predict::Predict,
    &ml_evaluate_ranking::EvaluateRanking,
    &ml_evaluate::Evaluate,
    &ml_evaluate_model::EvaluateModel,
    &ml_split::Split,
    &ml_tune::Tune,
    &ml_factorize::Factorize,
    &ml_svd::Svd,
    &ml_kmeans::KMeans,
    &ml_kmeans_curve::KMeansCurveFunction,
    &ml_dbscan::DbscanFunction,
    &ml_hdbscan::HdbscanFunction,
    &ml_gmm::GmmFunction,
    &ml_agglomerative::AgglomerativeFunction,
    &ml_birch::BirchFunction,
    &ml_pca::PcaFunction,
    &ml_evaluate_clusters::EvaluateClusters,
    &ml_explain_clusters::ExplainClusters,
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
