//! Text as people type it: how alike two strings are, and one form for names, addresses and product numbers.
//!
//! The one idea: a comparison keeps the meaning of the script it is in. Latin letters lose their accents, letters of other
//! scripts lose nothing; Chinese names stay Chinese. Similarities count Unicode characters, not bytes, and lie in 0..=1 with 1
//! for equal. Normalisers give `None` for what cannot be the thing.
//!
//! Start with [`similarity`] for comparing, [`fold`] for accents, [`names`], [`address`] and [`gtin`] for the values of a shop.

pub mod address;
pub mod fold;
pub mod gtin;
pub mod names;
pub mod similarity;

pub use address::address_key;
pub use fold::unaccent;
pub use gtin::{gtin_norm, gtin_valid};
pub use names::{Phonetic, name_key, name_norm};
pub use similarity::{
    cosine, damerau_levenshtein, jaccard, jaro, jaro_winkler, levenshtein, token_jaccard,
};
