//! The operand on the right of `IS [NOT] DISTINCT FROM`, which the parser lets reach over AND and OR.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::tree;

/// Gives AND, OR and NOT back what `IS [NOT] DISTINCT FROM` has taken of their operands.
pub(super) fn reassociate(expr: &mut Expr) {
    if reaches_too_far(expr) {
        let mut chain = Chain::default();
        chain.extend(tree::take(expr));
        if let Some(rebuilt) = chain.rebuilt() {
            *expr = rebuilt;
        }
    }
}

fn reaches_too_far(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => reaches_too_far(left) || reaches_too_far(right),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => reaches_too_far(expr),
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
            matches!(
                right.as_ref(),
                Expr::BinaryOp {
                    op: BinaryOperator::And | BinaryOperator::Or,
                    ..
                }
            ) || reaches_too_far(right)
        }
        _ => false,
    }
}

/// Operands of AND and OR in the order of the text, and the operators between them.
#[derive(Default)]
struct Chain {
    operands: Vec<Expr>,
    operators: Vec<BinaryOperator>,
}

impl Chain {
    fn extend(&mut self, expr: Expr) {
        match expr {
            Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                right,
            } => {
                self.extend(*left);
                self.operators.push(op);
                self.extend(*right);
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => self.extend_first(*expr, |first| Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(first),
            }),
            Expr::IsDistinctFrom(left, right) => {
                self.extend_first(*right, |first| Expr::IsDistinctFrom(left, Box::new(first)));
            }
            Expr::IsNotDistinctFrom(left, right) => self.extend_first(*right, |first| {
                Expr::IsNotDistinctFrom(left, Box::new(first))
            }),
            operand => self.operands.push(operand),
        }
    }

    /// Adds a chain of which `change` takes the first operand only.
    fn extend_first(&mut self, expr: Expr, change: impl FnOnce(Expr) -> Expr) {
        let first = self.operands.len();
        self.extend(expr);
        if let Some(operand) = self.operands.get_mut(first) {
            let changed = change(tree::take(operand));
            *operand = changed;
        }
    }

    /// The expression that the operands and operators make by precedence.
    fn rebuilt(self) -> Option<Expr> {
        let join = |left: Option<Expr>, op: BinaryOperator, right: Expr| match left {
            Some(left) => Expr::BinaryOp {
                left: Box::new(left),
                op,
                right: Box::new(right),
            },
            None => right,
        };
        let mut operands = self.operands.into_iter();
        let mut alternatives = None;
        let mut all = operands.next();
        for (operator, operand) in self.operators.into_iter().zip(operands) {
            if operator == BinaryOperator::Or {
                if let Some(all) = all.take() {
                    alternatives = Some(join(alternatives, BinaryOperator::Or, all));
                }
                all = Some(operand);
            } else {
                all = Some(join(all, operator, operand));
            }
        }
        Some(join(alternatives, BinaryOperator::Or, all?))
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn parsed(text: &str) -> Expr {
        Parser::new(&PostgreSqlDialect {})
            .try_with_sql(text)
            .unwrap()
            .parse_expr()
            .unwrap()
    }

    #[test]
    fn operands_end_where_postgresql_ends_them() {
        for (given, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            (
                "x AND a IS DISTINCT FROM b OR c",
                "(x AND (a IS DISTINCT FROM b)) OR c",
            ),
            (
                "NOT a IS NOT DISTINCT FROM b AND c OR d AND e",
                "((NOT (a IS NOT DISTINCT FROM b)) AND c) OR (d AND e)",
            ),
            (
                "a IS DISTINCT FROM b = c AND d IS NOT DISTINCT FROM e OR f",
                "((a IS DISTINCT FROM (b = c)) AND (d IS NOT DISTINCT FROM e)) OR f",
            ),
            (
                "a IS DISTINCT FROM (b AND c)",
                "a IS DISTINCT FROM (b AND c)",
            ),
        ] {
            let mut given_tree = parsed(given);
            reassociate(&mut given_tree);
            let mut meant_tree = parsed(meant);
            strip(&mut given_tree);
            strip(&mut meant_tree);
            assert_eq!(shape(&given_tree), shape(&meant_tree), "{given}");
        }
    }

    fn strip(expr: &mut Expr) {
        while let Expr::Nested(inner) = expr {
            *expr = tree::take(inner);
        }
        match expr {
            Expr::BinaryOp { left, right, .. } => {
                strip(left);
                strip(right);
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                strip(left);
                strip(right);
            }
            Expr::UnaryOp { expr, .. } => strip(expr),
            _ => {}
        }
    }

    /// The tree in parentheses.
    fn shape(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => {
                format!("({} {op} {})", shape(left), shape(right))
            }
            Expr::IsDistinctFrom(left, right) => format!("({} <> {})", shape(left), shape(right)),
            Expr::IsNotDistinctFrom(left, right) => {
                format!("({} == {})", shape(left), shape(right))
            }
            Expr::UnaryOp { expr, .. } => format!("(NOT {})", shape(expr)),
            other => other.to_string(),
        }
    }
}
