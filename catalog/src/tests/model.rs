//! Random programs against a small model in memory.

use super::support::*;
use crate::{Compaction, Transaction, Warehouse};
use datafusion::prelude::{col, lit};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    CreateSchema(u8),
    DropSchema(u8),
    Create(u8, u8),
    Drop(u8, u8),
    Rename(u8, u8, u8),
    Append(u8, u8, Vec<i64>),
    /// Deletes, or gives another name to, the rows whose id leaves this rest when divided by 3.
    Delete(u8, u8, i64),
    Update(u8, u8, i64, u8),
    Truncate(u8, u8),
    /// Moves inlined rows to files, or joins files, between transactions.
    Upkeep(u8, u8, bool),
    Commit,
    Rollback,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (s, t) = (0u8..2, 0u8..3);
    prop_oneof![
        1 => s.clone().prop_map(Step::CreateSchema),
        1 => s.clone().prop_map(Step::DropSchema),
        3 => (s.clone(), t.clone()).prop_map(|(s, t)| Step::Create(s, t)),
        1 => (s.clone(), t.clone()).prop_map(|(s, t)| Step::Drop(s, t)),
        2 => (s.clone(), t.clone(), 0u8..3).prop_map(|(s, a, b)| Step::Rename(s, a, b)),
        3 => (s.clone(), t.clone(), -1i64..3).prop_map(|(s, t, rest)| Step::Delete(s, t, rest)),
        3 => (s.clone(), t.clone(), -1i64..3, 0u8..3).prop_map(|(s, t, rest, name)| Step::Update(s, t, rest, name)),
        1 => (s.clone(), t.clone()).prop_map(|(s, t)| Step::Truncate(s, t)),
        2 => (s.clone(), t.clone(), any::<bool>()).prop_map(|(s, t, flush)| Step::Upkeep(s, t, flush)),
        6 => (s, t, prop::collection::vec(-3i64..100, 0..4)).prop_map(|(s, t, rows)| Step::Append(s, t, rows)),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::Reopen),
    ]
}

type Model = BTreeMap<String, BTreeMap<String, Vec<(i64, String)>>>;

/// Does the step in both; returns whether it worked in the model.
fn in_model(model: &mut Model, step: &Step) -> bool {
    let (schema, table) = (|s: &u8| format!("s{s}"), |t: &u8| format!("t{t}"));
    match step {
        Step::CreateSchema(s) => {
            let free = !model.contains_key(&schema(s));
            model.entry(schema(s)).or_default();
            free
        }
        Step::DropSchema(s) => model.remove(&schema(s)).is_some(),
        Step::Create(s, t) => match model.get_mut(&schema(s)) {
            Some(tables) if !tables.contains_key(&table(t)) => {
                tables.insert(table(t), Vec::new()).is_none()
            }
            _ => false,
        },
        Step::Drop(s, t) => model
            .get_mut(&schema(s))
            .is_some_and(|tables| tables.remove(&table(t)).is_some()),
        Step::Rename(s, a, b) => match model.get_mut(&schema(s)) {
            Some(tables) if tables.contains_key(&table(a)) && !tables.contains_key(&table(b)) => {
                let rows = tables.remove(&table(a)).unwrap();
                tables.insert(table(b), rows).is_none()
            }
            _ => false,
        },
        Step::Append(s, t, rows) => match model
            .get_mut(&schema(s))
            .and_then(|tables| tables.get_mut(&table(t)))
        {
            Some(all) => {
                all.extend(rows.iter().map(|id| (*id, "x".to_owned())));
                true
            }
            None => false,
        },
        Step::Delete(s, t, _) | Step::Update(s, t, ..) | Step::Truncate(s, t) => {
            let Some(all) = model
                .get_mut(&schema(s))
                .and_then(|tables| tables.get_mut(&table(t)))
            else {
                return false;
            };
            match step {
                Step::Delete(.., rest) => all.retain(|(id, _)| id % 3 != *rest),
                Step::Update(.., rest, new) => {
                    for (_, name) in all.iter_mut().filter(|(id, _)| id % 3 == *rest) {
                        *name = format!("u{new}");
                    }
                }
                _ => all.clear(),
            }
            true
        }
        Step::Upkeep(..) | Step::Commit | Step::Rollback | Step::Reopen => true,
    }
}

async fn in_warehouse(transaction: &Transaction, step: &Step) -> bool {
    let (schema, table) = (|s: &u8| format!("s{s}"), |t: &u8| format!("t{t}"));
    match step {
        Step::CreateSchema(s) => transaction.create_schema(&schema(s)).is_ok(),
        Step::DropSchema(s) => transaction.drop_schema(&schema(s), true).is_ok(),
        Step::Create(s, t) => transaction
            .create_table(&schema(s), &table(t), &id_and_name())
            .is_ok(),
        Step::Drop(s, t) => transaction.drop_table(&schema(s), &table(t)).is_ok(),
        Step::Rename(s, a, b) => transaction
            .rename_relation(&schema(s), &table(a), &table(b))
            .is_ok(),
        Step::Append(s, t, values) => {
            let snapshot = transaction.snapshot();
            let Some(found) = snapshot.table(&schema(s), &table(t)) else {
                return false;
            };
            let values = values.iter().map(|id| (*id, "x")).collect::<Vec<_>>();
            append(transaction, found.id, &rows(&values)).await.is_ok()
        }
        Step::Delete(s, t, rest) | Step::Update(s, t, rest, _) => {
            let name = format!("{}.{}", schema(s), table(t));
            if transaction
                .snapshot()
                .table(&schema(s), &table(t))
                .is_none()
            {
                return false;
            }
            let filter = (col("id") % lit(3_i64)).eq(lit(*rest));
            match step {
                Step::Update(.., new) => {
                    update_in(transaction, &name, filter, &format!("u{new}")).await
                }
                _ => delete_in(transaction, &name, filter).await,
            }
            .is_ok()
        }
        Step::Truncate(s, t) => transaction.truncate(&schema(s), &table(t)).is_ok(),
        Step::Upkeep(..) | Step::Commit | Step::Rollback | Step::Reopen => true,
    }
}

async fn contents(warehouse: &Warehouse, snapshot: &crate::Snapshot) -> Model {
    let mut found = Model::new();
    for schema in snapshot
        .schemas()
        .filter(|schema| schema.name.starts_with('s'))
    {
        let tables = found.entry(schema.name.clone()).or_default();
        for name in schema.relations.keys() {
            let lines = read_at(warehouse, snapshot, &schema.name, name)
                .await
                .unwrap();
            let mut ids = lines
                .iter()
                .map(|line| {
                    let (id, name) = line.split_once('|').unwrap();
                    (id.parse().unwrap(), name.to_owned())
                })
                .collect::<Vec<(i64, String)>>();
            ids.sort_unstable();
            let table = snapshot.table(&schema.name, name).unwrap();
            assert_eq!(table.rows, ids.len() as u64);
            tables.insert(name.clone(), ids);
        }
    }
    found
}

fn sorted(model: &Model) -> Model {
    let mut model = model.clone();
    model
        .values_mut()
        .flat_map(BTreeMap::values_mut)
        .for_each(|rows| rows.sort_unstable());
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_do_what_the_model_does(steps in prop::collection::vec(step(), 1..40), inline in prop::sample::select(vec![0u64, 2, 100])) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            place.warehouse.set_inline_rows_max(inline);
            let mut warehouse = place.again();
            let mut transaction = warehouse.begin().unwrap();
            let (mut committed, mut pending) = (Model::new(), Model::new());
            for step in &steps {
                let worked = in_model(&mut pending, step);
                assert_eq!(in_warehouse(&transaction, step).await, worked, "{step:?}");
                match step {
                    Step::Commit => {
                        transaction.commit().await.unwrap();
                        committed = pending.clone();
                    }
                    Step::Rollback => transaction.rollback().await,
                    Step::Upkeep(s, t, flush) => {
                        transaction.rollback().await;
                        let found = warehouse.snapshot().unwrap().table(&format!("s{s}"), &format!("t{t}")).map(|table| table.id);
                        match (found, flush) {
                            (Some(id), true) => drop(warehouse.flush(id).await.unwrap()),
                            (Some(id), false) => drop(warehouse.compact(id, &Compaction::default()).await.unwrap()),
                            _ => {}
                        }
                    }
                    Step::Reopen => {
                        drop(transaction);
                        warehouse = place.again();
                    }
                    _ => {
                        assert_eq!(contents(&warehouse, &transaction.snapshot()).await, sorted(&pending));
                        continue;
                    }
                }
                pending = committed.clone();
                transaction = warehouse.begin().unwrap();
                let snapshot = warehouse.snapshot().unwrap();
                assert_eq!(contents(&warehouse, &snapshot).await, sorted(&committed));
                let files = snapshot.tables().map(|table| table.files.len()).sum::<usize>();
                let live = catalog(&place.sql(), "SELECT count(*) FROM ducklake_data_file WHERE end_snapshot IS NULL");
                assert_eq!(live, [files.to_string()]);
                // No file is there that no row names.
                let named = catalog(&place.sql(), "SELECT (SELECT count(*) FROM ducklake_data_file) + (SELECT count(*) FROM ducklake_delete_file)");
                assert_eq!(named, [place.files().len().to_string()]);
            }
        });
    }
}
