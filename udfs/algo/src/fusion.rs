//! Records of several sources that mean the same thing: from shared identifiers to entities.
//!
//! Records, values and nodes are dense `u32` numbers; [`intern`] makes them from keys of any kind and [`normalise`] brings
//! the values of common identifiers to one form first. [`profile`] guesses what a column holds. [`resolve`] finds the records of
//! one person by all they say, [`stitch`] by shared identifiers alone, [`components`] without any guard, [`products`] the same
//! product in two catalogs. [`stable`] keeps the ids of entities over runs, [`golden`] chooses their values, [`evaluate`]
//! measures a clustering against the truth.

pub mod components;
pub mod evaluate;
pub mod golden;
pub mod intern;
pub mod normalise;
pub mod products;
pub mod profile;
pub mod resolve;
pub mod stable;
pub mod stitch;

pub use components::{Components, connected_components, connected_ids};
pub use evaluate::{Agreement, Scores};
pub use normalise::is_null_like;
pub use resolve::{Resolve, Resolved};
pub use stitch::{IdColumn, Stitch, Stitched};
