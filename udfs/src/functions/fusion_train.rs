//! `fusion.train`: a trained comparison with its records, as the rows of a model table.

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::Input;
use crate::model::{MODEL_TAG, model_schema};
use crate::output::{all_positions, required};
use crate::records::{
    ACROSS_SOURCES, BLOCK_ON, COMPARE, IDS, MAX_RECORDS_PER_BLOCK, MAX_RECORDS_PER_ENTITY,
    MAX_RECORDS_PER_VALUE, MAX_VALUES, ONE_TO_ONE, REL, RecordColumns, SEED, SOURCE, THRESHOLD,
    options,
};
use crate::resolve_model::{
    FIXED, ResolveModel, check_key, info_of, model_info, model_key_fields, model_positions,
};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct TrainResolve;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "train",
    summary: "learns to resolve records, as the rows of a model table that keeps them",
    prose: "Keep the result with CREATE TABLE m AS SELECT * FROM fusion.train(...), and resolve further \
            records with fusion.resolve(rows, model => 'm'): what was learnt stays, and only the blocks \
            and entities that the new rows touch are looked at. With `model`, nothing is learnt: the rows \
            are added to that model's records. In however many portions records come, with one model they \
            make the same entities. Section 'manifest' has the arguments as JSON and a checksum, by which \
            a model altered or written by half is refused when it is used; 'probability' a row for each \
            level of each column: its weight as value, and as vector its probabilities among records of \
            one person, of relatives and of strangers; 'key' a row for each record, with the idx of the \
            record that names its entity as value, and 'key_2' and so on the further columns of the key; \
            'ledger' the normalised records, blocks and links, in pieces.",
    parameters: &[
        REL,
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Null,
            "The columns that together identify a record; a key that occurs twice is an error. Must \
             be given, unless `model` is, whose key it is then.",
        ),
        IDS,
        COMPARE,
        BLOCK_ON,
        THRESHOLD,
        MAX_VALUES,
        MAX_RECORDS_PER_VALUE,
        MAX_RECORDS_PER_BLOCK,
        MAX_RECORDS_PER_ENTITY,
        SOURCE,
        ONE_TO_ONE,
        ACROSS_SOURCES,
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Null,
            "A model made by fusion.train(), to which the rows are added; rows that it knows already \
             stay as it knows them. What it fixes cannot be given beside it.",
        ),
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "section",
            data_type: "text",
            meaning: "The part of the model the row belongs to.",
        },
        ResultColumn {
            name: "idx",
            data_type: "bigint",
            meaning: "Its position within the section, from 0.",
        },
        ResultColumn {
            name: "key",
            data_type: "text",
            meaning: "The record's key, or the column and level of a probability.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The weight of the level, or the record that names the entity.",
        },
        ResultColumn {
            name: "vector",
            data_type: "real[]",
            meaning: "The probabilities of the level.",
        },
        ResultColumn {
            name: "payload",
            data_type: "bytea",
            meaning: "JSON in the manifest; pieces of the ledger.",
        },
    ],
    example: Example {
        setup: &["CREATE TABLE people_model AS SELECT * FROM fusion.train(\
             (SELECT * FROM (VALUES (1, 'William', 'Smith', '1980-03-07'), \
             (2, 'Bill', 'Smith', '1980-03-07'), (3, 'Ann', 'Smith', '1984-11-02'), \
             (4, 'Ann', 'Lee', '1991-05-30'), (5, 'Anne', 'Lee', '1991-05-30')) \
             AS people (id, first_name, last_name, dob)), key => 'id')"],
        sql: "SELECT id, linked_to_id, cluster_size FROM fusion.resolve(\
              (SELECT * FROM (VALUES (6, 'Will', 'Smith', '1980-03-07'), \
              (7, 'Eve', 'Roe', '1969-08-23')) AS people (id, first_name, last_name, dob)), \
              model => 'people_model') ORDER BY id",
        output: "1|6|3\n2|1|3\n6|1|3\n7||1",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969).",
};

impl RelationFunction for TrainResolve {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let (info, read) = if call.optional_input("model")?.is_some() {
            for name in FIXED {
                if call.signature.parameter(name).is_some() && call.has(name)? {
                    let message = format!("argument \"{name}\" cannot be given beside \"model\"");
                    return Err(Error::new(Kind::InvalidParameter, message)
                        .hint("Leave the argument out, or train another model with it."));
                }
            }
            let info = model_info(call)?;
            check_key(call, input, &model_key_fields(info)?)?;
            (info.clone(), all_positions(input))
        } else {
            let columns = RecordColumns::of(call)?;
            if call.is_complete() {
                options(call)?;
            }
            (info_of(input, &columns.key)?, columns.positions(input)?)
        };
        Ok(Binding {
            schema: model_schema(),
            required: required(call, |other| match other.parameter {
                "model" => model_positions(other),
                _ => Ok(read.clone()),
            })?,
            tags: vec![(MODEL_TAG.to_owned(), info.to_tag()?)],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let model = if call.optional_input("model")?.is_some() {
            let mut model = ResolveModel::read(call, inputs, run)?;
            model.take(call, inputs, run)?;
            model
        } else {
            ResolveModel::train(call, inputs, options(call)?, run)?
        };
        model.write(run)
    }
}
