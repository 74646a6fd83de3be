//! `[[rule]]`: patterns, gathered by what they look at.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use millrace_runtime::config::ConfigError;

use super::{Compiler, Source, Unit};
use crate::policy::document::{self, RuleFile, Target, words};
use crate::policy::parts::{HeaderPatterns, Patterns, Rule};
use crate::policy::pattern::{Compiled, Flags, SetBuilder};

/// The patterns of one header, while they are gathered.
#[derive(Default)]
struct HeaderBuilder {
    decoded: SetBuilder,
    raw: SetBuilder,
    present: Vec<u32>,
}

/// What a rule looks at.
enum Place {
    Headers(Vec<String>),
    Target(Target),
}

impl Compiler {
    pub(super) fn patterns(&mut self, units: &[Unit<RuleFile>]) -> Patterns {
        let mut rules = Vec::new();
        let mut headers: HashMap<String, HeaderBuilder> = HashMap::new();
        let mut targets: BTreeMap<Target, SetBuilder> = BTreeMap::new();
        for unit in units {
            for (at, rule) in unit.document.rule.iter().enumerate() {
                let key = format!("rule[{at}]");
                let number = rules.len() as u32;
                let Some((place, compiled)) = self.rule(&unit.source, &key, rule) else {
                    continue;
                };
                rules.push(compiled);
                self.rule_patterns(
                    &unit.source,
                    &key,
                    rule,
                    number,
                    &place,
                    &mut headers,
                    &mut targets,
                );
            }
        }
        let mut patterns = Patterns {
            rules,
            ..Patterns::default()
        };
        for (name, builder) in headers {
            let Some(set) = self.header_patterns(builder) else {
                continue;
            };
            if name == "*" {
                patterns.any_header = set;
            } else {
                patterns.headers.insert(name.into_bytes().into(), set);
            }
        }
        for (target, builder) in targets {
            match builder.finish() {
                Ok(set) => patterns.targets.push((target, set)),
                Err(bad) => self.too_much(bad.problem, bad.remedy),
            }
        }
        patterns
    }

    fn header_patterns(&mut self, builder: HeaderBuilder) -> Option<HeaderPatterns> {
        let mut finish = |set: SetBuilder| match set.is_empty() {
            true => Some(None),
            false => match set.finish() {
                Ok(set) => Some(Some(set)),
                Err(bad) => {
                    self.too_much(bad.problem, bad.remedy);
                    None
                }
            },
        };
        Some(HeaderPatterns {
            decoded: finish(builder.decoded)?,
            raw: finish(builder.raw)?,
            present: builder.present,
        })
    }

    fn too_much(&mut self, problem: String, remedy: &str) {
        let file = self.files.shown(crate::policy::files::MAIN);
        self.errors
            .push(ConfigError::in_file(&file, problem, remedy));
    }

    fn rule(&mut self, source: &Source, key: &str, rule: &document::Rule) -> Option<(Place, Rule)> {
        let place = match (&rule.header, &rule.target) {
            (Some(header), None) => Place::Headers(self.header_names(source, key, header)?),
            (None, Some(target)) => Place::Target(*target.get_ref()),
            (Some(_), Some(target)) => {
                let problem = "a rule looks at a `header` or at a `target`, not at both";
                self.error(
                    source,
                    target.span(),
                    format!("{key}.target"),
                    problem,
                    "make two rules with the same symbol",
                );
                return None;
            }
            (None, None) => {
                let remedy = "add header = \"Subject\" or target = \"body\"";
                self.error(
                    source,
                    rule.symbol.span(),
                    format!("{key}.header"),
                    "does not say what to look at",
                    remedy,
                );
                return None;
            }
        };
        if rule.raw && matches!(place, Place::Target(_)) {
            let remedy = "take `raw` away, or choose target = \"raw_body\" or \"headers\"";
            self.error(
                source,
                rule.symbol.span(),
                format!("{key}.raw"),
                "`raw` is for headers",
                remedy,
            );
        }
        for (value, name) in [
            (&rule.count_at_least, "count_at_least"),
            (&rule.max_hits, "max_hits"),
        ] {
            if let Some(value) = value
                .as_ref()
                .filter(|value| !(1..=1000).contains(value.get_ref()))
            {
                let problem = format!("{} is not from 1 to 1000", value.get_ref());
                self.error(
                    source,
                    value.span(),
                    format!("{key}.{name}"),
                    problem,
                    "choose a number in that range",
                );
            }
        }
        let scope = self.scope(
            source,
            key,
            rule.client.as_ref(),
            rule.direction.as_ref(),
            None,
        );
        let compiled = Rule {
            symbol: self.symbols.find(rule.symbol.get_ref())?,
            count_at_least: rule
                .count_at_least
                .as_ref()
                .map_or(1, |count| *count.get_ref()),
            max_hits: rule.max_hits.as_ref().map_or(1, |hits| *hits.get_ref()),
            scope,
        };
        Some((place, compiled))
    }

    fn header_names(
        &mut self,
        source: &Source,
        key: &str,
        header: &toml::Spanned<document::Words>,
    ) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for (span, name) in words(header) {
            if name != "*" && !super::actions::is_header_name(name) {
                let problem = format!("'{name}' is no header name");
                let remedy = "write a name without its colon, or * for any header";
                self.error(source, span, format!("{key}.header"), problem, remedy);
                return None;
            }
            names.push(name.to_ascii_lowercase());
        }
        Some(names)
    }

    #[allow(clippy::too_many_arguments)] // one rule goes to several builders
    fn rule_patterns(
        &mut self,
        source: &Source,
        key: &str,
        rule: &document::Rule,
        number: u32,
        place: &Place,
        headers: &mut HashMap<String, HeaderBuilder>,
        targets: &mut BTreeMap<Target, SetBuilder>,
    ) {
        let bytes = match place {
            Place::Headers(_) => rule.raw,
            Place::Target(target) => !matches!(
                target,
                Target::Body
                    | Target::Html
                    | Target::Uri
                    | Target::UriHost
                    | Target::AttachmentName
            ),
        };
        let flags = Flags {
            ignore_case: rule.ignore_case,
            multi_line: rule.multi_line,
            dot_all: rule.dot_all,
            bytes,
        };
        let one = rule.pattern.iter().map(|pattern| (pattern, "pattern"));
        let many = rule.patterns.iter().map(|pattern| (pattern, "patterns"));
        let mut any = false;
        for (pattern, name) in one.chain(many) {
            any = true;
            match place {
                Place::Headers(names) => {
                    for header in names {
                        let Some(compiled) =
                            self.pattern(source, &format!("{key}.{name}"), pattern, flags)
                        else {
                            break;
                        };
                        let builder = headers.entry(header.clone()).or_default();
                        let set = if rule.raw {
                            &mut builder.raw
                        } else {
                            &mut builder.decoded
                        };
                        set.push(compiled, number);
                    }
                }
                Place::Target(target) => {
                    if let Some(compiled) =
                        self.pattern(source, &format!("{key}.{name}"), pattern, flags)
                    {
                        targets.entry(*target).or_default().push(compiled, number);
                    }
                }
            }
        }
        if any {
            return;
        }
        match place {
            Place::Headers(names) => {
                for header in names {
                    headers
                        .entry(header.clone())
                        .or_default()
                        .present
                        .push(number);
                }
            }
            Place::Target(_) => {
                let remedy = "add pattern = '…'";
                self.error(
                    source,
                    rule.symbol.span(),
                    format!("{key}.pattern"),
                    "is missing",
                    remedy,
                );
            }
        }
    }

    fn pattern(
        &mut self,
        source: &Source,
        key: &str,
        pattern: &toml::Spanned<String>,
        flags: Flags,
    ) -> Option<Compiled> {
        match Compiled::new(pattern.get_ref(), flags) {
            Ok(compiled) => Some(compiled),
            Err(bad) => {
                let span = place_in(source, pattern, bad.at);
                self.error(source, span, key, bad.problem, bad.remedy);
                None
            }
        }
    }
}

/// Where in the file a place in a text is, if the text is there as it is; else where the text begins.
pub(super) fn place_in(
    source: &Source,
    text: &toml::Spanned<String>,
    at: Option<usize>,
) -> Range<usize> {
    let span = text.span();
    let written = source.text.get(span.clone()).unwrap_or_default();
    match at.and_then(|at| Some(span.start + written.find(text.get_ref().as_str())? + at)) {
        Some(place) => place..place,
        None => span,
    }
}
