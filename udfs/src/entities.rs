//! Names of entities: text made from the key of their first record, kept over runs.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::stable::stable_ids;

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{Default, Parameter, ParameterType};
use crate::input::{Input, optional_input_of};
use crate::keys::{counterpart, meeting_type};
use crate::records::KeyTexts;
use crate::run::Run;

/// The column that names an entity.
pub const UNIFIED_ID: &str = "unified_id";

/// Earlier links.
pub const PREVIOUS: Parameter = Parameter::new(
    "previous",
    ParameterType::Relation,
    Default::Null,
    "Links of an earlier run, with the columns of the key and unified_id: an entity keeps the id that \
     most of its records had, of equally many that of the smallest key. Further columns are not read.",
);

/// The ids that records had before.
#[derive(Debug)]
pub struct Previous {
    /// The ids, the oldest first, which is the one whose records have the smallest key.
    ids: Strings,
    /// By record now.
    of_record: Vec<Option<u32>>,
}

impl Previous {
    /// Ids in the order of their age, and that of each record.
    pub fn new(ids: Strings, of_record: Vec<Option<u32>>) -> Self {
        Self { ids, of_record }
    }

    /// The id that a record had.
    pub fn id(&self, record: usize) -> Option<&str> {
        let number = self.of_record.get(record).copied().flatten()?;
        std::str::from_utf8(self.ids.get(number)?).ok()
    }

    /// Reads the argument `previous`, if it is given, for the records of `index`.
    ///
    /// # Errors
    /// For keys and ids that are NULL, and keys that occur twice.
    pub fn read(
        call: &Call,
        inputs: &[Input],
        key: &[String],
        index: &Strings,
        run: &Run,
    ) -> Result<Option<Self>> {
        let (Some(described), Some(rows)) = (
            call.optional_input("previous")?,
            optional_input_of(call, inputs, "previous")?,
        ) else {
            return Ok(None);
        };
        let links = Links::read(described, rows, key, run)?;
        run.reserve(index.len().saturating_mul(8))?;
        let mut of_record = vec![None; index.len()];
        for (place, id) in links.keys.find_in(index).into_iter().zip(&links.codes) {
            if let Some(slot) = place.and_then(|place| of_record.get_mut(place as usize)) {
                *slot = Some(*id);
            }
        }
        Ok(Some(Self {
            ids: links.ids,
            of_record,
        }))
    }
}

/// A relation of links: keys in ascending order, and the entity of each.
#[derive(Debug)]
pub struct Links {
    /// The keys as text.
    pub keys: KeyTexts,
    /// The distinct ids, in the order of the smallest keys that have them.
    pub ids: Strings,
    /// The number of the id of each key.
    pub codes: Vec<u32>,
}

impl Links {
    /// Reads links.
    ///
    /// # Errors
    /// For keys and ids that are NULL, and keys that occur twice.
    pub fn read(described: &CallInput, rows: &Input, key: &[String], run: &Run) -> Result<Self> {
        let names = key
            .iter()
            .map(|name| {
                Ok(described
                    .schema
                    .field(described.column(name)?)
                    .name()
                    .clone())
            })
            .collect::<Result<Vec<_>>>()?;
        let keys = rows.unique_keys(described, &names, run)?;
        let ids = unified_ids(described, rows)?;
        run.reserve(keys.codes.len().saturating_mul(8))?;
        let mut of_key = vec![0_u32; keys.len()];
        for (row, code) in keys.codes.iter().enumerate() {
            if let Some(slot) = of_key.get_mut(*code as usize) {
                *slot = row as u32;
            }
        }
        let mut numbers = Strings::new();
        let codes = of_key
            .iter()
            .map(|row| Ok(numbers.intern(ids.value(*row as usize).as_bytes(), run)?))
            .collect::<Result<Vec<u32>>>()?;
        Ok(Self {
            keys: KeyTexts::of(described, &names, &keys.values)?,
            ids: numbers,
            codes,
        })
    }
}

/// The column `unified_id` as text, none of it NULL.
fn unified_ids(described: &CallInput, rows: &Input) -> Result<StringArray> {
    let position = described.column(UNIFIED_ID)?;
    let column = rows.column(described.schema.field(position).name())?;
    if column.logical_null_count() > 0 {
        return Err(Error::new(
            Kind::NullNotAllowed,
            format!(
                "column \"{UNIFIED_ID}\" of {} holds NULL",
                described.describe()
            ),
        )
        .hint("Leave such rows out: a record without an id is a new one."));
    }
    Ok(cast(&column, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// The positions of the key and of `unified_id` in a relation of links over the records of `rel`.
///
/// # Errors
/// [`Kind::UndefinedColumn`] and [`Kind::DatatypeMismatch`], naming both relations.
pub fn link_positions(rel: &CallInput, key: &[String], input: &CallInput) -> Result<Vec<usize>> {
    let mut positions = Vec::with_capacity(key.len() + 1);
    for name in key {
        meeting_type(rel, name, input, name)?;
        positions.push(counterpart(rel, name, input, name)?);
    }
    positions.push(id_position(input)?);
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// The position of `unified_id`, which is text.
///
/// # Errors
/// [`Kind::UndefinedColumn`] and [`Kind::DatatypeMismatch`].
pub fn id_position(input: &CallInput) -> Result<usize> {
    let position = input.column(UNIFIED_ID)?;
    let data_type = input.schema.field(position).data_type();
    if crate::call::is_text(data_type) {
        return Ok(position);
    }
    Err(Error::new(
        Kind::DatatypeMismatch,
        format!(
            "column \"{UNIFIED_ID}\" of {} is not text",
            input.describe()
        ),
    )
    .hint("Cast it to text in the subquery."))
}

/// The name of each record's entity; `entity` holds for each record the one by which its entity is named.
///
/// # Errors
/// For memory that the limit forbids.
pub fn named(
    entity: &[u32],
    keys: &KeyTexts,
    previous: Option<&Previous>,
    run: &Run,
) -> Result<StringArray> {
    run.reserve(entity.len().saturating_mul(36))?;
    let mut unified = StringBuilder::with_capacity(entity.len(), entity.len().saturating_mul(32));
    let mut bytes = Vec::new();
    let Some(previous) = previous else {
        for record in entity {
            unified.append_value(keys.unified_id(*record, 0, &mut bytes));
        }
        return Ok(unified.finish());
    };
    let old = previous.ids.len() as u32;
    let stable = run.compute(|| stable_ids(entity, &previous.of_record, old, run))?;
    // An id that somebody had is not given to somebody else.
    let mut fresh: std::collections::HashMap<u64, String> = std::collections::HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    for id in &stable.entity {
        match id.checked_sub(u64::from(old)) {
            None => unified.append_value(
                previous
                    .ids
                    .get(*id as u32)
                    .and_then(|id| std::str::from_utf8(id).ok())
                    .unwrap_or_default(),
            ),
            Some(record) => {
                let name = fresh.entry(record).or_insert_with(|| {
                    let is_free = |name: &String| {
                        previous.ids.find(name.as_bytes()).is_none() && !taken.contains(name)
                    };
                    let name = (0..)
                        .map(|attempt| keys.unified_id(record as u32, attempt, &mut bytes))
                        .find(is_free)
                        .unwrap_or_default();
                    taken.insert(name.clone());
                    name
                });
                unified.append_value(name);
            }
        }
    }
    Ok(unified.finish())
}
