//! The demo's input, read back from its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{
    Array, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::people::{Account, ChannelName, Demographics, Household};
use super::*;

fn batches(path: &Path) -> Vec<RecordBatch> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .build()
        .unwrap()
        .map(|batch| batch.unwrap())
        .collect()
}

/// Rows and cents of an amount column.
fn total(path: &Path, column: &str) -> (usize, i64) {
    let mut rows = 0;
    let mut cents = 0;
    for batch in batches(path) {
        let column = batch.column_by_name(column).unwrap();
        rows += batch.num_rows();
        if let Some(amounts) = column.as_any().downcast_ref::<Decimal128Array>() {
            cents += amounts
                .iter()
                .flatten()
                .map(|amount| i64::try_from(amount).unwrap())
                .sum::<i64>();
        } else if let Some(amounts) = column.as_any().downcast_ref::<Float64Array>() {
            cents += amounts
                .iter()
                .flatten()
                .map(|amount| (amount * 100.0).round() as i64)
                .sum::<i64>();
        } else if let Some(amounts) = column.as_any().downcast_ref::<Int64Array>() {
            cents += amounts.iter().flatten().sum::<i64>();
        } else {
            let amounts = column.as_string::<i32>();
            let digits = |text: &str| text.replace(['$', '.'], "").parse::<i64>().unwrap();
            cents += amounts.iter().flatten().map(digits).sum::<i64>();
        }
    }
    (rows, cents)
}

/// The root of the sources, as cargo tells it when it runs a test: a program compiled elsewhere is then no matter.
fn sources() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
}

#[test]
fn the_channels_together_are_the_raw_data() {
    let directory = tempfile::tempdir().unwrap();
    let input = write_input(directory.path(), None).unwrap();
    assert_eq!((input.households, input.lines), (400, 348_956));

    let raw = sources().join("tests/data/complete_journey/transactions.parquet");
    let raw = total(&raw, "sales_value");
    let parts = [
        ("web/orders.parquet", "line_total"),
        ("app/purchases.parquet", "paid_cents"),
        ("social/shop_orders.parquet", "paid"),
        ("store/pos.parquet", "value"),
    ]
    .map(|(file, column)| total(&input.directory.join(file), column));
    assert!(parts.iter().all(|(rows, _)| *rows > 10_000), "{parts:?}");
    let sum = parts
        .iter()
        .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    assert_eq!(sum, raw);

    // The truth knows every account once, and the accounts of the files are those of the truth.
    let mut truth: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for batch in batches(&input.directory.join("truth/accounts.parquet")) {
        let (channels, ids) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_string::<i32>(),
        );
        let households = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let channel = truth.entry(channels.value(row).to_owned()).or_default();
            let before = channel.insert(ids.value(row).to_owned(), households.value(row));
            assert_eq!(before, None, "{} {}", channels.value(row), ids.value(row));
        }
    }
    assert_eq!(
        truth.values().map(BTreeMap::len).sum::<usize>(),
        input.accounts
    );
    for (channel, file, column) in [
        ("app", "app/users.parquet", "user_uuid"),
        ("social", "social/profiles.parquet", "handle"),
        ("store", "store/loyalty.parquet", "enrolment"),
    ] {
        let mut found = BTreeSet::new();
        for batch in batches(&input.directory.join(file)) {
            let ids: &StringArray = batch.column_by_name(column).unwrap().as_string();
            found.extend(ids.iter().flatten().map(str::to_owned));
        }
        assert_eq!(found, truth[channel].keys().cloned().collect(), "{channel}");
        let mut per_household: BTreeMap<i64, usize> = BTreeMap::new();
        for household in truth[channel].values() {
            *per_household.entry(*household).or_default() += 1;
        }
        assert_eq!(per_household.len(), 400, "{channel}");
        assert_eq!(per_household.values().max(), Some(&4), "{channel}");
    }
}

#[test]
fn the_same_source_gives_the_same_files() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_input(first.path(), None).unwrap();
    write_input(second.path(), None).unwrap();
    let mut compared = 0;
    for folder in ["web", "app", "social", "store", "shop", "truth"] {
        for file in std::fs::read_dir(first.path().join(folder)).unwrap() {
            let file = file.unwrap();
            let other = second.path().join(folder).join(file.file_name());
            assert_eq!(
                std::fs::read(file.path()).unwrap(),
                std::fs::read(&other).unwrap(),
                "{other:?}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 28);
}

#[test]
fn prices_are_before_discounts() {
    let directory = tempfile::tempdir().unwrap();
    let input = write_input(directory.path(), None).unwrap();
    let mut prices = Vec::new();
    for batch in batches(&input.directory.join("store/assortment.parquet")) {
        let price = batch
            .column_by_name("shelf_price")
            .unwrap()
            .as_primitive::<Float64Type>();
        prices.extend(price.iter().flatten());
    }
    prices.sort_by(f64::total_cmp);
    assert!(prices.iter().all(|price| *price > 0.0));
    let median = prices[prices.len() / 2];
    assert!((1.0..8.0).contains(&median), "{median}");
}

#[test]
fn accounts_are_messy_and_keep_what_identifies_them() {
    let mut accounts: Vec<Account> = Vec::new();
    for id in 1..=300 {
        let household = Household::new(id, &Demographics::default());
        for channel in ChannelName::ALL {
            accounts.extend(household.accounts(channel));
        }
    }
    let share = |test: &dyn Fn(&Account) -> bool| {
        accounts.iter().filter(|account| test(account)).count() * 100 / accounts.len()
    };
    let real = |text: &Option<String>| text.as_deref().is_some_and(|text| text.len() > 6);
    assert!((70..85).contains(&share(&|account| real(&account.email))));
    assert!((50..65).contains(&share(&|account| real(&account.phone))));
    assert!((50..65).contains(&share(&|account| real(&account.loyalty_id))));
    // Whoever left out all three can be found by nobody: there are some, and they are few.
    let lost = share(&|account| {
        !real(&account.email) && !real(&account.phone) && !real(&account.loyalty_id)
    });
    assert!((1..8).contains(&lost), "{lost}");
    for text in accounts
        .iter()
        .filter_map(|account| account.phone.as_deref())
    {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let subscriber = digits.get(digits.len().saturating_sub(7)..).unwrap_or("");
        assert!(
            digits.len() < 10 || subscriber.starts_with("55501") || digits == "0000000000",
            "{text}"
        );
    }
}

#[test]
fn a_package_that_is_another_is_refused() {
    let package = tempfile::tempdir().unwrap();
    let output = tempfile::tempdir().unwrap();
    let refusal = || write_input(output.path(), Some(package.path())).unwrap_err();

    let missing = refusal();
    assert!(
        missing.to_string().contains("transactions.parquet"),
        "{missing}"
    );

    std::fs::write(package.path().join("transactions.parquet"), "no Parquet").unwrap();
    let text = refusal();
    assert!(
        text.to_string()
            .starts_with("cannot read table \"transactions\""),
        "{text}"
    );
    assert!(text.hint().is_some());

    let slice = sources().join("tests/data/complete_journey");
    std::fs::copy(
        slice.join("products.parquet"),
        package.path().join("transactions.parquet"),
    )
    .unwrap();
    let other = refusal();
    assert_eq!(
        other.to_string(),
        "table \"transactions\" of The Complete Journey has no column \"household_id\" that can be read as Int64"
    );
}

#[test]
fn every_statement_names_files_that_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let input = write_input(directory.path(), None).unwrap();
    let steps = script(&input);
    let mut named = BTreeSet::new();
    for step in &steps {
        if let Step::Statement { sql, .. } = step
            && let Some((_, path)) = sql
                .strip_suffix("' (FORMAT parquet)")
                .and_then(|sql| sql.split_once(" FROM '"))
        {
            assert!(Path::new(path).is_file(), "{path}");
            named.insert(path.to_owned());
        }
    }
    assert_eq!(named.len(), 28);
    assert!(
        steps
            .iter()
            .any(|step| matches!(step, Step::Contracts { .. }))
    );
}
