//! What to offer to whom: the best items of a factor model, [`top_k`], those that a history leads to, [`item_graph`], and the most popular
//! ones, [`popularity`];
//! several models' lists made into one, [`blend`], and made less alike, [`diversity`].

mod best;
pub mod blend;
pub mod diversity;
pub mod item_graph;
pub mod popularity;
pub mod top_k;

pub use blend::Blend;
pub use diversity::Diversify;
pub use item_graph::{ItemModel, ItemScorer};
pub use popularity::Popularity;
pub use top_k::{Exclusion, ItemTable, Ranked, unit_rows};
