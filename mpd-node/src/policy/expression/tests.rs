use proptest::prelude::*;

use super::*;
use crate::policy::symbol::Symbols;

/// A and B are raised, C and D are not.
fn eval(text: &str, score: f64) -> Result<f64, SyntaxError> {
    let mut symbols = Symbols::builtin(&[]);
    let raised = [symbols.define("A"), symbols.define("B")];
    for name in ["C", "D"] {
        symbols.define(name);
    }
    let expression = parse(text, |name| {
        symbols.find(name).ok_or_else(|| {
            (
                format!("there is no symbol '{name}'"),
                "define it".to_owned(),
            )
        })
    })?;
    Ok(expression.value(score, |id| raised.contains(&id)))
}

#[test]
fn values() {
    for (text, value) in [
        ("A", 1.0),
        ("C", 0.0),
        ("!C", 1.0),
        ("!!A", 1.0),
        ("A && B", 1.0),
        ("A && !B", 0.0),
        ("C || B && A", 1.0),
        ("(C || B) && D", 0.0),
        ("not C and A or D", 1.0),
        ("A + B + C >= 2", 1.0),
        ("A + B + C > 2", 0.0),
        ("2 * A + 0.5", 2.5),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("10 - 3 - 2", 5.0),
        ("-A + 3", 2.0),
        ("A / C", 0.0),
        ("score > 4", 1.0),
        ("score == 4.5", 1.0),
        ("A != B", 0.0),
        ("1 < 2 == A", 1.0),
        ("((((A))))", 1.0),
    ] {
        assert_eq!(eval(text, 4.5), Ok(value), "{text}");
    }
}

#[test]
fn what_is_no_expression_says_where_and_what_to_do() {
    for (text, at, problem) in [
        ("", 0..0, "the expression ends where"),
        ("A &&", 4..4, "the expression ends where"),
        ("A & B", 2..3, "'&' has no meaning here"),
        ("A = B", 2..3, "'=' has no meaning here"),
        ("A B", 2..3, "an operator is missing before 'B'"),
        ("(A || B", 0..1, "this '(' is never closed"),
        ("A)", 1..2, "this ')' closes nothing"),
        ("A + * B", 4..5, "'*' stands where"),
        ("A + X", 4..5, "there is no symbol 'X'"),
        ("1.2.3", 0..5, "'1.2.3' is no number"),
        ("A ; B", 2..3, "';' has no meaning here"),
    ] {
        let error = eval(text, 0.0).unwrap_err();
        assert!(error.problem.starts_with(problem), "{text}: {error:?}");
        assert_eq!(error.at, at, "{text}");
        assert!(!error.remedy.is_empty(), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for text in [
        "(".repeat(10_000),
        "!".repeat(10_000),
        "A+".repeat(100_000),
        "A+(".repeat(1000),
    ] {
        assert!(eval(&text, 0.0).is_err());
    }
    let long = vec!["A"; 3000].join(" + ");
    assert_eq!(eval(&long, 0.0), Ok(3000.0));
}

/// An expression, and its value by plain recursion.
fn expression() -> impl Strategy<Value = (String, f64)> {
    let leaf = prop_oneof![
        Just(("A".to_owned(), 1.0)),
        Just(("D".to_owned(), 0.0)),
        Just(("score".to_owned(), 4.5)),
        (0u8..20).prop_map(|n| (n.to_string(), f64::from(n))),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|(text, value)| (format!("!({text})"), truth(value == 0.0))),
            inner
                .clone()
                .prop_map(|(text, value)| (format!("-({text})"), -value)),
            (inner.clone(), 0..OPERATORS.len(), inner).prop_map(|((a, x), at, (b, y))| {
                let (sign, apply) = OPERATORS[at];
                (format!("({a}) {sign} ({b})"), apply(x, y))
            }),
        ]
    })
}

type Apply = fn(f64, f64) -> f64;
const OPERATORS: &[(&str, Apply)] = &[
    ("||", |a, b| truth(a != 0.0 || b != 0.0)),
    ("&&", |a, b| truth(a != 0.0 && b != 0.0)),
    ("<", |a, b| truth(a < b)),
    (">=", |a, b| truth(a >= b)),
    ("==", |a, b| truth(a == b)),
    ("+", |a, b| a + b),
    ("-", |a, b| a - b),
    ("*", |a, b| a * b),
    ("/", |a, b| if b == 0.0 { 0.0 } else { a / b }),
];

proptest! {
    #[test]
    fn compiled_and_recursive_values_are_the_same((text, value) in expression()) {
        let compiled = eval(&text, 4.5);
        prop_assert!(compiled == Ok(value) || value.is_nan() || !value.is_finite(), "{}: {:?} {}", text, compiled, value);
    }

    #[test]
    fn no_text_makes_the_parser_fall(text in "[AB()!&|<>=+*/. 0-9é-]{0,60}") {
        let _ = eval(&text, 1.0);
    }
}
