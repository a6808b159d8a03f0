//! The shops on social networks: handles for keys, and nearly everything as text.

use std::path::Path;

use super::{Action, Channel, Event, Line, Product, Talk, iso_time};
use crate::demo::error::Result;
use crate::demo::people::{Account, DAY_US};
use crate::demo::rows::{Rows, Type};

/// `social/{profiles,listings,shop_orders,reactions,messages}.parquet`.
pub(super) struct Social {
    profiles: Rows,
    listings: Rows,
    shop_orders: Rows,
    reactions: Rows,
    messages: Rows,
}

impl Social {
    pub(super) fn create(directory: &Path) -> Result<Self> {
        Ok(Self {
            profiles: Rows::create(
                &directory.join("profiles.parquet"),
                &[
                    ("handle", Type::Text),
                    ("display_name", Type::Text),
                    ("contact_mail", Type::Text),
                    ("contact_phone", Type::Text),
                    ("linked_card", Type::Text),
                    ("last_device", Type::Text),
                    ("born", Type::Text),
                    ("joined", Type::Date),
                ],
            )?,
            listings: Rows::create(
                &directory.join("listings.parquet"),
                &[
                    ("link", Type::Text),
                    ("caption", Type::Text),
                    ("price", Type::Text),
                ],
            )?,
            shop_orders: Rows::create(
                &directory.join("shop_orders.parquet"),
                &[
                    ("order_ref", Type::Text),
                    ("handle", Type::Text),
                    ("link", Type::Text),
                    ("pieces", Type::Text),
                    ("paid", Type::Text),
                    ("ordered", Type::Text),
                ],
            )?,
            reactions: Rows::create(
                &directory.join("reactions.parquet"),
                &[
                    ("handle", Type::Text),
                    ("kind", Type::Text),
                    ("link", Type::Text),
                    ("happened", Type::Text),
                ],
            )?,
            messages: Rows::create(
                &directory.join("messages.parquet"),
                &[
                    ("handle", Type::Text),
                    ("about", Type::Text),
                    ("ended", Type::Text),
                    ("sent", Type::Text),
                ],
            )?,
        })
    }
}

impl Channel for Social {
    fn key(&self, account: &Account) -> String {
        format!("@u{}", account.number)
    }

    fn account(&mut self, account: &Account) -> Result<()> {
        let display_name = match (&account.first_name, &account.last_name) {
            (Some(first), Some(last)) => Some(format!("{last}, {first}")),
            (first, last) => first.clone().or_else(|| last.clone()),
        };
        let card = account
            .loyalty_id
            .as_ref()
            .map(|typed| format!("card {typed}"));
        let born = account
            .born_on
            .map(|days| iso_time(days * DAY_US))
            .and_then(|time| time.split_once('T').map(|(day, _)| day.replace('-', "/")));
        let key = self.key(account);
        self.profiles.push([
            (&key).into(),
            (&display_name).into(),
            (&account.email).into(),
            (&account.phone).into(),
            (&card).into(),
            (&account.device_id).into(),
            (&born).into(),
            account.created_at.div_euclid(DAY_US).into(),
        ])
    }

    fn product(&mut self, product: &Product) -> Result<()> {
        let caption = product.name().map(|name| format!("NEW! {name}"));
        let price = product.price_cents.map(dollars);
        self.listings.push([
            (&link(product.id)).into(),
            (&caption).into(),
            (&price).into(),
        ])
    }

    fn line(&mut self, account: Option<&Account>, line: &Line) -> Result<()> {
        let key = account.map(|account| self.key(account));
        self.shop_orders.push([
            (&format!("{}-{}", line.basket, line.store)).into(),
            (&key).into(),
            (&link(line.product)).into(),
            (&line.quantity.to_string()).into(),
            (&dollars(line.paid_cents)).into(),
            (&iso_time(line.at)).into(),
        ])
    }

    fn event(&mut self, account: &Account, event: &Event) -> Result<()> {
        let kind = match event.action {
            Action::View => "click",
            Action::AddToCart => "save",
            Action::Interest => "like",
        };
        let key = self.key(account);
        self.reactions.push([
            (&key).into(),
            kind.into(),
            (&link(event.product)).into(),
            (&iso_time(event.at)).into(),
        ])
    }

    fn talk(&mut self, account: &Account, talk: &Talk) -> Result<()> {
        let key = self.key(account);
        self.messages.push([
            (&key).into(),
            (&format!("#{}", talk.topic)).into(),
            talk.outcome.into(),
            (&iso_time(talk.at)).into(),
        ])
    }

    fn close(self: Box<Self>) -> Result<u64> {
        Ok(self.profiles.close()?
            + self.listings.close()?
            + self.shop_orders.close()?
            + self.reactions.close()?
            + self.messages.close()?)
    }
}

fn link(product: i64) -> String {
    format!("https://shop.example/p/{product}")
}

fn dollars(cents: i64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}
