//! What to do about an error of the TOML parser or of serde, read off its message: neither has a typed cause.

/// A parser's message in our words.
pub(super) struct Advice {
    pub(super) problem: String,
    pub(super) remedy: String,
    /// The key that is not there, for errors about a missing one.
    pub(super) missing: Option<String>,
}

impl Advice {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
            missing: None,
        }
    }
}

/// Advice for the message of a `toml::de::Error`.
pub(super) fn of(message: &str) -> Advice {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(rest, "unknown key", "keys");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown(rest, "unknown value", "values");
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let name = quoted(rest).next().unwrap_or_default().to_owned();
        return Advice {
            missing: Some(name),
            ..Advice::new("is missing", "add it")
        };
    }
    if message.starts_with("duplicate key") || message.starts_with("duplicate field") {
        return Advice::new(message, "keep one of the two");
    }
    if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        return mistyped(message);
    }
    // A newtype's own message through `serde(try_from)` arrives here as well: it says what it wants.
    Advice::new(
        message,
        if message.contains(", expected ") {
            "correct the TOML syntax here"
        } else {
            "correct it"
        },
    )
}

/// The one of `known` that `wanted` was most likely meant to be: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn unknown(rest: &str, what: &str, plural: &str) -> Advice {
    let mut names = quoted(rest);
    let wanted = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let remedy = match (nearest(wanted, known.iter().copied()), known.as_slice()) {
        (_, []) => "remove it".to_owned(),
        (Some(near), [_]) => format!("did you mean `{near}`?"),
        (Some(near), _) => format!(
            "did you mean `{near}`? ({plural} here: {})",
            known.join(", ")
        ),
        (None, _) => format!("{plural} here: {}", known.join(", ")),
    };
    Advice::new(format!("{what} `{wanted}`"), remedy)
}

fn mistyped(message: &str) -> Advice {
    let (problem, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let remedy = match expected {
        "a string" | "string" => "put the value in quotes",
        "a boolean" | "boolean" => "write true or false, without quotes",
        "a sequence" => "write a list: [ … ]",
        "f32" | "f64" => "write a number, without quotes",
        e if e.starts_with("struct ") || e == "a map" => {
            "write a table: { key = value } or a [section]"
        }
        e if is_integer(e) => "write a whole number in range, without quotes",
        e => return Advice::new(problem, format!("expected {e}")),
    };
    Advice::new(problem, remedy)
}

fn is_integer(expected: &str) -> bool {
    let bits = expected.strip_prefix("a nonzero ").unwrap_or(expected);
    matches!(
        bits,
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize"
    )
}

/// What stands in backquotes in a message.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// Optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
