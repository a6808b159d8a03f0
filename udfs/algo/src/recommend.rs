//! What to offer to whom: the best items of a factor model, [`top_k`], and the most popular ones, [`popularity`].

pub mod popularity;
pub mod top_k;

pub use popularity::Popularity;
pub use top_k::{Exclusion, ItemTable, Ranked, unit_rows};
