//! The stores: loyalty cards, till lines as floats, wall-clock times without a zone.

use std::path::Path;

use super::{Action, Channel, Event, Line, Product, Talk};
use crate::demo::error::Result;
use crate::demo::people::{Account, DAY_US};
use crate::demo::rows::{Cell, Rows, Type};

/// `store/{loyalty,assortment,pos,kiosk,service_desk}.parquet`.
pub(super) struct Store {
    loyalty: Rows,
    assortment: Rows,
    pos: Rows,
    kiosk: Rows,
    service_desk: Rows,
}

impl Store {
    pub(super) fn create(directory: &Path) -> Result<Self> {
        Ok(Self {
            loyalty: Rows::create(
                &directory.join("loyalty.parquet"),
                &[
                    ("enrolment", Type::Text),
                    ("card_number", Type::Text),
                    ("forename", Type::Text),
                    ("surname", Type::Text),
                    ("mail", Type::Text),
                    ("telephone", Type::Text),
                    ("street", Type::Text),
                    ("city", Type::Text),
                    ("postcode", Type::Text),
                    ("date_of_birth", Type::Date),
                    ("enrolled_on", Type::Date),
                ],
            )?,
            assortment: Rows::create(
                &directory.join("assortment.parquet"),
                &[
                    ("plu", Type::Bigint),
                    ("article", Type::Text),
                    ("brand_type", Type::Text),
                    ("dept", Type::Text),
                    ("commodity", Type::Text),
                    ("manufacturer", Type::Integer),
                    ("barcode", Type::Text),
                    ("shelf_price", Type::Double),
                ],
            )?,
            pos: Rows::create(
                &directory.join("pos.parquet"),
                &[
                    ("till_receipt", Type::Bigint),
                    ("enrolment", Type::Text),
                    ("plu", Type::Bigint),
                    ("quantity", Type::Bigint),
                    ("value", Type::Double),
                    ("retail_discount", Type::Double),
                    ("coupon_discount", Type::Double),
                    ("coupon_match", Type::Double),
                    ("store_no", Type::Integer),
                    ("week_no", Type::Integer),
                    ("rung_up", Type::Timestamp),
                ],
            )?,
            kiosk: Rows::create(
                &directory.join("kiosk.parquet"),
                &[
                    ("kiosk_no", Type::Integer),
                    ("enrolment", Type::Text),
                    ("button", Type::Text),
                    ("plu", Type::Bigint),
                    ("pressed", Type::Timestamp),
                ],
            )?,
            service_desk: Rows::create(
                &directory.join("service_desk.parquet"),
                &[
                    ("enrolment", Type::Text),
                    ("reason", Type::Text),
                    ("settled", Type::Text),
                    ("on_day", Type::Date),
                ],
            )?,
        })
    }
}

impl Channel for Store {
    fn key(&self, account: &Account) -> String {
        format!("E{}", account.number)
    }

    fn account(&mut self, account: &Account) -> Result<()> {
        let key = self.key(account);
        self.loyalty.push([
            (&key).into(),
            (&account.loyalty_id).into(),
            (&account.first_name).into(),
            (&account.last_name).into(),
            (&account.email).into(),
            (&account.phone).into(),
            (&account.street).into(),
            (&account.city).into(),
            (&account.postcode).into(),
            account.born_on.into(),
            account.created_at.div_euclid(DAY_US).into(),
        ])
    }

    fn product(&mut self, product: &Product) -> Result<()> {
        self.assortment.push([
            product.id.into(),
            (&product.name()).into(),
            (&product.brand).into(),
            (&product.department).into(),
            (&product.category).into(),
            product.manufacturer.into(),
            (&product.gtin()).into(),
            product
                .price_cents
                .map_or(Cell::Null, |cents| Cell::Double(float(cents))),
        ])
    }

    fn line(&mut self, account: Option<&Account>, line: &Line) -> Result<()> {
        let key = account.map(|account| self.key(account));
        self.pos.push([
            line.basket.into(),
            (&key).into(),
            line.product.into(),
            line.quantity.into(),
            float(line.paid_cents).into(),
            float(line.retail_discount_cents).into(),
            float(line.coupon_discount_cents).into(),
            float(line.coupon_match_cents).into(),
            line.store.into(),
            line.week.into(),
            line.at.into(),
        ])
    }

    fn event(&mut self, account: &Account, event: &Event) -> Result<()> {
        let button = match event.action {
            Action::View => "LOOK UP",
            Action::AddToCart => "ADD TO LIST",
            Action::Interest => "PRICE CHECK",
        };
        let key = self.key(account);
        self.kiosk.push([
            event.store.into(),
            (&key).into(),
            button.into(),
            event.product.into(),
            event.at.into(),
        ])
    }

    fn talk(&mut self, account: &Account, talk: &Talk) -> Result<()> {
        let key = self.key(account);
        self.service_desk.push([
            (&key).into(),
            (&talk.topic.to_uppercase()).into(),
            talk.outcome.into(),
            talk.at.div_euclid(DAY_US).into(),
        ])
    }

    fn close(self: Box<Self>) -> Result<u64> {
        Ok(self.loyalty.close()?
            + self.assortment.close()?
            + self.pos.close()?
            + self.kiosk.close()?
            + self.service_desk.close()?)
    }
}

/// Cents as the float that the tills write.
#[expect(
    clippy::cast_precision_loss,
    reason = "amounts of a basket are far below 2^53 cents"
)]
fn float(cents: i64) -> f64 {
    cents as f64 / 100.0
}
