//! What a channel delivers: its own files, with its own names, keys, types and habits.
//!
//! The four channels get the same facts and hand them over as four systems of different age and
//! origin would: amounts as decimals, cents, floats or "$12.34", times with and without a zone, in
//! milliseconds or as text, one name field or two. Their contracts (`contracts/*.toml`) bring them
//! together again.

mod app;
mod social;
mod store;
mod web;

use std::path::Path;

use super::error::{Error, Result};
use super::people::{Account, ChannelName};

/// One product in one basket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) basket: i64,
    pub(super) product: i64,
    pub(super) store: i64,
    pub(super) quantity: i64,
    /// What the retailer received, in cents; the discounts beside it are those that led there.
    pub(super) paid_cents: i64,
    pub(super) retail_discount_cents: i64,
    pub(super) coupon_discount_cents: i64,
    pub(super) coupon_match_cents: i64,
    pub(super) week: i64,
    /// Microseconds since 1970.
    pub(super) at: i64,
}

/// What a visitor does before or beside buying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Looks at a product.
    View,
    /// Puts it into the basket.
    AddToCart,
    /// Recommends it, or asks for its price: what the channel has beside buying.
    Interest,
}

/// One action of a visitor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) product: i64,
    pub(super) session: i64,
    pub(super) store: i64,
    pub(super) at: i64,
}

/// A product as the channel sells it.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) department: Option<String>,
    pub(super) category: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) size: Option<String>,
    pub(super) brand: Option<String>,
    pub(super) manufacturer: i64,
    /// The mean price before discounts, over all lines of the product; `None` when nothing was
    /// charged.
    pub(super) price_cents: Option<i64>,
}

/// A talk with the customer service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    pub(super) topic: &'static str,
    pub(super) outcome: &'static str,
    pub(super) at: i64,
}

/// A channel's files under way.
pub(super) trait Channel {
    /// The account's key, as the channel writes it and the contract hands it on.
    fn key(&self, account: &Account) -> String;

    /// Takes a customer's account.
    fn account(&mut self, account: &Account) -> Result<()>;

    /// Takes a product of the assortment.
    fn product(&mut self, product: &Product) -> Result<()>;

    /// Takes a line of a basket, bought by `account`, or by nobody known.
    fn line(&mut self, account: Option<&Account>, line: &Line) -> Result<()>;

    /// Takes an action of a visitor.
    fn event(&mut self, account: &Account, event: &Event) -> Result<()>;

    /// Takes a talk with the customer service.
    fn talk(&mut self, account: &Account, talk: &Talk) -> Result<()>;

    /// Ends the files; the number of rows in all of them.
    fn close(self: Box<Self>) -> Result<u64>;
}

/// Starts the files of a channel in its folder of `directory`.
pub(super) fn create(channel: ChannelName, directory: &Path) -> Result<Box<dyn Channel>> {
    let directory = directory.join(channel.name());
    std::fs::create_dir_all(&directory).map_err(|source| Error::File {
        path: directory.clone(),
        source,
    })?;
    Ok(match channel {
        ChannelName::Web => Box::new(web::Web::create(&directory)?),
        ChannelName::App => Box::new(app::App::create(&directory)?),
        ChannelName::Social => Box::new(social::Social::create(&directory)?),
        ChannelName::Store => Box::new(store::Store::create(&directory)?),
    })
}

impl Product {
    /// A name for customers: kind and size, in the raw data's capitals.
    pub(super) fn name(&self) -> Option<String> {
        let kind = self.kind.as_deref()?;
        Some(match self.size.as_deref() {
            Some(size) => format!("{kind} {size}"),
            None => kind.to_owned(),
        })
    }

    /// A thirteen-digit article number of the range that is free for use within a company (prefix
    /// 2).
    pub(super) fn gtin(&self) -> String {
        let digits = format!("2{:011}", self.id);
        // The check digit: weights 1 and 3 by turns from the left, up to the next multiple of ten.
        let sum: u32 = digits
            .chars()
            .filter_map(|digit| digit.to_digit(10))
            .zip([1, 3].into_iter().cycle())
            .map(|(digit, weight)| digit * weight)
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    }
}

/// `Title Case` of the raw data's capitals.
fn title_case(text: &str) -> String {
    text.split(' ')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first
                    .to_uppercase()
                    .chain(letters.flat_map(char::to_lowercase))
                    .collect()
            })
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// `2017-01-31T23:59:59Z` of microseconds since 1970.
fn iso_time(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros).map_or_else(String::new, |time| {
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn article_numbers_have_their_check_digit() {
        let product = Product {
            id: 25_671,
            department: None,
            category: None,
            kind: Some("ICE - CRUSHED/CUBED".into()),
            size: Some("22 LB".into()),
            brand: None,
            manufacturer: 2,
            price_cents: None,
        };
        // 2*1 + (2*1 + 5*3 + 6*1 + 7*3 + 1*1 by position) counted by hand: 2+ 6+5+18+7+3 = 41, so
        // 9.
        assert_eq!(product.gtin(), "2000000256719");
        assert_eq!(product.name().as_deref(), Some("ICE - CRUSHED/CUBED 22 LB"));
    }

    #[test]
    fn times_and_titles() {
        assert_eq!(iso_time(1_483_278_806_000_000), "2017-01-01T13:53:26Z");
        assert_eq!(title_case("ICE - CRUSHED/CUBED"), "Ice - Crushed/cubed");
    }
}
