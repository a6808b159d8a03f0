//! Survivorship: of the values that the records of an entity have in a column, the one to believe.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::stitch::NULL;
use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

/// How the value of a column is chosen among the records of an entity that have one. What a rule leaves undecided the next of the fixed order
/// decides: the most frequent value, then the value of the most recent record, then of the first record.
#[derive(Debug, Clone, PartialEq)]
pub enum Survivorship {
    /// The value of the record with the largest of these times (any order that fits `f64`; NaN is no time and comes last).
    MostRecent(Vec<f64>),
    /// The value that most records have.
    MostFrequent,
    /// The longest text, in characters; the lengths of the values by their numbers.
    Longest(Vec<u32>),
    /// The value of the record whose source comes first; the rank of each record's source, sources without a rank last.
    Source(Vec<u32>),
}

/// The chosen records: by column and entity, in the order of the entities' first records, the record whose value survives, or
/// [`NULL`] where no record has a value.
pub type Survivors = Vec<Vec<u32>>;

/// Chooses the values of the entities in `entity` (for each record the smallest record of its entity) by the rule of each column. A column is the
/// number of each record's value, or [`NULL`].
///
/// The order of the entities is that of their smallest records. Time O(records x columns), memory 8 bytes an entity and column and 24
/// bytes a record.
///
/// # Errors
/// [`Error::Internal`] for lengths that differ; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn survivors(
    entity: &[u32],
    columns: &[(&[u32], Survivorship)],
    host: &dyn Host,
) -> Result<Survivors> {
    let _memory = reserve_for::<[u64; 3]>(host, entity.len(), "records by entity")?;
    let mut order: Vec<u32> = (0..entity.len() as u32).collect();
    order.sort_unstable_by_key(|&record| (entity[record as usize], record));
    let groups: Vec<&[u32]> = order
        .chunk_by(|a, b| entity[*a as usize] == entity[*b as usize])
        .collect();
    let mut meter = Meter::new(host);
    let mut survivors = Vec::with_capacity(columns.len());
    for (codes, rule) in columns {
        let per_record = match rule {
            Survivorship::MostRecent(times) => times.len() == entity.len(),
            Survivorship::Source(ranks) => ranks.len() == entity.len(),
            Survivorship::MostFrequent | Survivorship::Longest(_) => true,
        };
        if codes.len() != entity.len() || !per_record {
            return Err(Error::Internal("a value for each record"));
        }
        let mut column = Vec::with_capacity(groups.len());
        for group in &groups {
            meter.spend(16 * group.len())?;
            column.push(survivor(group, codes, rule));
        }
        survivors.push(column);
    }
    Ok(survivors)
}

fn survivor(group: &[u32], codes: &[u32], rule: &Survivorship) -> u32 {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for record in group {
        *counts.entry(codes[*record as usize]).or_default() += 1;
    }
    let frequency = |record: u32| counts.get(&codes[record as usize]).copied().unwrap_or(0);
    let preference = |record: u32| -> (f64, u32) {
        let code = codes[record as usize];
        match rule {
            Survivorship::MostRecent(times) => {
                let time = times[record as usize];
                (
                    if time.is_nan() {
                        f64::NEG_INFINITY
                    } else {
                        time
                    },
                    frequency(record),
                )
            }
            Survivorship::MostFrequent => (0.0, frequency(record)),
            Survivorship::Longest(lengths) => (
                f64::from(lengths.get(code as usize).copied().unwrap_or(0)),
                frequency(record),
            ),
            Survivorship::Source(ranks) => (-f64::from(ranks[record as usize]), frequency(record)),
        }
    };
    let held = group
        .iter()
        .copied()
        .filter(|record| codes[*record as usize] != NULL);
    held.max_by(|&a, &b| {
        let ((x, f), (y, g)) = (preference(a), preference(b));
        x.total_cmp(&y)
            .then(f.cmp(&g))
            .then(Reverse(a).cmp(&Reverse(b)))
    })
    .unwrap_or(NULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    #[test]
    fn each_rule_by_hand() {
        let entity = [0, 0, 0, 3, 0];
        let codes = [1, 2, 1, NULL, 0];
        let check = |rule, expected: [u32; 2]| {
            let found = survivors(&entity, &[(&codes, rule)], &Unlimited).unwrap();
            assert_eq!(found, [expected]);
        };
        check(Survivorship::MostFrequent, [0, NULL]);
        check(
            Survivorship::MostRecent(vec![1.0, 9.0, f64::NAN, 0.0, 5.0]),
            [1, NULL],
        );
        // Without a time the most frequent value decides.
        check(Survivorship::MostRecent(vec![f64::NAN; 5]), [0, NULL]);
        check(Survivorship::Longest(vec![7, 3, 5]), [4, NULL]);
        check(Survivorship::Source(vec![2, 2, 1, 0, 1]), [2, NULL]);
    }

    #[test]
    fn missing_values_never_survive_a_value() {
        let found = survivors(
            &[0, 0],
            &[(&[NULL, 4], Survivorship::MostRecent(vec![9.0, 1.0]))],
            &Unlimited,
        );
        assert_eq!(found.unwrap(), [[1]]);
        assert_eq!(survivors(&[], &[], &Unlimited).unwrap(), Survivors::new());
        assert!(survivors(&[0], &[(&[], Survivorship::MostFrequent)], &Unlimited).is_err());
    }
}
