//! Models of rows with features: clusters, mixtures and components, kept in a model table with what was done to the features first, so that further
//! rows are treated alike.
//!
//! What is computed with is kept in double precision as payload; the vectors of the table are the same in single precision, in the units of the
//! input where that is possible, to be looked at.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array};
use arrow::datatypes::{DataType, Field};
use ndarray::{Array2, ArrayView1};
use serde_json::{Map, Value, json};
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{DensityModel, Mixture, Scale, nearest_centroids};
use tributary_algo::factorization::PcaModel;

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::features::{Features, Treatment, label_array};
use crate::functions::{component_columns, component_fields, to_unit_length};
use crate::input::Input;
use crate::interaction_model::PARAMETER;
use crate::model::{
    FORMAT_VERSION, Manifest, ModelInfo, ModelKey, ModelRow, ModelRows, malformed, numbers_of,
    payload_of, section_rows, write_model,
};
use crate::run::Run;

/// The section of a model with a row for each feature, and the role of its key.
pub const FEATURE: &str = "feature";

/// The algorithms that learn from features.
pub const FEATURE_ALGORITHMS: [&str; 5] = ["kmeans", "gmm", "dbscan", "pca", "svd"];

/// What was learned.
#[derive(Debug)]
pub enum Learned {
    /// Centroids, and the rows of each.
    Centroids(Array2<f64>, Vec<u64>),
    /// A mixture of normal distributions.
    Mixture(Mixture),
    /// Cores of clusters; by the angle between rows where that is said.
    Cores(DensityModel, bool),
    /// Directions.
    Components(PcaModel),
}

/// What planning will know of a model of features.
///
/// # Errors
/// For features that are not in the input.
pub fn feature_info(
    algorithm: &str,
    input: &CallInput,
    features: &Features,
    components: Option<usize>,
) -> Result<ModelInfo> {
    let keys = features.names.iter().map(|name| {
        let field = input.schema.field(input.column(name)?);
        Ok(ModelKey {
            role: FEATURE.to_owned(),
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
    });
    Ok(ModelInfo {
        format_version: FORMAT_VERSION,
        algorithm: algorithm.to_owned(),
        keys: keys.collect::<Result<_>>()?,
        components: components.map(|count| count as u32),
    })
}

/// Writes a model of features.
///
/// # Errors
/// [`Kind::Cancelled`].
pub fn write_feature_model(
    run: &Run,
    info: ModelInfo,
    parameters: Map<String, Value>,
    rows: usize,
    treatments: &[Treatment],
    (learned, metrics): (&Learned, Map<String, Value>),
) -> Result<()> {
    let names: Vec<String> = info.keys.iter().map(|key| key.name.clone()).collect();
    let mut training = Map::new();
    training.insert("rows".to_owned(), json!(rows));
    training.insert("features".to_owned(), json!(names));
    let manifest = Manifest {
        checksum: String::new(),
        info,
        rows: 0,
        parameters,
        training,
        metrics,
    };
    write_model(run, manifest, |visit| {
        for ((at, name), treatment) in names.iter().enumerate().zip(treatments) {
            let Scale { offset, unit } = treatment.scale;
            visit(ModelRow {
                section: FEATURE,
                idx: Some(at as i64),
                key: Some(name),
                value: treatment.fill,
                payload: Some(&payload_of(&[offset, unit])),
                ..ModelRow::default()
            })?;
        }
        match learned {
            Learned::Centroids(centroids, sizes) => {
                for ((at, centroid), size) in centroids.outer_iter().enumerate().zip(sizes) {
                    visit(ModelRow {
                        section: "cluster",
                        idx: Some(at as i64),
                        value: Some(*size as f64),
                        vector: Some(&in_units(centroid, treatments)),
                        payload: Some(&payload_of(&centroid.to_vec())),
                        ..ModelRow::default()
                    })?;
                }
            }
            Learned::Mixture(mixture) => {
                for (at, ((mean, covariance), weight)) in mixture
                    .means
                    .outer_iter()
                    .zip(&mixture.covariances)
                    .zip(&mixture.weights)
                    .enumerate()
                {
                    let numbers: Vec<f64> = mean.iter().chain(covariance).copied().collect();
                    visit(ModelRow {
                        section: "component",
                        idx: Some(at as i64),
                        value: Some(*weight),
                        vector: Some(&in_units(mean, treatments)),
                        payload: Some(&payload_of(&numbers)),
                        ..ModelRow::default()
                    })?;
                }
            }
            Learned::Cores(model, cosine) => {
                for (at, (key, value)) in
                    [("eps", model.eps), ("cosine", f64::from(u8::from(*cosine)))]
                        .into_iter()
                        .enumerate()
                {
                    visit(ModelRow {
                        section: PARAMETER,
                        idx: Some(at as i64),
                        key: Some(key),
                        value: Some(value),
                        ..ModelRow::default()
                    })?;
                }
                for ((at, core), label) in model.cores.outer_iter().enumerate().zip(&model.labels) {
                    visit(ModelRow {
                        section: "core",
                        idx: Some(at as i64),
                        value: Some(f64::from(*label)),
                        payload: Some(&payload_of(&core.to_vec())),
                        ..ModelRow::default()
                    })?;
                }
            }
            Learned::Components(model) => {
                visit(ModelRow {
                    section: "mean",
                    idx: Some(0),
                    payload: Some(&payload_of(&model.means)),
                    ..ModelRow::default()
                })?;
                for ((at, component), sigma) in
                    model.components.outer_iter().enumerate().zip(&model.sigma)
                {
                    let vector: Vec<f32> = component.iter().map(|value| *value as f32).collect();
                    visit(ModelRow {
                        section: "component",
                        idx: Some(at as i64),
                        value: Some(*sigma),
                        vector: Some(&vector),
                        payload: Some(&payload_of(&component.to_vec())),
                        ..ModelRow::default()
                    })?;
                }
            }
        }
        Ok(())
    })
}

/// A place among the features in the units of the input.
fn in_units(place: ArrayView1<'_, f64>, treatments: &[Treatment]) -> Vec<f32> {
    place
        .iter()
        .zip(treatments)
        .map(|(value, treatment)| treatment.scale.invert(*value) as f32)
        .collect()
}

/// The columns that a model of features adds to the rows it is asked about; the first is called `output` where that is given.
///
/// # Errors
/// [`Kind::InvalidParameter`] for `output` with a model of components.
pub fn predicted_fields(info: &ModelInfo, output: Option<String>) -> Result<Vec<Field>> {
    if let Some(components) = info.components {
        if output.is_some() {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!(
                    "argument \"output\" of ml.predict has no meaning for a model of kind \"{}\"",
                    info.algorithm
                ),
            )
            .hint("Rename its columns with AS."));
        }
        let prefix = if info.algorithm == "pca" { "pc" } else { "svd" };
        return Ok(component_fields(prefix, components as usize));
    }
    let label = output.unwrap_or_else(|| "cluster_id".to_owned());
    let figure = if info.algorithm == "gmm" {
        Field::new("probability", DataType::Float64, false)
    } else {
        Field::new("distance", DataType::Float64, info.algorithm == "dbscan")
    };
    Ok(vec![Field::new(label, DataType::Int32, false), figure])
}

/// The feature columns of a model, in the relation that it is asked about.
///
/// # Errors
/// [`Kind::UndefinedColumn`] naming both relations, [`Kind::DatatypeMismatch`].
pub fn model_features(call: &Call, info: &ModelInfo, input: &CallInput) -> Result<Features> {
    let features = Features {
        names: info.keys.iter().map(|key| key.name.clone()).collect(),
    };
    let label = &call.input("model")?.label;
    features.check(input).map_err(|error| {
        if error.kind == Kind::UndefinedColumn {
            error.detail(format!("The model in {label} was trained with it."))
        } else {
            error
        }
    })?;
    Ok(features)
}

/// What a model of features says of the rows of `asked`, in the columns of [`predicted_fields`].
///
/// # Errors
/// For a model that is not as it was trained, and for bad rows.
pub fn predict_features(
    call: &Call,
    model: &Input,
    described: &CallInput,
    asked: &Input,
    run: &Run,
) -> Result<Vec<ArrayRef>> {
    let label = &call.input("model")?.label;
    let rows = ModelRows::read(label, model, run)?;
    let info = &rows.manifest().info;
    let features = model_features(call, info, described)?;
    let d = features.names.len();
    let treatments = section_rows(label, &rows, FEATURE)?
        .iter()
        .map(|row| {
            let numbers = numbers_of(label, row.payload, 2)?;
            match numbers.as_slice() {
                [offset, unit] => Ok(Treatment {
                    scale: Scale {
                        offset: *offset,
                        unit: *unit,
                    },
                    fill: row.value,
                }),
                _ => Err(Error::internal("two numbers were asked for")),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    if treatments.len() != d {
        return Err(malformed(
            label,
            "It has not one row for each feature.".to_owned(),
        ));
    }
    let mut x = features.read_treated(described, asked, &treatments, run)?;
    let table = |section: &str, width: usize| -> Result<(Array2<f64>, Vec<f64>)> {
        let rows = section_rows(label, &rows, section)?;
        run.reserve(rows.len().saturating_mul(width).saturating_mul(8))?;
        let mut numbers = Vec::with_capacity(rows.len() * width);
        let mut values = Vec::with_capacity(rows.len());
        for row in &rows {
            numbers.extend(numbers_of(label, row.payload, width)?);
            values.push(row.value.unwrap_or(0.0));
        }
        let table = Array2::from_shape_vec((rows.len(), width), numbers)
            .map_err(|_| Error::internal("as many numbers in each row"))?;
        Ok((table, values))
    };
    match info.algorithm.as_str() {
        "kmeans" => {
            let (centroids, _) = table("cluster", d)?;
            let (labels, distances) =
                run.compute(|| nearest_centroids(&centroids, x.view(), run))?;
            Ok(vec![
                label_array(&labels)?,
                Arc::new(Float64Array::from(distances)),
            ])
        }
        "gmm" => {
            let full = info_width(label, &rows, d)?;
            let (numbers, weights) = table("component", d + full)?;
            let mixture = mixture(&numbers, weights, d, full)?;
            // The same centre whatever rows come along, so that the answer for a row depends on that row alone.
            let centre = (0..d).map(|column| {
                let of = mixture.means.column(column);
                of.iter().zip(&mixture.weights).map(|(m, w)| m * w).sum()
            });
            let centre: Vec<f64> = centre.collect();
            let (labels, probabilities) = run.compute(|| {
                let blocks = DenseBlocks::centred(x.view(), centre, run)?;
                mixture.predict(&blocks, run)
            })?;
            Ok(vec![
                label_array(&labels)?,
                Arc::new(Float64Array::from(probabilities)),
            ])
        }
        "dbscan" => {
            let (cores, labels) = table("core", d)?;
            let parameters = section_rows(label, &rows, PARAMETER)?;
            let parameter = |name: &str| {
                let row = parameters.iter().find(|row| row.key == Some(name));
                row.and_then(|row| row.value)
                    .ok_or_else(|| malformed(label, format!("It has no parameter \"{name}\".")))
            };
            if parameter("cosine")? > 0.0 {
                to_unit_length(&mut x)?;
            }
            let model = DensityModel {
                cores,
                labels: labels.iter().map(|value| *value as i32).collect(),
                eps: parameter("eps")?,
            };
            let (labels, distances) = run.compute(|| model.predict(x.view(), run))?;
            let distances = distances.iter().map(|far| far.is_finite().then_some(*far));
            Ok(vec![
                Arc::new(Int32Array::from(labels)),
                Arc::new(Float64Array::from_iter(distances)),
            ])
        }
        "pca" | "svd" => {
            let (means, _) = table("mean", d)?;
            let (components, sigma) = table("component", d)?;
            let model = PcaModel {
                means: means.iter().copied().collect(),
                variances: vec![0.0; sigma.len()],
                shares: vec![0.0; sigma.len()],
                components,
                sigma,
            };
            let scores = run.compute(|| model.transform(x.view(), run))?;
            Ok(component_columns(&scores))
        }
        other => Err(Error::new(
            Kind::WrongObjectType,
            format!("a model of kind \"{other}\" is not one of features"),
        )),
    }
}

/// How many numbers the covariance of a component has.
fn info_width(label: &str, rows: &ModelRows, d: usize) -> Result<usize> {
    let components = section_rows(label, rows, "component")?;
    let bytes = components
        .first()
        .and_then(|row| row.payload)
        .map_or(0, <[u8]>::len);
    Ok((bytes / 8).saturating_sub(d))
}

fn mixture(numbers: &Array2<f64>, weights: Vec<f64>, d: usize, cells: usize) -> Result<Mixture> {
    let shape = || Error::internal("a component has a mean and a covariance");
    let height = if cells == d { 1 } else { d };
    let covariances = numbers
        .outer_iter()
        .map(|row| {
            let values = row.iter().skip(d).copied().collect();
            Array2::from_shape_vec((height, d), values).map_err(|_| shape())
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Mixture {
        weights,
        means: numbers.slice(ndarray::s![.., ..d]).to_owned(),
        covariances,
        labels: vec![],
        probabilities: vec![],
        lower_bound: 0.0,
        log_likelihood: 0.0,
        bic: 0.0,
        aic: 0.0,
        iterations: 0,
        converged: true,
    })
}
