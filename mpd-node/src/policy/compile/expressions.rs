//! `[[expression]]`, in an order in which each stands after those that it asks for.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;

use super::rules::place_in;
use super::{Compiler, Source, Unit};
use crate::policy::document::RuleFile;
use crate::policy::expression::{self, Expression};
use crate::policy::parts::NamedExpression;
use crate::policy::symbol::SymbolId;

/// An expression that is not yet in its place.
struct Pending<'u> {
    symbol: SymbolId,
    expression: Expression,
    source: &'u Source,
    span: Range<usize>,
    key: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl Compiler {
    pub(super) fn expressions(&mut self, units: &[Unit<RuleFile>]) -> Vec<NamedExpression> {
        let mut pending: Vec<Pending<'_>> = Vec::new();
        let mut by_symbol: HashMap<SymbolId, usize> = HashMap::new();
        for unit in units {
            for (at, written) in unit.document.expression.iter().enumerate() {
                let key = format!("expression[{at}]");
                let compiled = self.expression(&unit.source, &format!("{key}.when"), &written.when);
                let (Some(expression), Some(symbol)) =
                    (compiled, self.symbols.find(written.symbol.get_ref()))
                else {
                    continue;
                };
                if by_symbol.insert(symbol, pending.len()).is_some() {
                    let problem =
                        format!("'{}' already has an expression", written.symbol.get_ref());
                    let remedy = "join the two with ||, or give this one another name";
                    self.error(
                        &unit.source,
                        written.symbol.span(),
                        format!("{key}.symbol"),
                        problem,
                        remedy,
                    );
                }
                pending.push(Pending {
                    symbol,
                    expression,
                    source: &unit.source,
                    span: written.symbol.span(),
                    key,
                });
            }
        }
        let order = self.order(&pending, &by_symbol);
        let mut slots: Vec<Option<Pending<'_>>> = pending.into_iter().map(Some).collect();
        let mut late: HashMap<SymbolId, bool> = HashMap::new();
        let mut ordered = Vec::with_capacity(order.len());
        for at in order {
            let Some(Pending {
                symbol, expression, ..
            }) = slots[at].take()
            else {
                continue;
            };
            let is_late = expression.uses_score()
                || expression
                    .symbols()
                    .iter()
                    .any(|symbol| late.get(symbol).copied().unwrap_or(false));
            late.insert(symbol, is_late);
            ordered.push(NamedExpression {
                symbol,
                expression,
                late: is_late,
            });
        }
        // All that the score is made of comes before all that asks for it; the order within is kept.
        ordered.sort_by_key(|expression| expression.late);
        ordered
    }

    /// Compiles one expression; the symbols in it are in use from now on.
    pub(super) fn expression(
        &mut self,
        source: &Source,
        key: &str,
        text: &Spanned<String>,
    ) -> Option<Expression> {
        let parsed = {
            let compiler = &*self;
            expression::parse(text.get_ref(), |name| {
                compiler
                    .symbols
                    .find(name)
                    .ok_or_else(|| compiler.unknown_symbol(name))
            })
        };
        match parsed {
            Ok(expression) => {
                for symbol in expression.symbols() {
                    self.symbols.symbol_mut(*symbol).used = true;
                }
                Some(expression)
            }
            Err(error) => {
                let span = place_in(source, text, Some(error.at.start));
                self.error(source, span, key, error.problem, error.remedy);
                None
            }
        }
    }

    /// Depth-first, without recursion: a chain of expressions may be long.
    fn order(
        &mut self,
        pending: &[Pending<'_>],
        by_symbol: &HashMap<SymbolId, usize>,
    ) -> Vec<usize> {
        let mut marks = vec![Mark::New; pending.len()];
        let mut order = Vec::with_capacity(pending.len());
        for root in 0..pending.len() {
            if marks[root] != Mark::New {
                continue;
            }
            let mut path = vec![(root, 0)];
            marks[root] = Mark::Open;
            while let Some((at, child)) = path.last_mut() {
                let (at, symbols) = (*at, pending[*at].expression.symbols());
                let Some(symbol) = symbols.get(*child) else {
                    marks[at] = Mark::Done;
                    order.push(at);
                    path.pop();
                    continue;
                };
                *child += 1;
                let Some(&next) = by_symbol.get(symbol) else {
                    continue;
                };
                match marks[next] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[next] = Mark::Open;
                        path.push((next, 0));
                    }
                    Mark::Open => self.cycle(pending, &path, next),
                }
            }
        }
        order
    }

    fn cycle(&mut self, pending: &[Pending<'_>], path: &[(usize, usize)], next: usize) {
        let name = |at: usize| self.symbols.symbol(pending[at].symbol).name.to_string();
        let from = path.iter().position(|(at, _)| *at == next).unwrap_or(0);
        let mut names: Vec<String> = path[from..].iter().map(|(at, _)| name(*at)).collect();
        names.push(name(next));
        let problem = format!(
            "expressions ask for one another in a circle: {}",
            names.join(" → ")
        );
        let Pending {
            source, span, key, ..
        } = &pending[next];
        self.error(
            source,
            span.clone(),
            format!("{key}.when"),
            problem,
            "take one of them out of the circle",
        );
    }
}
