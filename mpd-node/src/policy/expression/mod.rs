//! Expressions over symbols: `A && !B`, `A + 2 * B >= 3`, `score > 4`.
//!
//! Compiled to a short program for a stack of numbers. A symbol is 1 where it was raised and 0 where not; everything
//! but 0 is true; `&&`, `||`, `!` and comparisons give 1 or 0. All operands are evaluated: there is nothing to save.

mod parse;
#[cfg(test)]
mod tests;

use super::symbol::SymbolId;

#[cfg(test)]
pub(crate) use parse::SyntaxError;
pub(crate) use parse::{MAX_DEPTH, parse};

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expression {
    program: Box<[Step]>,
    /// The symbols in it, each once.
    symbols: Box<[SymbolId]>,
    /// Whether it asks for the score.
    uses_score: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Number(f64),
    Symbol(SymbolId),
    Score,
    Not,
    Negate,
    Apply(Operator),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Expression {
    /// The value, with `has` telling which symbols were raised.
    pub(crate) fn value(&self, score: f64, has: impl Fn(SymbolId) -> bool) -> f64 {
        // The parser bounds the depth, so that the stack needs no allocation.
        let mut stack = [0.0f64; MAX_DEPTH + 2];
        let mut top = 0;
        for step in &self.program {
            match step {
                Step::Number(number) => {
                    stack[top] = *number;
                    top += 1;
                }
                Step::Symbol(symbol) => {
                    stack[top] = f64::from(u8::from(has(*symbol)));
                    top += 1;
                }
                Step::Score => {
                    stack[top] = score;
                    top += 1;
                }
                Step::Not => stack[top - 1] = truth(stack[top - 1] == 0.0),
                Step::Negate => stack[top - 1] = -stack[top - 1],
                Step::Apply(operator) => {
                    top -= 1;
                    stack[top - 1] = operator.apply(stack[top - 1], stack[top]);
                }
            }
        }
        stack[0]
    }

    /// Whether it is true.
    pub(crate) fn holds(&self, score: f64, has: impl Fn(SymbolId) -> bool) -> bool {
        self.value(score, has) != 0.0
    }

    /// The symbols in it.
    pub(crate) fn symbols(&self) -> &[SymbolId] {
        &self.symbols
    }

    /// Whether it asks for the score.
    pub(crate) fn uses_score(&self) -> bool {
        self.uses_score
    }
}

impl Operator {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::And => truth(a != 0.0 && b != 0.0),
            Self::Equal => truth(a == b),
            Self::Unequal => truth(a != b),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            // As in SpamAssassin's meta rules, a division by zero is no hit.
            Self::Divide => {
                if b == 0.0 {
                    0.0
                } else {
                    a / b
                }
            }
        }
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
