//! The story as a picture: latency above, what was put off below, over time.

use std::fmt::Write as _;
use std::time::Duration;

use super::figures::{Sample, Sampled, Story};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// Top and bottom of the two panels.
const LATENCY: (f64, f64) = (60.0, 290.0);
const SHED: (f64, f64) = (340.0, 470.0);
/// The latency axis, logarithmic. Milliseconds.
const LATENCIES: (f64, f64) = (10.0, 10_000.0);
/// What one point of a line is of.
const STEP: Duration = Duration::from_millis(500);

/// An SVG of it.
pub(super) fn draw(story: &Story) -> String {
    let parts = u32::try_from(story.parts.len()).unwrap_or(1);
    let all = story.part * parts;
    let x = |at: Duration| LEFT + at.as_secs_f64() / all.as_secs_f64() * (WIDTH - LEFT - RIGHT);
    let points = points(story, all);
    let most = points.iter().map(|(_, one)| one.shed).fold(0.05, f64::max);
    let shed = |share: f64| SHED.1 - share / most * (SHED.1 - SHED.0);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 510\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"510\" fill=\"white\"/>\n"
    );
    for ((what, _, _, _), number) in story.parts.iter().zip(0..) {
        let at = x(story.part * number);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"40\" x2=\"{at:.1}\" y2=\"{}\" stroke=\"#bbb\" stroke-dasharray=\"3 3\"/>\n\
             <text x=\"{:.1}\" y=\"50\" fill=\"#555\">{what}</text>\n\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{} s</text>",
            SHED.1,
            at + 4.0,
            SHED.1 + 18.0,
            (story.part * number).as_secs()
        );
    }
    for ms in [10.0, 100.0, 1000.0, 10_000.0] {
        rule(&mut svg, latency(ms), &format!("{ms} ms"));
    }
    for share in [0.0, most / 2.0, most] {
        rule(&mut svg, shed(share), &format!("{:.1} %", share * 100.0));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let answered = || points.iter().filter(|(_, one)| !one.p50.is_zero());
    let p50 = answered().map(|(at, one)| (x(*at), latency(ms(one.p50))));
    line(&mut svg, "#1f77b4", p50);
    let p99 = answered().map(|(at, one)| (x(*at), latency(ms(one.p99))));
    line(&mut svg, "#d62728", p99);
    let put_off = points.iter().map(|(at, one)| (x(*at), shed(one.shed)));
    line(&mut svg, "#2ca02c", put_off);
    for (color, name, at) in [
        ("#1f77b4", "p50 of messages that were judged", 0.0),
        ("#d62728", "p99", 240.0),
        (
            "#2ca02c",
            "share of messages that were put off (below)",
            300.0,
        ),
    ] {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"24\" fill=\"{color}\">{name}</text>",
            LEFT + at
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Figures of each half second, by when a message was begun.
fn points(story: &Story, all: Duration) -> Vec<(Duration, Sampled)> {
    let mut points = Vec::new();
    let mut at = Duration::ZERO;
    while at < all {
        let within = story.samples.iter();
        let within = within.filter(|sample| sample.begun >= at && sample.begun < at + STEP);
        let within: Vec<Sample> = within.copied().collect();
        points.push((at + STEP / 2, Sampled::of(&within)));
        at += STEP;
    }
    points
}

fn latency(ms: f64) -> f64 {
    let (least, most) = (LATENCIES.0.ln(), LATENCIES.1.ln());
    let share = (ms.clamp(LATENCIES.0, LATENCIES.1).ln() - least) / (most - least);
    LATENCY.1 - share * (LATENCY.1 - LATENCY.0)
}

fn rule(svg: &mut String, y: f64, label: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
         <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
        WIDTH - RIGHT,
        LEFT - 6.0,
        y + 4.0
    );
}

fn line(svg: &mut String, color: &str, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>",
        points.join(" ")
    );
}
