//! Entities that keep their names: from one run to the next the records of a customer may gain, lose or change company, and still
//! whoever wrote down the old id must find the customer again.
//!
//! An entity keeps the id that most of its records had before; of ids with as many records, the oldest; of entities that would keep the same
//! id, the one with most of its records. The others are new. Ids that went are told with what became of them.

use std::collections::HashMap;

use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

/// Ids of one run, given those of the run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stable {
    /// For each record of now the id of its entity: below `previous`, an old id that lives on; else `previous` plus the smallest record
    /// of the new entity, from which the caller makes a new id.
    pub entity: Vec<u64>,
    /// What became of old ids that no longer name all their records, by old id.
    pub aliases: Vec<Alias>,
}

/// What became of an old id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// The old id.
    pub old: u32,
    /// The id its records have now, as in [`Stable::entity`]; `None` when none of them is left.
    pub now: Option<u64>,
    /// Why.
    pub event: Event,
}

/// Why an old id no longer names all its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// All its records are in an entity with another id.
    Merged,
    /// Its records are in several entities; there is an alias for each that has another id.
    Split,
    /// None of its records is there any more.
    Retired,
}

/// Names the entities of `entity` (for each record the smallest record of its entity) after the old ids of their records.
///
/// `old` holds for each record the number of its old id, or `None` for a new record; old ids are numbered from 0 to `previous`, the oldest
/// first, and ids without a record left are retired.
///
/// Time O(n log n), memory about 60 bytes a record with an old id.
///
/// # Errors
/// [`Error::Internal`] for an old id that is not below `previous` or lengths that differ; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn stable_ids(
    entity: &[u32],
    old: &[Option<u32>],
    previous: u32,
    host: &dyn Host,
) -> Result<Stable> {
    if entity.len() != old.len() {
        return Err(Error::Internal("an old id or none for each record"));
    }
    if old.iter().flatten().any(|id| *id >= previous) {
        return Err(Error::Internal("old ids below their number"));
    }
    let _memory = reserve_for::<[u64; 8]>(host, old.len(), "ids of the entities")?;
    let mut meter = Meter::new(host);
    // Records that each old id and each entity have in common.
    let mut common: HashMap<(u32, u32), u32> = HashMap::new();
    for (root, id) in entity.iter().zip(old) {
        meter.spend(64)?;
        if let Some(id) = id {
            *common.entry((*id, *root)).or_default() += 1;
        }
    }
    let mut shares: Vec<(u32, u32, u32)> = common
        .into_iter()
        .map(|((id, root), records)| (records, id, root))
        .collect();
    host.check()?;
    // Most records first, then the oldest id, then the entity that begins first: each pair is taken when both are free.
    shares.sort_unstable_by_key(|&(records, id, root)| (std::cmp::Reverse(records), id, root));
    let mut of_root: HashMap<u32, u32> = HashMap::new();
    let mut taken = vec![false; previous as usize];
    for &(_, id, root) in &shares {
        let free = taken.get_mut(id as usize).filter(|taken| !**taken);
        if let (Some(free), std::collections::hash_map::Entry::Vacant(place)) =
            (free, of_root.entry(root))
        {
            place.insert(id);
            *free = true;
        }
    }
    let now = |root: u32| match of_root.get(&root) {
        Some(id) => u64::from(*id),
        None => u64::from(previous) + u64::from(root),
    };

    shares.sort_unstable_by_key(|&(_, id, root)| (id, root));
    let mut aliases = Vec::new();
    let mut seen = vec![false; previous as usize];
    for parts in shares.chunk_by(|a, b| a.1 == b.1) {
        let event = if parts.len() == 1 {
            Event::Merged
        } else {
            Event::Split
        };
        for &(_, old, root) in parts {
            if let Some(seen) = seen.get_mut(old as usize) {
                *seen = true;
            }
            let now = now(root);
            if now != u64::from(old) {
                aliases.push(Alias {
                    old,
                    now: Some(now),
                    event,
                });
            }
        }
    }
    let gone = (0..previous).zip(&seen).filter(|(_, seen)| !**seen);
    aliases.extend(gone.map(|(old, _)| Alias {
        old,
        now: None,
        event: Event::Retired,
    }));
    aliases.sort_unstable();
    Ok(Stable {
        entity: entity.iter().map(|root| now(*root)).collect(),
        aliases,
    })
}

/// What became of old ids, by what their records are called now. `pairs` holds for each record with an old id its number and that of
/// the id it has now, `None` for a record that is gone; `same` says whether an old id and one of now are the same id.
///
/// Returned are the old id, the id of now and the event, by old id; an id that names what it named is not among them. Time O(n log n).
pub fn aliases(
    mut pairs: Vec<(u32, Option<u32>)>,
    same: impl Fn(u32, u32) -> bool,
) -> Vec<(u32, Option<u32>, Event)> {
    pairs.sort_unstable();
    pairs.dedup();
    let mut aliases = Vec::new();
    for of_id in pairs.chunk_by(|a, b| a.0 == b.0) {
        let now: Vec<(u32, u32)> = of_id
            .iter()
            .filter_map(|&(old, now)| Some((old, now?)))
            .collect();
        match (now.as_slice(), of_id.first()) {
            ([], Some(&(old, _))) => aliases.push((old, None, Event::Retired)),
            (all, _) => {
                let event = if all.len() == 1 {
                    Event::Merged
                } else {
                    Event::Split
                };
                let others = all.iter().filter(|&&(old, now)| !same(old, now));
                aliases.extend(others.map(|&(old, now)| (old, Some(now), event)));
            }
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;

    #[test]
    fn what_became_of_ids() {
        let pairs = vec![
            (0, Some(0)),
            (1, Some(0)),
            (1, None),
            (2, Some(2)),
            (2, Some(3)),
            (4, None),
        ];
        let found = aliases(pairs, |old, now| old == now);
        assert_eq!(
            found,
            [
                (1, Some(0), Event::Merged),
                (2, Some(3), Event::Split),
                (4, None, Event::Retired)
            ]
        );
    }

    fn check(
        entity: &[u32],
        old: &[Option<u32>],
        previous: u32,
        ids: &[u64],
        aliases: &[(u32, Option<u64>, Event)],
    ) {
        let found = stable_ids(entity, old, previous, &Unlimited).unwrap();
        assert_eq!(found.entity, ids);
        let told: Vec<_> = found
            .aliases
            .iter()
            .map(|alias| (alias.old, alias.now, alias.event))
            .collect();
        assert_eq!(told, aliases);
    }

    #[test]
    fn ids_live_on() {
        // The same entities: the same ids, and a new record joins one, a new one stands alone.
        check(
            &[0, 0, 2, 2, 4],
            &[Some(1), Some(1), Some(0), None, None],
            2,
            &[1, 1, 0, 0, 6],
            &[],
        );
    }

    #[test]
    fn a_merger_keeps_the_id_of_the_majority_then_the_oldest() {
        let merged =
            |old| [(old, Event::Merged)].map(|(old, event)| (old, Some(1 - u64::from(old)), event));
        check(
            &[0, 0, 0],
            &[Some(0), Some(1), Some(1)],
            2,
            &[1, 1, 1],
            &merged(0),
        );
        check(&[0, 0], &[Some(1), Some(0)], 2, &[0, 0], &merged(1));
    }

    #[test]
    fn a_split_leaves_the_id_with_the_larger_part() {
        check(
            &[0, 1, 1],
            &[Some(0), Some(0), Some(0)],
            1,
            &[1, 0, 0],
            &[(0, Some(1), Event::Split)],
        );
    }

    #[test]
    fn ids_without_records_retire() {
        check(&[0], &[Some(1)], 2, &[1], &[(0, None, Event::Retired)]);
        check(&[], &[], 1, &[], &[(0, None, Event::Retired)]);
    }

    proptest! {
        #[test]
        fn laws(labels in prop::collection::vec((0u32..6, prop::option::of(0u32..6)), 0..30)) {
            let mut first = HashMap::new();
            let mut entity = Vec::new();
            for (at, (label, _)) in labels.iter().enumerate() {
                entity.push(*first.entry(*label).or_insert(at as u32));
            }
            let old: Vec<Option<u32>> = labels.iter().map(|(_, old)| *old).collect();
            let found = stable_ids(&entity, &old, 6, &Unlimited).unwrap();
            for a in 0..labels.len() {
                for b in 0..labels.len() {
                    prop_assert_eq!(entity[a] == entity[b], found.entity[a] == found.entity[b]);
                }
                // A record that lost its old id is told of.
                if let Some(id) = old[a].filter(|id| u64::from(*id) != found.entity[a]) {
                    prop_assert!(found.aliases.iter().any(|alias| alias.old == id && alias.now == Some(found.entity[a])));
                }
            }
            // Run again on its own result, nothing changes.
            let again: Vec<Option<u32>> = found.entity.iter().map(|id| Some(*id as u32)).collect();
            let once_more = stable_ids(&entity, &again, 64, &Unlimited).unwrap();
            prop_assert_eq!(&once_more.entity, &found.entity);
            prop_assert!(once_more.aliases.iter().all(|alias| alias.event == Event::Retired));
        }
    }
}
