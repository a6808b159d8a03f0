//! Checked `+`, `-` and `*` of integers, and the casts of numbers that differ from the engine's.

use std::sync::{Arc, LazyLock};

use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

use crate::error::{Condition, Report};
use crate::pgtype;

/// The rule that replaces the operators; to be run after type coercion.
pub fn analyzer_rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(CheckArithmetic)
}

#[derive(Debug)]
struct CheckArithmetic;

impl AnalyzerRule for CheckArithmetic {
    fn name(&self) -> &str {
        "check_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                schema.merge(&scan.projected_schema);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let checked = expr.transform_up(|expr| check(expr, &schema))?;
                Ok(checked.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

fn check(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let function = match op {
                Operator::Plus => &*PLUS,
                Operator::Minus => &*MINUS,
                Operator::Multiply => &*TIMES,
                _ => {
                    return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr {
                        left,
                        op,
                        right,
                    })));
                }
            };
            // The type of the left operand decides; the engine has made them equal.
            if left.get_type(schema)?.is_integer() && right.get_type(schema)?.is_integer() {
                Transformed::yes(call(function, vec![*left, *right]))
            } else {
                Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))
            }
        }
        Expr::Negative(inner) if inner.get_type(schema)?.is_integer() => {
            Transformed::yes(call(&NEGATIVE, vec![*inner]))
        }
        Expr::Cast(Cast { expr, field }) => {
            match super::casts::exact(&expr, field.data_type(), schema)? {
                Some(rounded) => Transformed::yes(Expr::Cast(Cast {
                    expr: Box::new(rounded),
                    field,
                })),
                None => Transformed::no(Expr::Cast(Cast { expr, field })),
            }
        }
        other => Transformed::no(other),
    })
}

fn call(function: &Arc<ScalarUDF>, arguments: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments))
}

static PLUS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(Operation::Plus));
static MINUS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(Operation::Minus));
static TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(Operation::Times));
static NEGATIVE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(Operation::Negative));

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Plus,
    Minus,
    Times,
    Negative,
}

/// An operator as a function that fails where the engine's wraps around.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn udf(operation: Operation) -> Arc<ScalarUDF> {
        let operands = match operation {
            Operation::Negative => 1,
            _ => 2,
        };
        Arc::new(ScalarUDF::new_from_impl(Self {
            operation,
            signature: Signature::any(operands, Volatility::Immutable),
        }))
    }

    /// As EXPLAIN shows it.
    fn shown(&self, arguments: &[Expr]) -> String {
        match arguments {
            [operand] => format!("(- {operand})"),
            [left, right] => format!("{left} {} {right}", self.name()),
            _ => self.name().to_owned(),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Plus => "+",
            Operation::Minus | Operation::Negative => "-",
            Operation::Times => "*",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(self.shown(arguments))
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(self.shown(arguments))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(data_type) => Ok(data_type.clone()),
            None => internal_err!("an operator has operands"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = arguments.return_field.data_type();
        let computed = match (self.operation, arguments.args.as_slice()) {
            (Operation::Plus, [left, right]) => apply(left, right, numeric::add),
            (Operation::Minus, [left, right]) => apply(left, right, numeric::sub),
            (Operation::Times, [left, right]) => apply(left, right, numeric::mul),
            (Operation::Negative, [operand]) => {
                let zero = ColumnarValue::Scalar(ScalarValue::new_zero(data_type)?);
                apply(&zero, operand, numeric::sub)
            }
            _ => internal_err!("operator {} has its operands", self.name()),
        };
        computed.map_err(|error| match error.find_root() {
            DataFusionError::ArrowError(overflow, _)
                if matches!(overflow.as_ref(), ArrowError::ArithmeticOverflow(_)) =>
            {
                let name = pgtype::format_type(pgtype::of_data_type(data_type).oid, None);
                Report::new(Condition::NumericOutOfRange, format!("{name} out of range")).into()
            }
            _ => error,
        })
    }
}
