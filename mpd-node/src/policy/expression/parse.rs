//! Precedence climbing over `||`, `&&`, comparisons, `+ -`, `* /`, `! -`, parentheses; the words `or`, `and`, `not`
//! are taken for their signs.

use std::ops::Range;

use super::{Expression, Operator, Step};
use crate::policy::symbol::SymbolId;

/// How deep an expression may nest, and so how many numbers its stack holds.
pub(crate) const MAX_DEPTH: usize = 64;
/// How long an expression may be, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Why a text is no expression, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Range<usize>,
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Number(f64),
    Name,
    Not,
    Minus,
    Open,
    Close,
    Operator(Operator),
    End,
}

/// Compiles `text`. `symbol` finds a symbol by its name, or tells what to do instead.
pub(crate) fn parse(
    text: &str,
    symbol: impl FnMut(&str) -> Result<SymbolId, (String, String)>,
) -> Result<Expression, SyntaxError> {
    if text.len() > MAX_LENGTH {
        return Err(SyntaxError {
            at: 0..0,
            problem: format!("the expression is longer than {MAX_LENGTH} bytes"),
            remedy: "name parts of it with [[expression]]s of their own".to_owned(),
        });
    }
    let mut parser = Parser {
        text,
        at: 0..0,
        token: Token::End,
        program: Vec::new(),
        symbols: Vec::new(),
        height: 0,
        depth: 0,
        symbol,
    };
    parser.advance(0)?;
    parser.binary(0)?;
    if parser.token != Token::End {
        let problem = match parser.token {
            Token::Close => "this ')' closes nothing".to_owned(),
            _ => format!("an operator is missing before '{}'", parser.word()),
        };
        return Err(parser.error(
            problem,
            "write &&, ||, a comparison or an arithmetic sign between two operands",
        ));
    }
    let mut symbols = parser.symbols;
    symbols.sort_unstable();
    symbols.dedup();
    Ok(Expression {
        uses_score: parser.program.contains(&Step::Score),
        program: parser.program.into(),
        symbols: symbols.into(),
    })
}

struct Parser<'t, F> {
    text: &'t str,
    at: Range<usize>,
    token: Token,
    program: Vec<Step>,
    symbols: Vec<SymbolId>,
    /// Numbers on the stack at this point of the program.
    height: usize,
    /// Nesting of parentheses and signs.
    depth: usize,
    symbol: F,
}

impl<'t, F: FnMut(&str) -> Result<SymbolId, (String, String)>> Parser<'t, F> {
    /// Operands joined by operators that bind at least as strongly as `least`.
    fn binary(&mut self, least: u8) -> Result<(), SyntaxError> {
        self.unary()?;
        loop {
            let operator = match self.token {
                Token::Operator(operator) => operator,
                Token::Minus => Operator::Subtract,
                _ => return Ok(()),
            };
            let strength = strength(operator);
            if strength < least {
                return Ok(());
            }
            self.next()?;
            self.binary(strength + 1)?;
            self.program.push(Step::Apply(operator));
            self.height -= 1;
        }
    }

    fn unary(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(
                format!("the expression nests deeper than {MAX_DEPTH}"),
                "name parts of it with [[expression]]s of their own",
            ));
        }
        match self.token {
            Token::Not => {
                self.next()?;
                self.unary()?;
                self.program.push(Step::Not);
            }
            Token::Minus => {
                self.next()?;
                self.unary()?;
                self.program.push(Step::Negate);
            }
            Token::Open => {
                let open = self.at.clone();
                self.next()?;
                self.binary(0)?;
                if self.token != Token::Close {
                    self.at = open;
                    return Err(self.error("this '(' is never closed".to_owned(), "add the ')'"));
                }
                self.next()?;
            }
            Token::Number(number) => self.push(Step::Number(number))?,
            Token::Name if self.word() == "score" => self.push(Step::Score)?,
            Token::Name => {
                let name = self.word();
                let id = match (self.symbol)(name) {
                    Ok(id) => id,
                    Err((problem, remedy)) => return Err(self.error(problem, &remedy)),
                };
                self.symbols.push(id);
                self.push(Step::Symbol(id))?;
            }
            Token::End => {
                return Err(self.error(
                    "the expression ends where a symbol or a number should be".to_owned(),
                    "add what is missing, or take the last operator away",
                ));
            }
            Token::Close | Token::Operator(_) => {
                let problem = format!(
                    "'{}' stands where a symbol or a number should be",
                    self.word()
                );
                return Err(self.error(problem, "add what is missing before it"));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn push(&mut self, step: Step) -> Result<(), SyntaxError> {
        self.program.push(step);
        self.height += 1;
        // One operand per level of precedence may wait on the stack, for each level of nesting.
        if self.height > MAX_DEPTH {
            return Err(self.error(
                format!("more than {MAX_DEPTH} operands wait for one another"),
                "name parts of it with [[expression]]s of their own",
            ));
        }
        self.next()
    }

    fn next(&mut self) -> Result<(), SyntaxError> {
        self.advance(self.at.end)
    }

    fn advance(&mut self, from: usize) -> Result<(), SyntaxError> {
        let rest = self.text[from..].trim_start();
        let start = self.text.len() - rest.len();
        let span = |chars: fn(char) -> bool| rest.find(|c| !chars(c)).unwrap_or(rest.len());
        let (token, len) = match rest.chars().next() {
            None => (Token::End, 0),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let len = span(|c| c.is_ascii_alphanumeric() || c == '_');
                let token = match &rest[..len] {
                    "or" | "OR" => Token::Operator(Operator::Or),
                    "and" | "AND" => Token::Operator(Operator::And),
                    "not" | "NOT" => Token::Not,
                    _ => Token::Name,
                };
                (token, len)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let len = span(|c| c.is_ascii_digit() || c == '.');
                match rest[..len].parse::<f64>() {
                    Ok(number) if number.is_finite() => (Token::Number(number), len),
                    _ => {
                        self.at = start..start + len;
                        let problem = format!("'{}' is no number", &rest[..len]);
                        return Err(self.error(problem, "write it as 3 or 2.5"));
                    }
                }
            }
            Some(c) => match sign(rest) {
                Some(found) => found,
                None => {
                    self.at = start..start + c.len_utf8();
                    let remedy = match c {
                        '&' => "write && for 'and'",
                        '|' => "write || for 'or'",
                        '=' => "write == to compare",
                        _ => {
                            "symbols, numbers, score, ( ) ! && || == != < <= > >= + - * / are known"
                        }
                    };
                    return Err(self.error(
                        format!("'{}' has no meaning here", c.escape_default()),
                        remedy,
                    ));
                }
            },
        };
        self.token = token;
        self.at = start..start + len;
        Ok(())
    }

    fn word(&self) -> &'t str {
        &self.text[self.at.clone()]
    }

    fn error(&self, problem: String, remedy: &str) -> SyntaxError {
        SyntaxError {
            at: self.at.clone(),
            problem,
            remedy: remedy.to_owned(),
        }
    }
}

fn sign(rest: &str) -> Option<(Token, usize)> {
    const SIGNS: &[(&str, Token)] = &[
        ("||", Token::Operator(Operator::Or)),
        ("&&", Token::Operator(Operator::And)),
        ("==", Token::Operator(Operator::Equal)),
        ("!=", Token::Operator(Operator::Unequal)),
        ("<=", Token::Operator(Operator::LessOrEqual)),
        (">=", Token::Operator(Operator::GreaterOrEqual)),
        ("<", Token::Operator(Operator::Less)),
        (">", Token::Operator(Operator::Greater)),
        ("+", Token::Operator(Operator::Add)),
        ("-", Token::Minus),
        ("*", Token::Operator(Operator::Multiply)),
        ("/", Token::Operator(Operator::Divide)),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
    ];
    SIGNS
        .iter()
        .find(|(sign, _)| rest.starts_with(sign))
        .map(|(sign, token)| (*token, sign.len()))
}

fn strength(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 1,
        Operator::And => 2,
        Operator::Equal | Operator::Unequal => 3,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => 4,
        Operator::Add | Operator::Subtract => 5,
        Operator::Multiply | Operator::Divide => 6,
    }
}
