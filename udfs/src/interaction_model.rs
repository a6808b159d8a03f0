//! A model of users and items, read from its table: keys, weights, factors and what each user has
//! seen already.
//!
//! Rows stay where they were read; what is looked up by user or item is found by its place, so that
//! recommending to a few users of a large model touches few of its vectors.

use arrow::array::{ArrayRef, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use ndarray::Array2;
use tributary_algo::Csr;
use tributary_algo::fusion::intern::Strings;
use tributary_algo::recommend::item_graph::{Filter, Graph, ItemModel};

use crate::error::{Error, Result};
use crate::functions::{ITEM, USER};
use crate::input::Input;
use crate::model::{ModelRow, ModelRows, RowPlace, malformed, section_rows};
use crate::run::Run;
use crate::types::sql_type;

/// A model of users and items.
#[derive(Debug)]
pub struct InteractionModel {
    rows: ModelRows,
    label: String,
    users: Section,
    items: Section,
    /// Items x factors; `None` where the model has no factors.
    item_factors: Option<Array2<f32>>,
    /// The sum of the weights of each item.
    item_weights: Vec<f64>,
    /// What items add to each other, where the model scores by histories.
    graph: Option<ItemModel>,
    /// What is added to every product of factors.
    mean: f64,
}

/// The sections of what items add to each other: the graph itself and the two sides of a filter.
pub const GRAPH: [&str; 3] = ["graph", "filter_from", "filter_to"];

/// The section of single numbers.
pub const PARAMETER: &str = "parameter";

/// The users or the items of a model.
#[derive(Debug)]
pub struct Section {
    /// Where each row is, by its idx.
    places: Vec<RowPlace>,
    /// The keys, numbered as they were met.
    numbers: Strings,
    /// The idx of each number.
    indices: Vec<u32>,
}

impl Section {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The idx of the key, if the model has it.
    pub fn find(&self, key: &str) -> Option<u32> {
        let number = self.numbers.find(key.as_bytes())?;
        self.indices.get(number as usize).copied()
    }
}

impl InteractionModel {
    /// Reads a model table; `label` names it in error texts.
    ///
    /// # Errors
    /// As [`ModelRows::read`]; [`Kind::InvalidData`] where users or items are not as `ml.train`
    /// writes them.
    pub fn read(label: &str, input: &Input, run: &Run) -> Result<Self> {
        let rows = ModelRows::read(label, input, run)?;
        let users = section(label, &rows, USER, run)?;
        let items = section(label, &rows, ITEM, run)?;
        let mut model = Self {
            label: label.to_owned(),
            item_factors: None,
            item_weights: Vec::with_capacity(items.len()),
            graph: graph(label, &rows, items.len(), run)?,
            mean: mean(label, &rows)?,
            rows,
            users,
            items,
        };
        for place in &model.items.places {
            let weight = model.rows.row(*place)?.value;
            model
                .item_weights
                .push(weight.ok_or_else(|| malformed(label, "An item has no weight.".to_owned()))?);
        }
        let width = match model.items.places.first() {
            Some(first) => model.rows.row(*first)?.vector.map(<[f32]>::len),
            None => None,
        };
        if let Some(width) = width {
            run.reserve(model.items.len().saturating_mul(width * 4))?;
            let all: Vec<u32> = (0..model.items.len() as u32).collect();
            model.item_factors = Some(model.vectors(&model.items, &all, width)?);
        }
        Ok(model)
    }

    /// The facts of the model.
    pub fn manifest(&self) -> &crate::model::Manifest {
        self.rows.manifest()
    }

    /// The users.
    pub fn users(&self) -> &Section {
        &self.users
    }

    /// The items.
    pub fn items(&self) -> &Section {
        &self.items
    }

    /// Items x factors; `None` where the model has no factors.
    pub fn item_factors(&self) -> Option<&Array2<f32>> {
        self.item_factors.as_ref()
    }

    /// What items add to each other; `None` where the model does not score by histories.
    pub fn graph(&self) -> Option<&ItemModel> {
        self.graph.as_ref()
    }

    /// What is added to every product of factors.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sum of the weights of each item.
    pub fn item_weights(&self) -> &[f64] {
        &self.item_weights
    }

    /// The factors of the users with the given indices: rows x factors.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] where a vector is missing or of another length than those of the items.
    pub fn user_factors(&self, users: &[u32]) -> Result<Array2<f32>> {
        let width = self.item_factors.as_ref().map_or(0, Array2::ncols);
        self.vectors(&self.users, users, width)
    }

    /// The items that a user interacted with in training, ascending.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] where they are not items of the model.
    pub fn seen(&self, user: u32) -> Result<Vec<u32>> {
        let payload = self.row(&self.users, user)?.payload.unwrap_or_default();
        let (items, rest) = payload.as_chunks::<4>();
        let items: Vec<u32> = items.iter().map(|item| u32::from_le_bytes(*item)).collect();
        let known = items.iter().all(|item| (*item as usize) < self.items.len());
        if rest.is_empty() && known {
            Ok(items)
        } else {
            Err(malformed(
                &self.label,
                "The interactions of a user are not items of the model.".to_owned(),
            ))
        }
    }

    /// The items that a user interacted with in training, ascending, and what each counts; only where the model scores by histories.
    ///
    /// # Errors
    /// As [`InteractionModel::seen`].
    pub fn history(&self, user: u32) -> Result<(Vec<u32>, Vec<f32>)> {
        let items = self.seen(user)?;
        let weights = self.row(&self.users, user)?.vector.unwrap_or_default();
        if weights.len() != items.len() {
            return Err(malformed(
                &self.label,
                "The weights of a user are not one for each interaction.".to_owned(),
            ));
        }
        Ok((items, weights.to_vec()))
    }

    /// The keys of a section in the order of their idx, in the type they were trained with.
    pub fn keys(&self, section: &Section, data_type: &DataType, run: &Run) -> Result<ArrayRef> {
        let mut text = StringBuilder::new();
        let mut bytes = 0_usize;
        for place in &section.places {
            let key = self.rows.row(*place)?.key.unwrap_or_default();
            bytes += key.len() + 4;
            text.append_value(key);
        }
        run.reserve(bytes)?;
        let text: StringArray = text.finish();
        cast(&text, data_type)
            .ok()
            .filter(|keys| keys.logical_null_count() == 0)
            .ok_or_else(|| {
                malformed(
                    &self.label,
                    format!(
                        "A key cannot be read as a value of type {}.",
                        sql_type(data_type)
                    ),
                )
            })
    }

    fn vectors(&self, section: &Section, indices: &[u32], width: usize) -> Result<Array2<f32>> {
        let mut values = Vec::with_capacity(indices.len().saturating_mul(width));
        for index in indices {
            let vector = self.row(section, *index)?.vector.unwrap_or_default();
            if vector.len() != width {
                return Err(malformed(
                    &self.label,
                    format!("A vector has {} factors, others {width}.", vector.len()),
                ));
            }
            values.extend_from_slice(vector);
        }
        Array2::from_shape_vec((indices.len(), width), values)
            .map_err(|_| Error::internal("a vector for each index"))
    }

    fn row(&self, section: &Section, index: u32) -> Result<ModelRow<'_>> {
        let place = section
            .places
            .get(index as usize)
            .ok_or_else(|| Error::internal("an index is below the size of its section"))?;
        self.rows.row(*place)
    }
}

/// The mean of a model of ratings, 0 for others.
fn mean(label: &str, rows: &ModelRows) -> Result<f64> {
    let parameters = section_rows(label, rows, PARAMETER)?;
    let mean = parameters.iter().find(|row| row.key == Some("mean"));
    Ok(mean.and_then(|row| row.value).unwrap_or(0.0))
}

/// What items add to each other, where the model has that.
fn graph(label: &str, rows: &ModelRows, items: usize, run: &Run) -> Result<Option<ItemModel>> {
    let [graph, from, to] = GRAPH;
    let entries = section_rows(label, rows, graph)?;
    if entries.is_empty() {
        return Ok(None);
    }
    let broken = || {
        malformed(
            label,
            "Its item weights are not one row an item.".to_owned(),
        )
    };
    if entries.len() != items {
        return Err(broken());
    }
    let cells: usize = entries
        .iter()
        .map(|row| row.vector.map_or(0, <[f32]>::len))
        .sum();
    let dense = entries.iter().all(|row| row.payload.is_none());
    run.reserve(cells.saturating_mul(4))?;
    let graph = if dense {
        let values: Vec<f32> = entries
            .iter()
            .flat_map(|row| row.vector.unwrap_or_default())
            .copied()
            .collect();
        Graph::Dense(Array2::from_shape_vec((items, items), values).map_err(|_| broken())?)
    } else {
        let mut starts = vec![0];
        let (mut indices, mut values) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
        run.reserve(cells.saturating_mul(4))?;
        for row in &entries {
            let (columns, rest) = row.payload.unwrap_or_default().as_chunks::<4>();
            let weights = row.vector.unwrap_or_default();
            if !rest.is_empty() || columns.len() != weights.len() {
                return Err(broken());
            }
            indices.extend(columns.iter().map(|column| u32::from_le_bytes(*column)));
            values.extend_from_slice(weights);
            starts.push(indices.len());
        }
        Graph::Sparse(Csr::from_rows(items, starts, indices, values, run)?)
    };
    let side = |name: &str| -> Result<Option<Array2<f32>>> {
        let entries = section_rows(label, rows, name)?;
        let Some(width) = entries.first().and_then(|row| row.vector).map(<[f32]>::len) else {
            return Ok(None);
        };
        run.reserve(items.saturating_mul(width * 4))?;
        let values: Vec<f32> = entries
            .iter()
            .flat_map(|row| row.vector.unwrap_or_default())
            .copied()
            .collect();
        Array2::from_shape_vec((items, width), values)
            .map(Some)
            .map_err(|_| broken())
    };
    let filter = match (side(from)?, side(to)?) {
        (Some(from), Some(to)) => Some(Filter { from, to }),
        (None, None) => None,
        _ => return Err(broken()),
    };
    Ok(Some(run.compute(|| ItemModel::new(graph, filter))?))
}

/// Finds the rows of a section and checks that they are numbered from 0 without gaps.
fn section(label: &str, rows: &ModelRows, name: &str, run: &Run) -> Result<Section> {
    let mut places: Vec<Option<RowPlace>> = Vec::new();
    let mut numbers = Strings::new();
    let mut indices = Vec::new();
    rows.for_each(|place, row| {
        if row.section != name {
            return Ok(());
        }
        let (Some(key), Some(index)) = (row.key, row.idx.and_then(|idx| u32::try_from(idx).ok()))
        else {
            return Err(malformed(label, format!("A {name} has no key or no idx.")));
        };
        let at = index as usize;
        if at as u64 >= rows.manifest().rows {
            return Err(malformed(label, format!("A {name} has idx {index}.")));
        }
        if places.len() <= at {
            let more = at + 1 - places.len();
            run.reserve(more.saturating_mul(size_of::<Option<RowPlace>>()))?;
            places.resize(at + 1, None);
        }
        let number = numbers.intern(key.as_bytes(), run)?;
        let slot = places.get_mut(at);
        if number as usize != indices.len() || slot.as_ref().is_none_or(|slot| slot.is_some()) {
            return Err(malformed(
                label,
                format!("A {name}'s key or idx occurs twice."),
            ));
        }
        if let Some(slot) = slot {
            *slot = Some(place);
        }
        indices.push(index);
        Ok(())
    })?;
    let places = places
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| malformed(label, format!("A {name}'s idx is missing.")))?;
    Ok(Section {
        places,
        numbers,
        indices,
    })
}
