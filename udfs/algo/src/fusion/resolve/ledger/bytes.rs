//! A ledger as bytes and back: numbers in little endian, lists after their lengths, a version in front and a checksum behind.
//!
//! What follows from the rest (blocks, traits of values) is not written but made again.

use std::collections::{HashMap, HashSet};

use super::super::block::{BlockRule, Part};
use super::super::cluster::{Basis, Edge};
use super::super::column::{Kind, Values};
use super::super::model::{Model, Probabilities, Scorer};
use super::{Id, Index, Ledger, Resolve};
use crate::fusion::stitch::NULL;
use crate::host::{Host, reserve_for};
use crate::{Error, Result};

/// Begins every ledger; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"tribled\x01";

impl Ledger {
    /// The ledger as bytes, the same for the same ledger.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn to_bytes(&self, host: &dyn Host) -> Result<Vec<u8>> {
        let texts: usize = self
            .scorer
            .sets()
            .iter()
            .map(|set| set.texts.len() * 24)
            .sum();
        let width = 4 * self.kinds.len() + 8 * self.ids.len() + 64;
        let _memory = reserve_for::<u8>(
            host,
            texts + self.ranks.len() * width + self.edges.len() * 20,
            "bytes of the model",
        )?;
        let mut out = Writer {
            bytes: MAGIC.to_vec(),
        };
        out.options(&self.options);
        out.model(&self.model);
        out.list(&self.ignored, |out, ignored| {
            let mut codes: Vec<u32> = ignored.iter().copied().collect();
            codes.sort_unstable();
            out.list(&codes, |out, code| out.u32(*code));
        });
        out.list(self.scorer.sets(), |out, set| {
            let count = set.texts.len() as u32;
            out.u64(u64::from(count));
            (0..count).for_each(|code| out.text(set.text(code)));
        });
        out.list(self.scorer.set_of_column(), |out, set| out.u64(*set as u64));
        out.list(&self.scorer.rarities(), |out, (rarity, unheard)| {
            out.list(rarity, |out, rarity| out.u32(rarity.to_bits()));
            out.u32(unheard.to_bits());
        });
        host.check()?;
        out.list(self.scorer.rows(), |out, code| out.u32(*code));
        out.list(&self.ids, |out, id| {
            out.u64(id.max_values.map_or(u64::MAX, |most| most as u64));
            out.u32(u32::from(id.links));
            out.list(&id.holders.of_record, |out, number| {
                match id.holders.keys.keys().get(*number as usize) {
                    Some(key) => {
                        out.u32(1);
                        out.u64(*key);
                    }
                    None => out.u32(0),
                }
            });
        });
        host.check()?;
        out.list(&self.ranks, |out, rank| out.u64(*rank));
        out.list(&self.sources, |out, source| out.u32(*source));
        let mut edges: Vec<&Edge> = self.edges.values().collect();
        edges.sort_unstable_by_key(|edge| (edge.left, edge.right));
        out.list(&edges, |out, edge| out.edge(edge));
        out.list(&self.entity, |out, root| out.u32(*root));
        out.list(&self.link, |out, link| match link {
            Some(edge) => {
                out.u32(1);
                out.edge(edge);
            }
            None => out.u32(0),
        });
        let checksum = xxhash_rust::xxh3::xxh3_64(&out.bytes);
        out.u64(checksum);
        Ok(out.bytes)
    }

    /// The ledger that [`Ledger::to_bytes`] wrote.
    ///
    /// Time and memory in proportion to the bytes.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are no ledger, of another version, or damaged; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn from_bytes(bytes: &[u8], host: &dyn Host) -> Result<Self> {
        let (content, checksum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
        if !content.starts_with(&MAGIC)
            || xxhash_rust::xxh3::xxh3_64(content) != u64::from_le_bytes(*checksum)
        {
            return Err(damaged());
        }
        let memory = vec![host.reserve(bytes.len().saturating_mul(3), "records of the model")?];
        let mut from = Reader {
            bytes: content.get(MAGIC.len()..).ok_or_else(damaged)?,
        };
        let options = from.options()?;
        let model = from.model()?;
        let kinds: Vec<Kind> = model.columns.iter().map(|column| column.kind).collect();
        let ignored = from.list(|from| {
            Ok(from
                .list(Reader::u32)?
                .into_iter()
                .collect::<HashSet<u32>>())
        })?;
        let texts = from.list(|from| from.list(Reader::text))?;
        let of_column = from.list(|from| from.u64().map(|set| set as usize))?;
        let mut values = Vec::with_capacity(texts.len());
        for (set, texts) in texts.iter().enumerate() {
            let column = of_column
                .iter()
                .position(|of| *of == set)
                .ok_or_else(damaged)?;
            let kind = *kinds.get(column).ok_or_else(damaged)?;
            let mut numbered = Values::default();
            for text in texts {
                numbered.number_of_normal(kind, text, host)?;
            }
            values.push(numbered);
        }
        host.check()?;
        let rarities = from.list(|from| {
            let rarity = from.list(|from| from.u32().map(f32::from_bits))?;
            Ok((rarity, f32::from_bits(from.u32()?)))
        })?;
        let rows = from.list(Reader::u32)?;
        let stored = from.list(|from| {
            let most = from.u64()?;
            let links = from.u32()? == 1;
            let keys = from.list(|from| {
                if from.u32()? == 1 {
                    from.u64().map(Some)
                } else {
                    Ok(None)
                }
            })?;
            Ok((
                Some(most)
                    .filter(|most| *most != u64::MAX)
                    .map(|most| most as usize),
                links,
                keys,
            ))
        })?;
        let ranks = from.list(Reader::u64)?;
        let sources = from.list(Reader::u32)?;
        let edges = from.list(Reader::edge)?;
        let entity = from.list(Reader::u32)?;
        let link = from.list(|from| {
            if from.u32()? == 1 {
                from.edge().map(Some)
            } else {
                Ok(None)
            }
        })?;

        let records = ranks.len();
        let known: HashSet<u64> = ranks.iter().copied().collect();
        let (rules, id_columns) = (options.rules.len(), stored.len());
        let sound = |edge: &Edge| {
            edge.left < edge.right
                && (edge.right as usize) < records
                && match edge.basis {
                    Basis::Forced => true,
                    Basis::Id(id) => (id as usize) < id_columns,
                    Basis::Compared(rule) => (rule as usize) < rules,
                }
        };
        let held = |(code, set): (&u32, &usize)| {
            *code == NULL || (*code as usize) < values.get(*set).map_or(0, |set| set.texts.len())
        };
        let whole = from.bytes.is_empty()
            && known.len() == records
            && !kinds.is_empty()
            && texts
                .iter()
                .zip(&values)
                .all(|(texts, set)| texts.len() == set.texts.len())
            && of_column.len() == kinds.len()
            && of_column.iter().all(|set| *set < values.len())
            && rarities.len() == kinds.len()
            && rows.len() == records * kinds.len()
            && stored.iter().all(|(.., keys)| keys.len() == records)
            && [sources.len(), entity.len(), link.len()] == [records; 3]
            && rows
                .chunks(kinds.len().max(1))
                .all(|row| row.iter().zip(&of_column).all(held))
            && entity.iter().all(|root| (*root as usize) < records)
            && edges.iter().chain(link.iter().flatten()).all(sound)
            && options
                .rules
                .iter()
                .flat_map(|rule| &rule.parts)
                .all(|(at, _)| *at < kinds.len());
        if !whole {
            return Err(damaged());
        }
        let mut ids = Vec::with_capacity(stored.len());
        for (max_values, links, keys) in stored {
            let mut holders = Index::default();
            for key in keys {
                holders.push(key, host)?;
            }
            ids.push(Id {
                max_values,
                links,
                holders,
            });
        }
        let mut around = vec![Vec::new(); records];
        for edge in &edges {
            around[edge.left as usize].push(edge.right);
            around[edge.right as usize].push(edge.left);
        }
        let mut ledger = Self {
            blocks: options.rules.iter().map(|_| Index::default()).collect(),
            scorer: Scorer::again(&model, values, of_column, rarities, rows),
            known,
            edges: edges
                .into_iter()
                .map(|edge| ((edge.left, edge.right), edge))
                .collect::<HashMap<_, _>>(),
            options,
            model,
            ignored,
            kinds,
            ids,
            ranks,
            sources,
            around,
            entity,
            link,
            memory,
        };
        for record in 0..records as u32 {
            if record % 4096 == 0 {
                host.check()?;
            }
            let row = ledger.scorer.row(record).to_vec();
            ledger.index(&row, host)?;
        }
        Ok(ledger)
    }
}

fn damaged() -> Error {
    Error::data(
        "the model is not one of entity resolution, or is damaged",
        "Train it again.",
    )
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u64(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn limit(&mut self, limit: Option<usize>) {
        self.u64(limit.map_or(u64::MAX, |limit| limit as u64));
    }

    fn options(&mut self, options: &Resolve) {
        self.list(&options.rules, |out, rule| {
            out.list(&rule.parts, |out, (at, part)| {
                out.u64(*at as u64);
                let (kind, length) = match part {
                    Part::Whole => (0, 0),
                    Part::Sound => (1, 0),
                    Part::Start(length) => (2, *length),
                };
                out.u32(kind);
                out.u64(length as u64);
            });
        });
        self.f64(options.threshold);
        self.f64(options.review_threshold);
        self.limit(options.max_records_per_value);
        self.limit(Some(options.max_records_per_block));
        self.limit(options.max_records_per_entity);
        self.u32(u32::from(options.one_to_one));
        self.u32(u32::from(options.across_sources));
        self.u64(options.seed);
    }

    fn model(&mut self, model: &Model) {
        self.list(&model.columns, |out, column| {
            out.text(column.kind.name());
            out.u32(u32::from(column.personal));
            for probabilities in [&column.m, &column.related, &column.u] {
                out.list(probabilities, |out, probability| out.f64(*probability));
            }
        });
        self.f64(model.lambda);
        self.f64(model.lambda_related);
        self.u64(model.iterations as u64);
    }

    fn edge(&mut self, edge: &Edge) {
        self.u32(edge.left);
        self.u32(edge.right);
        self.u32(edge.weight.to_bits());
        let (kind, number) = match edge.basis {
            Basis::Forced => (0, 0),
            Basis::Id(id) => (1, id),
            Basis::Compared(rule) => (2, rule),
        };
        self.u32(kind);
        self.u32(number);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (chunk, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.bytes = rest;
        Ok(*chunk)
    }

    fn u32(&mut self) -> Result<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64> {
        self.u64().map(f64::from_bits)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.u64()? as usize;
        let (text, rest) = self.bytes.split_at_checked(length).ok_or_else(damaged)?;
        self.bytes = rest;
        String::from_utf8(text.to_vec()).map_err(|_| damaged())
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = self.u64()? as usize;
        // Every item has at least one byte: a length beyond what is left is not believed.
        if length > self.bytes.len() {
            return Err(damaged());
        }
        (0..length).map(|_| read(self)).collect()
    }

    fn limit(&mut self) -> Result<Option<usize>> {
        Ok(Some(self.u64()?)
            .filter(|limit| *limit != u64::MAX)
            .map(|limit| limit as usize))
    }

    fn options(&mut self) -> Result<Resolve> {
        let rules = self.list(|from| {
            let parts = from.list(|from| {
                let at = from.u64()? as usize;
                let (kind, length) = (from.u32()?, from.u64()? as usize);
                let part = match kind {
                    0 => Part::Whole,
                    1 => Part::Sound,
                    2 => Part::Start(length),
                    _ => return Err(damaged()),
                };
                Ok((at, part))
            })?;
            Ok(BlockRule { parts })
        })?;
        Ok(Resolve {
            rules,
            threshold: self.f64()?,
            review_threshold: self.f64()?,
            max_records_per_value: self.limit()?,
            max_records_per_block: self.limit()?.ok_or_else(damaged)?,
            max_records_per_entity: self.limit()?,
            one_to_one: self.u32()? == 1,
            across_sources: self.u32()? == 1,
            seed: self.u64()?,
        })
    }

    fn model(&mut self) -> Result<Model> {
        let columns = self.list(|from| {
            let kind = Kind::of_name(&from.text()?).map_err(|_| damaged())?;
            let personal = from.u32()? == 1;
            let mut probabilities = || {
                let found = from.list(Reader::f64)?;
                if found.len() == kind.levels().len() {
                    Ok(found)
                } else {
                    Err(damaged())
                }
            };
            Ok(Probabilities {
                kind,
                personal,
                m: probabilities()?,
                related: probabilities()?,
                u: probabilities()?,
            })
        })?;
        Ok(Model {
            columns,
            lambda: self.f64()?,
            lambda_related: self.f64()?,
            iterations: self.u64()? as usize,
        })
    }

    fn edge(&mut self) -> Result<Edge> {
        let (left, right) = (self.u32()?, self.u32()?);
        let weight = f32::from_bits(self.u32()?);
        let basis = match (self.u32()?, self.u32()?) {
            (0, _) => Basis::Forced,
            (1, id) => Basis::Id(id),
            (2, rule) => Basis::Compared(rule),
            _ => return Err(damaged()),
        };
        Ok(Edge {
            left,
            right,
            weight,
            basis,
        })
    }
}
