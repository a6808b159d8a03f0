//! `fusion.connected_components`: which nodes hang together over pairs.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::fusion::connected_components;

use crate::call::Call;
use crate::error::{Error, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, distinct_keys};
use crate::keys::{cannot_meet, common_type};
use crate::output::positions;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct ConnectedComponents;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "connected_components",
    summary: "groups nodes that are connected, directly or through others",
    prose: "Each row of the relation is an undirected edge. A row whose source or target is NULL \
            adds its other node alone; a row of two NULLs adds nothing. A component is named by its \
            smallest node, so the answer does not depend on the order of rows. Time grows with the \
            number of edges, memory with about 50 bytes an edge.",
    parameters: &[
        Parameter::relation("rel", "The edges, one a row."),
        Parameter::constant(
            "source",
            ParameterType::Column,
            Default::Required,
            "The column that holds one end of an edge.",
        ),
        Parameter::constant(
            "target",
            ParameterType::Column,
            Default::Required,
            "The column that holds the other end; its type is that of `source`, or another width \
             of integer or text.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "node",
            data_type: "as source",
            meaning: "Each node once, in ascending order.",
        },
        ResultColumn {
            name: "component",
            data_type: "as source",
            meaning: "The smallest node of the node's component.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM fusion.connected_components(\
              (SELECT * FROM (VALUES (1, 2), (2, 3), (7, 8)) AS edges (a, b)), \
              source => 'a', target => 'b') ORDER BY node",
        output: "1|1\n2|1\n3|1\n7|7\n8|7",
    },
    source: "R. E. Tarjan, J. van Leeuwen: Worst-case analysis of set union algorithms, JACM 31 (1984).",
};

struct Ends {
    source: String,
    target: String,
    node_type: DataType,
}

fn ends(call: &Call) -> Result<Ends> {
    let input = call.input("rel")?;
    let source = input
        .schema
        .field(input.column(&call.required_text("source")?)?);
    let target = input
        .schema
        .field(input.column(&call.required_text("target")?)?);
    let node_type = common_type(source.data_type(), target.data_type()).ok_or_else(|| {
        let relation = input.describe();
        cannot_meet(
            (&relation, target.name(), target.data_type()),
            (&relation, source.name(), source.data_type()),
        )
    })?;
    Ok(Ends {
        source: source.name().clone(),
        target: target.name().clone(),
        node_type,
    })
}

impl RelationFunction for ConnectedComponents {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let ends = ends(call)?;
        let required = positions(call.input("rel")?, [&ends.source, &ends.target])?;
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("node", ends.node_type.clone(), false),
                Field::new("component", ends.node_type, false),
            ])),
            required: vec![required],
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let ends = ends(call)?;
        let [edges] = inputs else {
            return Err(Error::internal("one relation is read"));
        };
        let source = cast(&edges.column(&ends.source)?, &ends.node_type)?;
        let target = cast(&edges.column(&ends.target)?, &ends.node_type)?;
        let both = concat(&[source.as_ref(), target.as_ref()])?;
        let keys = distinct_keys(&[both], edges.rows() * 2, run)?;
        let nulls = u32::from(source.logical_null_count() + target.logical_null_count() > 0);
        let (sources, targets) = keys.codes.split_at(edges.rows());
        let (kept_sources, kept_targets): (Vec<u32>, Vec<u32>) = sources
            .iter()
            .zip(targets)
            .filter(|(source, target)| **source >= nulls && **target >= nulls)
            .map(|(source, target)| (source - nulls, target - nulls))
            .unzip();
        let values = keys
            .values
            .first()
            .ok_or_else(|| Error::internal("a key has one column"))?;
        let nodes: ArrayRef = values.slice(nulls as usize, values.len() - nulls as usize);
        let components =
            run.compute(|| connected_components(nodes.len(), &kept_sources, &kept_targets, run))?;
        let components = take(&nodes, &UInt32Array::from(components), None)?;
        run.emit_columns(vec![nodes, components])
    }
}
