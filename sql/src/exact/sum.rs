//! `sum` with PostgreSQL's types: `numeric` of `bigint`, `bigint` of smaller integers, so that no sum wraps around.
//!
//! Smaller integers are widened where they are added up, not by a cast of the argument: the engine brings arguments to
//! their types more than once, and would take a `bigint` made of an `integer` for one of the user's.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, Volatility,
};

use crate::error::undefined_function;

/// The aggregate, under the name `sum`.
pub fn sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(ExactSum {
        inner: Sum::new(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    inner: Sum,
    signature: Signature,
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        use DataType as T;
        let coerced = match given {
            [T::Dictionary(_, value)] => return self.coerce_types(&[value.as_ref().clone()]),
            [T::Int64 | T::UInt64] => T::Decimal128(DECIMAL128_MAX_PRECISION, 0),
            [integer] if integer.is_integer() => integer.clone(),
            [T::Float16 | T::Float32 | T::Float64 | T::Null] => T::Float64,
            [
                kept @ (T::Decimal32(..)
                | T::Decimal64(..)
                | T::Decimal128(..)
                | T::Decimal256(..)
                | T::Duration(_)
                | T::Interval(_)),
            ] => kept.clone(),
            _ => {
                return Err(undefined_function("sum", given).into());
            }
        };
        Ok(vec![coerced])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [integer] if integer.is_integer() => Ok(DataType::Int64),
            _ => self.inner.return_type(types),
        }
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let widened = is_widened(&arguments);
        let inner = self.inner.accumulator(arguments)?;
        Ok(if widened { Widened::of(inner) } else { inner })
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let widened = is_widened(&arguments);
        let inner = self.inner.create_groups_accumulator(arguments)?;
        Ok(if widened {
            Box::new(WidenedGroups(inner))
        } else {
            inner
        })
    }

    fn create_sliding_accumulator(
        &self,
        arguments: AccumulatorArgs,
    ) -> Result<Box<dyn Accumulator>> {
        let widened = is_widened(&arguments);
        let inner = self.inner.create_sliding_accumulator(arguments)?;
        Ok(if widened { Widened::of(inner) } else { inner })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }
}

/// Whether the values are smaller integers, summed as `bigint`.
fn is_widened(arguments: &AccumulatorArgs) -> bool {
    arguments.return_field.data_type() == &DataType::Int64
        && arguments
            .expr_fields
            .first()
            .is_some_and(|field| field.data_type() != &DataType::Int64)
}

fn widen(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values
        .iter()
        .map(|values| Ok(cast(values, &DataType::Int64)?))
        .collect()
}

/// A sum of `bigint` that is given smaller integers.
#[derive(Debug)]
struct Widened(Box<dyn Accumulator>);

impl Widened {
    fn of(inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        Box::new(Self(inner))
    }
}

impl Accumulator for Widened {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&widen(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&widen(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

/// Sums of `bigint` by group that are given smaller integers.
struct WidenedGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for WidenedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.0
            .update_batch(&widen(values)?, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.0.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.0.merge_batch(values, group_indices, groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&widen(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
