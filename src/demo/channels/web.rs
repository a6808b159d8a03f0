//! The web shop: numeric customer numbers, decimals, times in UTC.

use std::path::Path;

use super::{Action, Channel, Event, Line, Product, Talk, title_case};
use crate::demo::error::Result;
use crate::demo::people::Account;
use crate::demo::rows::{Cell, Rows, Type};

/// `web/{customers,catalogue,orders,clickstream,chats}.parquet`.
pub(super) struct Web {
    customers: Rows,
    catalogue: Rows,
    orders: Rows,
    clickstream: Rows,
    chats: Rows,
}

impl Web {
    pub(super) fn create(directory: &Path) -> Result<Self> {
        Ok(Self {
            customers: Rows::create(
                &directory.join("customers.parquet"),
                &[
                    ("cust_id", Type::Bigint),
                    ("first", Type::Text),
                    ("last", Type::Text),
                    ("email_address", Type::Text),
                    ("mobile", Type::Text),
                    ("loyalty_no", Type::Text),
                    ("cookie", Type::Text),
                    ("address_line", Type::Text),
                    ("town", Type::Text),
                    ("zip", Type::Text),
                    ("birthday", Type::Date),
                    ("signed_up", Type::TimestampUtc),
                ],
            )?,
            catalogue: Rows::create(
                &directory.join("catalogue.parquet"),
                &[
                    ("sku", Type::Bigint),
                    ("title", Type::Text),
                    ("brand", Type::Text),
                    ("department", Type::Text),
                    ("category", Type::Text),
                    ("maker", Type::Bigint),
                    ("ean", Type::Text),
                    ("list_price", Type::Amount),
                ],
            )?,
            orders: Rows::create(
                &directory.join("orders.parquet"),
                &[
                    ("order_no", Type::Text),
                    ("cust_id", Type::Bigint),
                    ("sku", Type::Bigint),
                    ("qty", Type::Integer),
                    ("line_total", Type::Amount),
                    ("discount", Type::Amount),
                    ("fulfilled_by", Type::Integer),
                    ("ordered_at", Type::TimestampUtc),
                ],
            )?,
            clickstream: Rows::create(
                &directory.join("clickstream.parquet"),
                &[
                    ("visit", Type::Bigint),
                    ("cust_id", Type::Bigint),
                    ("cookie", Type::Text),
                    ("action", Type::Text),
                    ("sku", Type::Bigint),
                    ("clicked_at", Type::TimestampUtc),
                ],
            )?,
            chats: Rows::create(
                &directory.join("chats.parquet"),
                &[
                    ("cust_id", Type::Bigint),
                    ("subject", Type::Text),
                    ("result", Type::Text),
                    ("started_at", Type::TimestampUtc),
                ],
            )?,
        })
    }
}

impl Channel for Web {
    fn key(&self, account: &Account) -> String {
        account.number.to_string()
    }

    fn account(&mut self, account: &Account) -> Result<()> {
        // The sign-up form prints the card's number in groups.
        let loyalty = account
            .loyalty_id
            .as_deref()
            .map(|typed| match typed.split_at_checked(3) {
                Some((first, rest)) if typed.len() == 9 => match rest.split_at_checked(3) {
                    Some((second, third)) => format!("L{first}-{second}-{third}"),
                    None => typed.to_owned(),
                },
                _ => typed.to_owned(),
            });
        self.customers.push([
            account.number.into(),
            (&account.first_name).into(),
            (&account.last_name).into(),
            (&account.email).into(),
            (&account.phone).into(),
            (&loyalty).into(),
            (&account.device_id).into(),
            (&account.street).into(),
            (&account.city).into(),
            (&account.postcode).into(),
            account.born_on.into(),
            account.created_at.into(),
        ])
    }

    fn product(&mut self, product: &Product) -> Result<()> {
        let title = product.name().map(|name| title_case(&name));
        self.catalogue.push([
            product.id.into(),
            (&title).into(),
            (&product.brand).into(),
            (&product.department).into(),
            (&product.category).into(),
            product.manufacturer.into(),
            (&product.gtin()).into(),
            product.price_cents.into(),
        ])
    }

    fn line(&mut self, account: Option<&Account>, line: &Line) -> Result<()> {
        self.orders.push([
            (&format!("W{}", line.basket)).into(),
            account.map(|account| account.number).into(),
            line.product.into(),
            line.quantity.into(),
            line.paid_cents.into(),
            (line.retail_discount_cents + line.coupon_discount_cents + line.coupon_match_cents)
                .into(),
            line.store.into(),
            line.at.into(),
        ])
    }

    fn event(&mut self, account: &Account, event: &Event) -> Result<()> {
        let action = match event.action {
            Action::View => "product_page",
            Action::AddToCart => "basket_add",
            Action::Interest => "wish_list",
        };
        self.clickstream.push([
            event.session.into(),
            account.number.into(),
            (&account.device_id).into(),
            action.into(),
            event.product.into(),
            event.at.into(),
        ])
    }

    fn talk(&mut self, account: &Account, talk: &Talk) -> Result<()> {
        self.chats.push([
            account.number.into(),
            talk.topic.into(),
            talk.outcome.into(),
            Cell::Number(talk.at),
        ])
    }

    fn close(self: Box<Self>) -> Result<u64> {
        Ok(self.customers.close()?
            + self.catalogue.close()?
            + self.orders.close()?
            + self.clickstream.close()?
            + self.chats.close()?)
    }
}
