//! From the raw tables to what the four channels deliver.
//!
//! Every line of a raw basket goes to exactly one channel, so that the channels together are the
//! raw data again. Which one is drawn from the store and the basket: one store in five packs for
//! the online channels, where most baskets are ordered in the web shop or the app; of the other
//! stores' baskets about three in four are bought at the till, the rest is ordered online and
//! collected. A basket belongs to one account of its household in that channel, most often the
//! first; one in twenty-five at the till belongs to nobody, as when no card is shown. What a
//! visitor looks at beside buying, and the talks with the customer service, are made up around the
//! baskets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use arrow::array::Array;
use arrow::datatypes::DataType;

use super::channels::{self, Action, Channel, Event, Line, Product, Talk};
use super::draw::Draw;
use super::error::{Error, Result};
use super::people::{Account, ChannelName, DAY_US, Demographics, FIRST_DAY, Household};
use super::rows::{Cell, Rows, Type};
use super::source::{
    CAMPAIGN_DESCRIPTIONS, CAMPAIGNS, COUPON_REDEMPTIONS, COUPONS, DEMOGRAPHICS, PRODUCTS,
    PROMOTIONS, Raw, RawTable, Source, TIME, TRANSACTIONS,
};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) households: usize,
    pub(super) accounts: usize,
    pub(super) lines: u64,
}

/// Writes the input of the demo below `directory`.
pub(super) fn generate(source: &Source, directory: &Path) -> Result<Written> {
    let sold = Sold::of(source)?;
    let households = households(source, &sold)?;
    shared(source, directory)?;
    truth_folder(directory)?;
    let mut accounts = 0;
    let mut lines = 0;
    let mut truth = Rows::create(
        &directory.join("truth").join("accounts.parquet"),
        &[
            ("channel", Type::Text),
            ("account_id", Type::Text),
            ("household_id", Type::Bigint),
        ],
    )?;
    let mut desks = Vec::new();
    for name in ChannelName::ALL {
        let mut desk = Desk::open(name, directory, &households, &sold)?;
        for account in desk.accounts.values().flatten() {
            desk.channel.account(account)?;
            truth.push([
                name.name().into(),
                (&desk.channel.key(account)).into(),
                account.household.into(),
            ])?;
            accounts += 1;
        }
        desk.talks()?;
        desks.push(desk);
    }
    truth.close()?;
    products(source, &sold, &mut desks)?;
    for raw in source.batches(TRANSACTIONS, TRANSACTION_COLUMNS)? {
        let raw = raw?;
        for (household, line) in RawLines::of(&raw)? {
            let name = channel_of(line.store, line.basket);
            if let Some(desk) = desks.iter_mut().find(|desk| desk.name == name) {
                desk.line(household, &line)?;
                lines += 1;
            }
        }
    }
    for desk in desks {
        desk.channel.close()?;
    }
    Ok(Written {
        households: households.len(),
        accounts,
        lines,
    })
}

/// The channel of a basket.
fn channel_of(store: i64, basket: i64) -> ChannelName {
    let packs_for_online = Draw::of("store", &[store]).chance(200);
    let weights = if packs_for_online {
        [420, 330, 150, 100]
    } else {
        [110, 90, 40, 760]
    };
    match Draw::of("basket", &[basket]).weighted(&weights) {
        0 => ChannelName::Web,
        1 => ChannelName::App,
        2 => ChannelName::Social,
        _ => ChannelName::Store,
    }
}

/// A channel with its customers.
struct Desk<'a> {
    name: ChannelName,
    channel: Box<dyn Channel>,
    /// By household.
    accounts: BTreeMap<i64, Vec<Account>>,
    /// The products sold in it, in order.
    assortment: &'a [i64],
    /// How often of 1,000 lines something was viewed, put into the basket, liked, or viewed and not
    /// bought.
    habits: [u64; 4],
}

impl<'a> Desk<'a> {
    fn open(
        name: ChannelName,
        directory: &Path,
        households: &BTreeMap<i64, Household>,
        sold: &'a Sold,
    ) -> Result<Self> {
        Ok(Self {
            name,
            channel: channels::create(name, directory)?,
            accounts: households
                .iter()
                .map(|(id, household)| (*id, household.accounts(name)))
                .collect(),
            assortment: sold.assortments.get(&name).map_or(&[], Vec::as_slice),
            habits: match name {
                ChannelName::Web => [900, 700, 40, 200],
                ChannelName::App => [700, 800, 30, 150],
                ChannelName::Social => [500, 100, 350, 250],
                ChannelName::Store => [30, 10, 20, 0],
            },
        })
    }

    /// Takes a line and makes up what its buyer did before.
    fn line(&mut self, household: i64, line: &Line) -> Result<()> {
        let draw = &mut Draw::of("buyer", &[line.basket]);
        let guest = self.name == ChannelName::Store && draw.chance(40);
        let accounts = self.accounts.get(&household).map_or(&[][..], Vec::as_slice);
        let weights = [6, 3, 2, 1];
        let buyer = draw.weighted(weights.get(..accounts.len()).unwrap_or(&weights));
        let Some(account) = accounts.get(buyer).filter(|_| !guest) else {
            return self.channel.line(None, line);
        };
        self.channel.line(Some(account), line)?;
        let draw = &mut Draw::of("events", &[line.basket, line.product]);
        let session = i64::try_from(Draw::of("session", &[line.basket]).bits() >> 24).unwrap_or(0);
        let [viewed, added, liked, left] = self.habits;
        let mut event = |action, product, seconds: i64| {
            let at = line.at - seconds * 1_000_000;
            self.channel.event(
                account,
                &Event {
                    action,
                    product,
                    session,
                    store: line.store,
                    at,
                },
            )
        };
        if draw.chance(viewed) {
            event(Action::View, line.product, draw.between(60, 1800))?;
        }
        if draw.chance(added) {
            event(Action::AddToCart, line.product, draw.between(10, 59))?;
        }
        if draw.chance(liked) {
            event(Action::Interest, line.product, draw.between(-7200, 0))?;
        }
        if draw.chance(left) {
            let other = self
                .assortment
                .get(draw.index(self.assortment.len()))
                .copied();
            event(
                Action::View,
                other.unwrap_or(line.product),
                draw.between(60, 1800),
            )?;
        }
        Ok(())
    }

    /// Makes up the talks with the customer service: three customers in ten have one or two in the
    /// year.
    fn talks(&mut self) -> Result<()> {
        const TOPICS: &[&str] = &[
            "delivery",
            "refund",
            "substitution",
            "coupon",
            "account",
            "opening hours",
        ];
        const OUTCOMES: &[&str] = &["resolved", "resolved", "refunded", "escalated", "no answer"];
        for account in self.accounts.values().flatten() {
            let draw = &mut Draw::of(self.name.name(), &[account.number]);
            if !draw.chance(300) {
                continue;
            }
            for _ in 0..draw.between(1, 2) {
                let topic = draw.pick(TOPICS);
                let outcome = draw.pick(OUTCOMES);
                let at = FIRST_DAY * DAY_US + draw.between(0, 364 * DAY_US);
                self.channel.talk(account, &Talk { topic, outcome, at })?;
            }
        }
        Ok(())
    }
}

/// What a first reading of the transactions tells.
struct Sold {
    households: BTreeSet<i64>,
    /// By product: cents before discounts, and pieces.
    prices: HashMap<i64, (i64, i64)>,
    assortments: BTreeMap<ChannelName, Vec<i64>>,
}

impl Sold {
    fn of(source: &Source) -> Result<Self> {
        let mut households = BTreeSet::new();
        let mut prices: HashMap<i64, (i64, i64)> = HashMap::new();
        let mut assortments: BTreeMap<ChannelName, BTreeSet<i64>> = BTreeMap::new();
        for raw in source.batches(TRANSACTIONS, TRANSACTION_COLUMNS)? {
            let raw = raw?;
            for (household, line) in RawLines::of(&raw)? {
                households.insert(household);
                if line.quantity > 0 {
                    let (cents, pieces) = prices.entry(line.product).or_default();
                    *cents += line.paid_cents + line.retail_discount_cents;
                    *pieces += line.quantity;
                }
                assortments
                    .entry(channel_of(line.store, line.basket))
                    .or_default()
                    .insert(line.product);
            }
        }
        let assortments = assortments
            .into_iter()
            .map(|(name, products)| (name, products.into_iter().collect()))
            .collect();
        Ok(Self {
            households,
            prices,
            assortments,
        })
    }

    /// The mean price of a piece. `None` when it is not a cent, as for fuel, whose pieces are drops.
    fn price_cents(&self, product: i64) -> Option<i64> {
        let (cents, pieces) = self
            .prices
            .get(&product)
            .filter(|(_, pieces)| *pieces > 0)?;
        Some((cents + pieces / 2) / pieces).filter(|price| *price > 0)
    }
}

const TRANSACTION_COLUMNS: &[(&str, DataType)] = &[
    ("household_id", DataType::Int64),
    ("store_id", DataType::Int64),
    ("basket_id", DataType::Int64),
    ("product_id", DataType::Int64),
    ("quantity", DataType::Int64),
    ("sales_value", DataType::Float64),
    ("retail_disc", DataType::Float64),
    ("coupon_disc", DataType::Float64),
    ("coupon_match_disc", DataType::Float64),
    ("week", DataType::Int64),
    ("transaction_timestamp", TIME),
];

/// The lines of a batch of raw transactions, each with its household.
struct RawLines;

impl RawLines {
    fn of(raw: &Raw) -> Result<impl Iterator<Item = (i64, Line)>> {
        let (household, store, basket) = (raw.integers(0)?, raw.integers(1)?, raw.integers(2)?);
        let (product, quantity, week) = (raw.integers(3)?, raw.integers(4)?, raw.integers(9)?);
        let (paid, retail) = (raw.amounts(5)?, raw.amounts(6)?);
        let (coupon, matched, at) = (raw.amounts(7)?, raw.amounts(8)?, raw.times(10)?);
        if (0..11).any(|column| raw.nulls(column)) {
            return Err(Error::Internal(
                "a raw transaction has a column without a value".to_owned(),
            ));
        }
        Ok((0..raw.rows).map(move |row| {
            let line = Line {
                basket: basket.value(row),
                product: product.value(row),
                store: store.value(row),
                quantity: quantity.value(row),
                paid_cents: cents(paid.value(row)),
                retail_discount_cents: cents(retail.value(row)),
                coupon_discount_cents: cents(coupon.value(row)),
                coupon_match_cents: cents(matched.value(row)),
                week: week.value(row),
                at: at.value(row),
            };
            (household.value(row), line)
        }))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the amount of one line is far below 2^53 cents"
)]
fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}

/// The households that bought something, with their people.
fn households(source: &Source, sold: &Sold) -> Result<BTreeMap<i64, Household>> {
    const COLUMNS: &[(&str, DataType)] = &[
        ("household_id", DataType::Int64),
        ("age", DataType::Utf8),
        ("household_comp", DataType::Utf8),
    ];
    let mut known = HashMap::new();
    for raw in source.batches(DEMOGRAPHICS, COLUMNS)? {
        let raw = raw?;
        let (id, age, adults) = (raw.integers(0)?, raw.texts(1)?, raw.texts(2)?);
        for row in 0..raw.rows {
            let facts = Demographics {
                age: age.is_valid(row).then(|| age.value(row).to_owned()),
                two_adults: adults
                    .is_valid(row)
                    .then(|| adults.value(row).starts_with('2')),
            };
            known.insert(id.value(row), facts);
        }
    }
    let unknown = Demographics::default();
    Ok(sold
        .households
        .iter()
        .map(|id| (*id, Household::new(*id, known.get(id).unwrap_or(&unknown))))
        .collect())
}

/// Gives every channel its assortment.
fn products(source: &Source, sold: &Sold, desks: &mut [Desk<'_>]) -> Result<()> {
    const COLUMNS: &[(&str, DataType)] = &[
        ("product_id", DataType::Int64),
        ("manufacturer_id", DataType::Int64),
        ("department", DataType::Utf8),
        ("brand", DataType::Utf8),
        ("product_category", DataType::Utf8),
        ("product_type", DataType::Utf8),
        ("package_size", DataType::Utf8),
    ];
    for raw in source.batches(PRODUCTS, COLUMNS)? {
        let raw = raw?;
        let (ids, manufacturers) = (raw.integers(0)?, raw.integers(1)?);
        let texts = [
            raw.texts(2)?,
            raw.texts(3)?,
            raw.texts(4)?,
            raw.texts(5)?,
            raw.texts(6)?,
        ];
        for row in 0..raw.rows {
            let id = ids.value(row);
            let [department, brand, category, kind, size] =
                texts.map(|text| text.is_valid(row).then(|| text.value(row).to_owned()));
            let manufacturer = manufacturers.value(row);
            let price_cents = sold.price_cents(id);
            let product = Product {
                id,
                department,
                category,
                kind,
                size,
                brand,
                manufacturer,
                price_cents,
            };
            for desk in desks
                .iter_mut()
                .filter(|desk| desk.assortment.binary_search(&id).is_ok())
            {
                desk.channel.product(&product)?;
            }
        }
    }
    Ok(())
}

/// The tables that all channels share: as the package has them, days as dates.
fn shared(source: &Source, directory: &Path) -> Result<()> {
    let folder = directory.join("shop");
    std::fs::create_dir_all(&folder).map_err(|source| Error::File {
        path: folder.clone(),
        source,
    })?;
    for table in [PRODUCTS, PROMOTIONS, COUPONS, CAMPAIGNS, DEMOGRAPHICS] {
        source.copy(table, &folder.join(format!("{}.parquet", table.name)))?;
    }

    let descriptions: &[_; 4] = &[
        ("campaign_id", DataType::Int64),
        ("campaign_type", DataType::Utf8),
        ("start_date", TIME),
        ("end_date", TIME),
    ];
    let redemptions: &[_; 4] = &[
        ("household_id", DataType::Int64),
        ("coupon_upc", DataType::Int64),
        ("campaign_id", DataType::Int64),
        ("redemption_date", TIME),
    ];
    with_days(source, CAMPAIGN_DESCRIPTIONS, descriptions, &folder)?;
    with_days(source, COUPON_REDEMPTIONS, redemptions, &folder)
}

/// Writes a raw table with its timestamps, all of them midnights, as dates.
fn with_days<const N: usize>(
    source: &Source,
    table: RawTable,
    columns: &[(&'static str, DataType); N],
    folder: &Path,
) -> Result<()> {
    let written = columns.each_ref().map(|(name, kind)| {
        let kind = match kind {
            DataType::Int64 => Type::Bigint,
            DataType::Utf8 => Type::Text,
            _ => Type::Date,
        };
        (*name, kind)
    });
    let mut rows = Rows::create(&folder.join(format!("{}.parquet", table.name)), &written)?;
    for raw in source.batches(table, columns)? {
        let raw = raw?;
        for row in 0..raw.rows {
            let mut cells = [Cell::Null; N];
            for ((position, cell), (_, kind)) in cells.iter_mut().enumerate().zip(written) {
                *cell = match kind {
                    Type::Bigint => raw.integers(position)?.value(row).into(),
                    Type::Text => raw.texts(position)?.value(row).into(),
                    _ => raw.times(position)?.value(row).div_euclid(DAY_US).into(),
                };
            }
            rows.push(cells)?;
        }
    }
    rows.close().map(drop)
}

fn truth_folder(directory: &Path) -> Result<()> {
    let folder = directory.join("truth");
    std::fs::create_dir_all(&folder).map_err(|source| Error::File {
        path: folder,
        source,
    })
}
