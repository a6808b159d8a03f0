//! A model of `fusion.train`: what was learnt, the records it holds and their links, as rows of a model table.
//!
//! The manifest says which columns are read; the section `ledger` is the algorithm's own bytes, in pieces;
//! `key`, `key_2` and so on hold the records' keys, a section for each column of the key.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value, json};
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::resolve::{
    Basis, Field as Compared, IdField, Kind as Comparison, Ledger, Portion, Resolve,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::call::{Call, CallInput};
use crate::entities::{Previous, named};
use crate::error::{Error, Kind, Result};
use crate::functions::score;
use crate::input::{Input, input_of};
use crate::keys::{cannot_meet, common_type};
use crate::model::{
    FORMAT_VERSION, Manifest, ModelInfo, ModelKey, ModelRow, ModelRows, model_schema, write_model,
};
use crate::records::{IdName, KeyTexts, RecordColumns, Records, Rows, rule_texts};
use crate::run::Run;

/// The algorithm's name in the manifest.
pub const ALGORITHM: &str = "resolve";

/// The arguments that a model fixes.
pub const FIXED: [&str; 14] = [
    "ids",
    "compare",
    "block_on",
    "threshold",
    "review_threshold",
    "max_values",
    "max_records_per_value",
    "max_records_per_block",
    "max_records_per_entity",
    "forbid",
    "force",
    "source",
    "one_to_one",
    "across_sources",
];

/// The role of a key column in [`ModelInfo`].
const RECORD: &str = "record";
/// The section of the algorithm's bytes, and how many a row has.
const LEDGER: &str = "ledger";
const PIECE: usize = 1 << 20;

/// A model, read or made.
#[derive(Debug)]
pub struct ResolveModel {
    info: ModelInfo,
    ledger: Ledger,
    /// The columns that are compared, with their kinds.
    compared: Vec<(String, Comparison, bool)>,
    ids: Vec<IdName>,
    source: Option<String>,
    sources: Strings,
    /// The keys of the records, a column each, in the order of the ledger.
    keys: Vec<StringArray>,
}

/// What planning knows of the model of a call.
///
/// # Errors
/// [`Kind::WrongObjectType`] where it is not one of `fusion.train`.
pub fn model_info(call: &Call) -> Result<&ModelInfo> {
    let input = call.input("model")?;
    let info = input
        .model
        .as_ref()
        .filter(|info| info.algorithm == ALGORITHM);
    info.ok_or_else(|| {
        Error::new(
            Kind::WrongObjectType,
            format!("{} is not a model of fusion.train", input.label),
        )
        .hint("Make one with CREATE TABLE m AS SELECT * FROM fusion.train(...).")
    })
}

/// The columns of the key as fields.
///
/// # Errors
/// [`Kind::WrongObjectType`] for a type that is not known.
pub fn model_key_fields(info: &ModelInfo) -> Result<Vec<Field>> {
    info.keys
        .iter()
        .map(|key| {
            let data_type: DataType = key.data_type.parse().map_err(|_| {
                Error::new(
                    Kind::WrongObjectType,
                    format!("the model's key type \"{}\" is not known", key.data_type),
                )
            })?;
            Ok(Field::new(&key.name, data_type, false))
        })
        .collect()
}

/// What planning will know of a model with this key.
///
/// # Errors
/// For a column that does not exist.
pub fn info_of(input: &CallInput, key: &[String]) -> Result<ModelInfo> {
    let keys = key
        .iter()
        .map(|name| {
            let field = input.schema.field(input.column(name)?);
            Ok(ModelKey {
                role: RECORD.to_owned(),
                name: field.name().clone(),
                data_type: field.data_type().to_string(),
            })
        })
        .collect::<Result<_>>()?;
    Ok(ModelInfo {
        format_version: FORMAT_VERSION,
        algorithm: ALGORITHM.to_owned(),
        keys,
    })
}

/// Fails where the relation has not the model's key, or `key` names another one.
///
/// # Errors
/// [`Kind::UndefinedColumn`], [`Kind::DatatypeMismatch`], [`Kind::InvalidParameter`].
pub fn check_key(call: &Call, input: &CallInput, key: &[Field]) -> Result<()> {
    let model = call.input("model")?;
    if call.has("key")? {
        let given = crate::records::distinct_names(input, call, "key")?;
        if !given.iter().eq(key.iter().map(Field::name)) {
            let names: Vec<&str> = key.iter().map(|field| field.name().as_str()).collect();
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("argument \"key\" is not the key of {}", model.describe()),
            )
            .hint(format!("Its key is: {}.", names.join(", "))));
        }
    }
    for field in key {
        let position = input.column(field.name()).map_err(|error| {
            if error.kind == Kind::UndefinedColumn {
                error.detail(format!("It is the key of {}.", model.describe()))
            } else {
                error
            }
        })?;
        let given = input.schema.field(position).data_type();
        if common_type(given, field.data_type()).is_none() {
            return Err(cannot_meet(
                (&model.describe(), field.name(), field.data_type()),
                (&input.describe(), field.name(), given),
            ));
        }
    }
    Ok(())
}

/// The columns of a model table in the relation given as the model.
///
/// # Errors
/// [`Kind::WrongObjectType`] where they are not there.
pub fn model_positions(input: &CallInput) -> Result<Vec<usize>> {
    let schema = model_schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    crate::output::positions(input, names).map_err(|error| {
        Error::new(
            Kind::WrongObjectType,
            format!("{} is not a model table", input.label),
        )
        .detail(format!("A {}.", error.message))
        .hint("Make one with CREATE TABLE m AS SELECT * FROM fusion.train(...).")
    })
}

/// The rank of a record: a hash of its key.
fn rank(keys: &KeyTexts, record: u32, bytes: &mut Vec<u8>) -> u64 {
    keys.write(record, bytes);
    xxh3_64(bytes)
}

fn unfit(label: &str, what: &str) -> Error {
    Error::new(
        Kind::InvalidData,
        format!("the model in {label} is incomplete or was altered"),
    )
    .detail(what.to_owned())
    .hint("Train the model again.")
}

impl ResolveModel {
    /// Learns from the records of a call.
    ///
    /// # Errors
    /// Where there is nothing to learn from, and as [`Records::read`].
    pub fn train(call: &Call, inputs: &[Input], options: Resolve, run: &Run) -> Result<Self> {
        let described = call.input("rel")?;
        let columns = RecordColumns::of(call)?;
        let rows = Rows::of(call, inputs, "rel", &columns.key, run)?;
        let keys = KeyTexts::of(described, &columns.key, &rows.keys)?;
        let records = Records::read(&columns, &[rows], run)?;
        let options = Resolve {
            rules: records.rules.clone(),
            ..options
        };
        let mut bytes = Vec::new();
        let ranks: Vec<u64> = (0..records.records as u32)
            .map(|record| rank(&keys, record, &mut bytes))
            .collect();
        let fields = records.fields();
        let ids = id_fields(&records);
        let portion = Portion {
            ranks: &ranks,
            fields: &fields,
            ids: &ids,
            source: records.source.as_ref().map(|(codes, _)| codes.as_slice()),
        };
        let ledger = run.compute(|| Ledger::train(&options, &portion, run))?;
        Ok(Self {
            info: info_of(described, &columns.key)?,
            ledger,
            compared: records
                .compared
                .iter()
                .map(|column| (column.name.clone(), column.kind, column.personal))
                .collect(),
            ids: columns.ids.clone(),
            source: columns.source.clone(),
            sources: records.source.map_or_else(Strings::new, |(_, names)| names),
            keys: keys.columns().to_vec(),
        })
    }

    /// Reads the model of a call.
    ///
    /// # Errors
    /// For a model that is not one, is incomplete or was altered.
    pub fn read(call: &Call, inputs: &[Input], run: &Run) -> Result<Self> {
        let label = &call.input("model")?.label;
        let rows = ModelRows::read(label, input_of(call, inputs, "model")?, run)?;
        let manifest = rows.manifest();
        if manifest.info.algorithm != ALGORITHM {
            return Err(unfit(label, "It is of another algorithm."));
        }
        let width = manifest.info.keys.len();
        let sections: Vec<String> = (0..width).map(key_section).collect();
        let mut pieces: Vec<(i64, Vec<u8>)> = Vec::new();
        let mut keys: Vec<Vec<(i64, String)>> = vec![Vec::new(); width];
        rows.for_each(|_, row| {
            let at = row.idx.unwrap_or_default();
            if row.section == LEDGER {
                let piece = row.payload.unwrap_or_default();
                run.reserve(piece.len())?;
                pieces.push((at, piece.to_vec()));
            } else if let Some(column) = sections.iter().position(|name| name == row.section) {
                let key = row
                    .key
                    .ok_or_else(|| unfit(label, "A record has no key."))?;
                run.reserve(key.len() + 40)?;
                if let Some(column) = keys.get_mut(column) {
                    column.push((at, key.to_owned()));
                }
            }
            Ok(())
        })?;
        pieces.sort_unstable_by_key(|(at, _)| *at);
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        let ledger = run.compute(|| Ledger::from_bytes(&bytes, run))?;
        let keys: Vec<StringArray> = keys
            .into_iter()
            .map(|mut column| {
                column.sort_unstable_by_key(|(at, _)| *at);
                StringArray::from_iter_values(column.into_iter().map(|(_, key)| key))
            })
            .collect();
        if keys
            .iter()
            .any(|column| column.len() != ledger.entity().len())
        {
            return Err(unfit(label, "It has not a key for each record."));
        }
        let said = |what: &str| unfit(label, &format!("Its manifest does not say its {what}."));
        let parameters = &manifest.parameters;
        let list = |name: &'static str| -> Result<&Vec<Value>> {
            parameters
                .get(name)
                .and_then(Value::as_array)
                .ok_or_else(|| said(name))
        };
        let text = |value: &Value, name: &'static str| -> Result<String> {
            let text = value.get("column").and_then(Value::as_str);
            Ok(text.ok_or_else(|| said(name))?.to_owned())
        };
        let compared = list("compare")?
            .iter()
            .map(|value| {
                let kind = value.get("kind").and_then(Value::as_str);
                let kind = Comparison::of_name(kind.ok_or_else(|| said("compare"))?)?;
                let personal = value.get("personal").and_then(Value::as_bool);
                Ok((text(value, "compare")?, kind, personal.unwrap_or(false)))
            })
            .collect::<Result<Vec<_>>>()?;
        let ids = list("ids")?
            .iter()
            .map(|value| {
                let cap = value.get("max_values").and_then(Value::as_u64);
                Ok(IdName {
                    name: text(value, "ids")?,
                    cap: cap.map(|cap| cap as usize),
                    links: value.get("links").and_then(Value::as_bool).unwrap_or(true),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut sources = Strings::new();
        for source in list("sources")? {
            let source = source.as_str().ok_or_else(|| said("sources"))?;
            sources.intern(source.as_bytes(), run)?;
        }
        Ok(Self {
            info: manifest.info.clone(),
            ledger,
            compared,
            ids,
            source: parameters
                .get("source")
                .and_then(Value::as_str)
                .map(str::to_owned),
            sources,
            keys,
        })
    }

    /// What planning will know of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Takes the records of `rel` in that the model does not know. Returns the records of `rel` and those
    /// whose link changed, ascending, by their numbers in the ledger.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub fn take(&mut self, call: &Call, inputs: &[Input], run: &Run) -> Result<Vec<u32>> {
        let described = call.input("rel")?;
        let names: Vec<String> = self.info.keys.iter().map(|key| key.name.clone()).collect();
        let columns = RecordColumns {
            key: names.clone(),
            ids: self.ids.clone(),
            compare: Some(
                self.compared
                    .iter()
                    .map(|(name, kind, _)| (name.clone(), Some(*kind)))
                    .collect(),
            ),
            block_on: None,
            source: self.source.clone(),
        };
        for name in self
            .compared
            .iter()
            .map(|(name, ..)| name)
            .chain(self.ids.iter().map(|id| &id.name))
            .chain(&self.source)
        {
            described.column(name).map_err(|error| {
                error.detail(format!(
                    "The model of argument \"model\" was trained with column \"{name}\"."
                ))
            })?;
        }
        let rows = Rows::of(call, inputs, "rel", &names, run)?;
        let keys = KeyTexts::of(described, &names, &rows.keys)?;
        let known = KeyTexts::from_texts(self.keys.clone());
        let index = known.index(run)?;
        let places = keys.find_in(&index);
        let mut answered: Vec<u32> = places.iter().flatten().copied().collect();
        let fresh: Vec<u32> = (0..)
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(record, _)| record)
            .collect();
        if !fresh.is_empty() {
            let records = Records::read(&columns, &[rows], run)?;
            let changed = self.insert(&records, &keys, &fresh, run)?;
            answered.extend(changed);
        }
        answered.sort_unstable();
        answered.dedup();
        Ok(answered)
    }

    /// Adds the records `fresh` of those that were read.
    fn insert(
        &mut self,
        records: &Records,
        keys: &KeyTexts,
        fresh: &[u32],
        run: &Run,
    ) -> Result<Vec<u32>> {
        let chosen = |codes: &[u32]| -> Vec<u32> {
            fresh
                .iter()
                .filter_map(|record| codes.get(*record as usize).copied())
                .collect()
        };
        run.reserve(fresh.len().saturating_mul(
            4 * (records.compared.len() + records.ids.len()) + 64 * (1 + keys.columns().len()),
        ))?;
        let mut bytes = Vec::new();
        let ranks: Vec<u64> = fresh
            .iter()
            .map(|record| rank(keys, *record, &mut bytes))
            .collect();
        let field_codes: Vec<Vec<u32>> = records
            .compared
            .iter()
            .map(|column| chosen(&column.codes))
            .collect();
        let id_codes: Vec<Vec<u32>> = records
            .ids
            .iter()
            .map(|column| chosen(&column.codes))
            .collect();
        let fields: Vec<Compared<'_>> = records
            .fields()
            .into_iter()
            .zip(&field_codes)
            .map(|(field, codes)| Compared { codes, ..field })
            .collect();
        let ids: Vec<IdField<'_>> = id_fields(records)
            .into_iter()
            .zip(&id_codes)
            .map(|(id, codes)| IdField { codes, ..id })
            .collect();
        let source = match &records.source {
            None => None,
            Some((codes, names)) => {
                let numbers = (0..names.len() as u32)
                    .map(|code| {
                        Ok(self
                            .sources
                            .intern(names.get(code).unwrap_or_default(), run)?)
                    })
                    .collect::<Result<Vec<u32>>>()?;
                let number = |code: u32| numbers.get(code as usize).copied().unwrap_or(0);
                Some(chosen(codes).into_iter().map(number).collect::<Vec<u32>>())
            }
        };
        let portion = Portion {
            ranks: &ranks,
            fields: &fields,
            ids: &ids,
            source: source.as_deref(),
        };
        let ledger = &mut self.ledger;
        let changed = run.compute(|| ledger.insert(&portion, run))?;
        let rows = UInt32Array::from(fresh.to_vec());
        for (held, column) in self.keys.iter_mut().zip(keys.columns()) {
            let more = take(column, &rows, None)?;
            let all = arrow::compute::concat(&[held as &dyn Array, more.as_ref()])?;
            if let Some(all) = all.as_any().downcast_ref::<StringArray>() {
                *held = all.clone();
            }
        }
        Ok(changed)
    }

    /// Answers `fusion.resolve` with `model`.
    ///
    /// # Errors
    /// As [`ResolveModel::read`] and [`ResolveModel::take`].
    pub fn answer(call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let mut model = Self::read(call, inputs, run)?;
        let before = model.ledger.entity().to_vec();
        let links_before = model.ledger.links().to_vec();
        let answered = model.take(call, inputs, run)?;
        let names: Vec<String> = model.info.keys.iter().map(|key| key.name.clone()).collect();
        let keys = KeyTexts::from_texts(model.keys.clone());
        let entity = model.ledger.entity();
        let previous = match Previous::read(call, inputs, &names, &keys.index(run)?, run)? {
            Some(previous) => previous,
            None => named_before(&before, &keys, run)?,
        };
        let unified = named(entity, &keys, Some(&previous), run)?;
        let mut sizes = vec![0_i64; entity.len()];
        for root in entity {
            if let Some(size) = sizes.get_mut(*root as usize) {
                *size += 1;
            }
        }
        // Beside the given records, those whose id or whose link is another now.
        let mut wanted: HashSet<u32> = answered.into_iter().collect();
        let link_of = |links: &[Option<tributary_algo::fusion::resolve::Edge>], at: usize| {
            let edge = links.get(at).copied().flatten();
            edge.map(|edge| (edge.left, edge.right, edge.basis))
        };
        for record in 0..before.len() {
            let id_before = previous.id(record);
            let moved = id_before.is_some_and(|id| id != unified.value(record));
            if moved || link_of(&links_before, record) != link_of(model.ledger.links(), record) {
                wanted.insert(record as u32);
            }
        }
        let mut wanted: Vec<u32> = wanted.into_iter().collect();
        wanted.sort_unstable();

        let fields = model_key_fields(&model.info)?;
        let compared: Vec<&str> = model
            .compared
            .iter()
            .map(|(name, ..)| name.as_str())
            .collect();
        let rules = rule_texts(&compared, model.ledger.rules());
        let rows = UInt32Array::from(wanted.clone());
        let mut other = Vec::with_capacity(wanted.len());
        let (mut scores, mut match_keys, mut reasons) = (
            Vec::with_capacity(wanted.len()),
            StringBuilder::new(),
            StringBuilder::new(),
        );
        for record in &wanted {
            let edge = model
                .ledger
                .links()
                .get(*record as usize)
                .copied()
                .flatten();
            other.push(edge.map(|edge| edge.left ^ edge.right ^ *record));
            scores.push(edge.as_ref().map(score));
            let Some(edge) = edge else {
                match_keys.append_null();
                reasons.append_null();
                continue;
            };
            match edge.basis {
                Basis::Id(id) => {
                    match_keys.append_option(model.ids.get(id as usize).map(|id| id.name.as_str()));
                    reasons.append_value("identifier");
                }
                Basis::Compared(rule) => {
                    match_keys.append_option(rules.get(rule as usize));
                    reasons.append_value("comparison");
                }
                Basis::Forced => {
                    match_keys.append_value("force");
                    reasons.append_value("decision");
                }
            }
        }
        let other = UInt32Array::from(other);
        let key_columns = |rows: &UInt32Array| -> Result<Vec<ArrayRef>> {
            model
                .keys
                .iter()
                .zip(&fields)
                .map(|(column, field)| Ok(cast(&take(column, rows, None)?, field.data_type())?))
                .collect()
        };
        let mut result = key_columns(&rows)?;
        result.push(take(&unified, &rows, None)?);
        result.push(Arc::new(Float64Array::from(scores)));
        result.push(Arc::new(match_keys.finish()));
        result.extend(key_columns(&other)?);
        result.push(Arc::new(reasons.finish()));
        result.push(Arc::new(Int64Array::from_iter_values(wanted.iter().map(
            |record| {
                let root = entity.get(*record as usize).copied().unwrap_or_default();
                sizes.get(root as usize).copied().unwrap_or(1)
            },
        ))));
        result.push(Arc::new(BooleanArray::new_null(wanted.len())));
        run.emit_columns(result)
    }

    /// Writes the model as the rows of a model table.
    ///
    /// # Errors
    /// For memory that the limit forbids.
    pub fn write(&self, run: &Run) -> Result<()> {
        let bytes = run.compute(|| self.ledger.to_bytes(run))?;
        run.reserve(bytes.len())?;
        let options = self.ledger.options();
        let model = self.ledger.model();
        let compared: Vec<&str> = self
            .compared
            .iter()
            .map(|(name, ..)| name.as_str())
            .collect();
        let rules = rule_texts(&compared, self.ledger.rules());
        let source_names: Vec<String> = (0..self.sources.len() as u32)
            .map(|code| {
                String::from_utf8_lossy(self.sources.get(code).unwrap_or_default()).into_owned()
            })
            .collect();
        let mut parameters = Map::new();
        let mut put = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
        put(
            "compare",
            self.compared
                .iter()
                .map(|(name, kind, personal)| {
                    json!({"column": name, "kind": kind.name(), "personal": personal})
                })
                .collect(),
        );
        put(
            "ids",
            self.ids
                .iter()
                .map(|id| json!({"column": id.name, "max_values": id.cap, "links": id.links}))
                .collect(),
        );
        put("block_on", json!(rules.join("; ")));
        put("source", json!(self.source));
        put("sources", json!(source_names));
        put("threshold", json!(options.threshold));
        put(
            "max_records_per_value",
            json!(options.max_records_per_value),
        );
        put(
            "max_records_per_block",
            json!(options.max_records_per_block),
        );
        put(
            "max_records_per_entity",
            json!(options.max_records_per_entity),
        );
        put("one_to_one", json!(options.one_to_one));
        put("across_sources", json!(options.across_sources));
        put("seed", json!(options.seed));
        let entity = self.ledger.entity();
        let entities: HashSet<&u32> = entity.iter().collect();
        let mut training = Map::new();
        training.insert("records".to_owned(), json!(entity.len()));
        training.insert("entities".to_owned(), json!(entities.len()));
        let mut metrics = Map::new();
        metrics.insert("iterations".to_owned(), json!(model.iterations));
        metrics.insert("lambda".to_owned(), json!(model.lambda));
        metrics.insert("lambda_related".to_owned(), json!(model.lambda_related));
        let manifest = Manifest {
            checksum: String::new(),
            info: self.info.clone(),
            rows: 0,
            parameters,
            training,
            metrics,
        };
        write_model(run, manifest, |visit| {
            let mut idx = 0;
            for (column, name) in model.columns.iter().zip(&compared) {
                for (level, words) in column.kind.levels().iter().enumerate() {
                    let of = |list: &[f64]| list.get(level).copied().unwrap_or_default();
                    let (m, related, u) = (of(&column.m), of(&column.related), of(&column.u));
                    let vector = [m as f32, related as f32, u as f32];
                    visit(ModelRow {
                        section: "probability",
                        idx: Some(idx),
                        key: Some(&format!("{name}: {words}")),
                        value: Some((m / u).log2()),
                        vector: Some(&vector),
                        payload: None,
                    })?;
                    idx += 1;
                }
            }
            for (at, column) in self.keys.iter().enumerate() {
                let section = key_section(at);
                for (record, key) in column.iter().enumerate() {
                    visit(ModelRow {
                        section: &section,
                        idx: Some(record as i64),
                        key,
                        value: entity.get(record).map(|root| f64::from(*root)),
                        ..ModelRow::default()
                    })?;
                }
            }
            for (at, piece) in bytes.chunks(PIECE).enumerate() {
                visit(ModelRow {
                    section: LEDGER,
                    idx: Some(at as i64),
                    payload: Some(piece),
                    ..ModelRow::default()
                })?;
            }
            Ok(())
        })
    }
}

fn key_section(column: usize) -> String {
    match column {
        0 => "key".to_owned(),
        _ => format!("key_{}", column + 1),
    }
}

fn id_fields(records: &Records) -> Vec<IdField<'_>> {
    records
        .ids
        .iter()
        .map(|column| IdField {
            codes: &column.codes,
            values: &column.values,
            max_values: column.id.cap,
            links: column.id.links,
        })
        .collect()
}

/// The ids that the model's records have where no earlier links are given.
fn named_before(entity: &[u32], keys: &KeyTexts, run: &Run) -> Result<Previous> {
    let mut ids = Strings::new();
    let mut bytes = Vec::new();
    let mut of_record = Vec::with_capacity(keys.len());
    for root in entity {
        let id = keys.unified_id(*root, 0, &mut bytes);
        of_record.push(Some(ids.intern(id.as_bytes(), run)?));
    }
    of_record.resize(keys.len(), None);
    Ok(Previous::new(ids, of_record))
}
