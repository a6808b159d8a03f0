//! What to offer to whom: the best items of a factor model, [`top_k`], those that a history leads to, [`item_graph`], and the most popular
//! ones, [`popularity`].

mod best;
pub mod item_graph;
pub mod popularity;
pub mod top_k;

pub use popularity::Popularity;
pub use top_k::{Exclusion, ItemTable, Ranked, unit_rows};
