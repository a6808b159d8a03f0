//! The mobile app: generated user ids, one name field, cents, milliseconds since 1970.

use std::path::Path;

use super::{Action, Channel, Event, Line, Product, Talk};
use crate::demo::draw::Draw;
use crate::demo::error::Result;
use crate::demo::people::Account;
use crate::demo::rows::{Cell, Rows, Type};

/// `app/{users,items,purchases,taps,tickets}.parquet`.
pub(super) struct App {
    users: Rows,
    items: Rows,
    purchases: Rows,
    taps: Rows,
    tickets: Rows,
}

impl App {
    pub(super) fn create(directory: &Path) -> Result<Self> {
        Ok(Self {
            users: Rows::create(
                &directory.join("users.parquet"),
                &[
                    ("user_uuid", Type::Text),
                    ("full_name", Type::Text),
                    ("login", Type::Text),
                    ("msisdn", Type::Text),
                    ("card", Type::Text),
                    ("device", Type::Text),
                    ("birth_ms", Type::Bigint),
                    ("created_ms", Type::Bigint),
                ],
            )?,
            items: Rows::create(
                &directory.join("items.parquet"),
                &[
                    ("item", Type::Text),
                    ("label", Type::Text),
                    ("section", Type::Text),
                    ("private_label", Type::Integer),
                    ("price_cents", Type::Bigint),
                ],
            )?,
            purchases: Rows::create(
                &directory.join("purchases.parquet"),
                &[
                    ("receipt", Type::Bigint),
                    ("user_uuid", Type::Text),
                    ("item", Type::Text),
                    ("units", Type::Bigint),
                    ("paid_cents", Type::Bigint),
                    ("saved_cents", Type::Bigint),
                    ("pickup_store", Type::Text),
                    ("ts_ms", Type::Bigint),
                ],
            )?,
            taps: Rows::create(
                &directory.join("taps.parquet"),
                &[
                    ("session", Type::Text),
                    ("user_uuid", Type::Text),
                    ("device", Type::Text),
                    ("screen", Type::Text),
                    ("item", Type::Text),
                    ("ts_ms", Type::Bigint),
                ],
            )?,
            tickets: Rows::create(
                &directory.join("tickets.parquet"),
                &[
                    ("user_uuid", Type::Text),
                    ("topic", Type::Text),
                    ("status", Type::Text),
                    ("opened_ms", Type::Bigint),
                ],
            )?,
        })
    }
}

impl Channel for App {
    /// In the form of a random UUID (version 4), though drawn from the account's number.
    fn key(&self, account: &Account) -> String {
        let draw = &mut Draw::of("app user", &[account.number]);
        let (high, low) = (draw.bits(), draw.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }

    fn account(&mut self, account: &Account) -> Result<()> {
        let full_name = match (&account.first_name, &account.last_name) {
            (Some(first), Some(last)) => Some(format!("{first} {last}")),
            (first, last) => first.clone().or_else(|| last.clone()),
        };
        let key = self.key(account);
        self.users.push([
            (&key).into(),
            (&full_name).into(),
            (&account.email).into(),
            (&account.phone).into(),
            (&account.loyalty_id).into(),
            (&account.device_id).into(),
            account.born_on.map(|days| days * 86_400_000).into(),
            milliseconds(account.created_at),
        ])
    }

    fn product(&mut self, product: &Product) -> Result<()> {
        let label = product.name().map(|name| name.to_lowercase());
        let section = match (&product.department, &product.category) {
            (Some(department), Some(category)) => Some(format!("{department} > {category}")),
            (department, category) => department.clone().or_else(|| category.clone()),
        };
        let private = product
            .brand
            .as_deref()
            .map(|brand| i64::from(brand == "Private"));
        self.items.push([
            (&item(product.id)).into(),
            (&label).into(),
            (&section).into(),
            private.into(),
            product.price_cents.into(),
        ])
    }

    fn line(&mut self, account: Option<&Account>, line: &Line) -> Result<()> {
        let key = account.map(|account| self.key(account));
        self.purchases.push([
            line.basket.into(),
            (&key).into(),
            (&item(line.product)).into(),
            line.quantity.into(),
            line.paid_cents.into(),
            (line.retail_discount_cents + line.coupon_discount_cents + line.coupon_match_cents)
                .into(),
            (&format!("S{:05}", line.store)).into(),
            milliseconds(line.at),
        ])
    }

    fn event(&mut self, account: &Account, event: &Event) -> Result<()> {
        let screen = match event.action {
            Action::View => "detail",
            Action::AddToCart => "basket",
            Action::Interest => "share",
        };
        let key = self.key(account);
        self.taps.push([
            (&format!("s-{}", event.session)).into(),
            (&key).into(),
            (&account.device_id).into(),
            screen.into(),
            (&item(event.product)).into(),
            milliseconds(event.at),
        ])
    }

    fn talk(&mut self, account: &Account, talk: &Talk) -> Result<()> {
        let key = self.key(account);
        self.tickets.push([
            (&key).into(),
            talk.topic.into(),
            talk.outcome.into(),
            milliseconds(talk.at),
        ])
    }

    fn close(self: Box<Self>) -> Result<u64> {
        Ok(self.users.close()?
            + self.items.close()?
            + self.purchases.close()?
            + self.taps.close()?
            + self.tickets.close()?)
    }
}

fn item(product: i64) -> String {
    format!("P-{product}")
}

fn milliseconds(micros: i64) -> Cell<'static> {
    Cell::Number(micros.div_euclid(1000))
}
