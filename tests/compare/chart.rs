use std::fmt::Write as _;

use crate::{
    comparison::Comparison,
    row::{Figure, Unit},
    table::three_digits,
};

const WIDTH: f64 = 860.0;
/// The begin and the end of the bars.
const LEFT: f64 = 350.0;
const RIGHT: f64 = 800.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;

/// Both backgrounds are met with: pages are light or dark, and an image is asked by the page's reader.
const STYLE: &str = "text { font: 12px system-ui, sans-serif; fill: #1f2328; } .small { font-size: 10px; fill: #59636e; } \
.head { font-weight: 600; } .grid { stroke: #d1d9e0; } \
.p0 { fill: #bc4c00; } .p1 { fill: #8c959f; } .p2 { fill: #0969da; } .p3 { fill: #1a7f37; } .p4 { fill: #8250df; } \
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .small { fill: #9198a1; } .grid { stroke: #3d444d; } \
.p0 { fill: #f0883e; } .p1 { fill: #848d97; } .p2 { fill: #58a6ff; } .p3 { fill: #3fb950; } .p4 { fill: #a371f7; } }";

/// Returns the figures as bars on logarithmic scales, one for each unit.
pub(crate) fn svg(comparison: &Comparison) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    for (index, peer) in comparison.peers.iter().enumerate() {
        let x = 16.0 + 165.0 * index as f64;
        let _ = write!(body, r#"<rect class="p{index}" x="{x}" y="{}" width="11" height="11"/>"#, y - 10.0);
        let _ = writeln!(body, r#"<text x="{}" y="{y}">{}</text>"#, x + 17.0, escaped(&peer.title));
    }
    y += 30.0;
    for (title, unit) in [
        ("Processor time, µs for each message or delivery (less is better)", Unit::Microseconds),
        ("Latency, µs (less is better)", Unit::Latency),
        ("Connections opened and closed for each second of processor time (more is better)", Unit::PerSecond),
        ("Memory, KiB (less is better)", Unit::Kibibytes),
    ] {
        let figures = comparison.rows.iter().flat_map(|row| row.figures);
        let figures: Vec<_> = figures.filter(|figure| figure.unit == unit).collect();
        y = block(comparison, &mut body, title, &figures, y);
    }
    for line in &comparison.about {
        let _ = writeln!(body, r#"<text class="small" x="16" y="{y}">{}</text>"#, escaped(line));
        y += 15.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" role=\"img\">\n\
         <title>Processor time and memory of WebSocket servers</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// Draws figures of one unit from `y` on; returns where it ends.
fn block(comparison: &Comparison, body: &mut String, title: &str, figures: &[&Figure], mut y: f64) -> f64 {
    let numbers = figures.iter().flat_map(|figure| {
        comparison.peers.iter().filter_map(|peer| comparison.results.median(figure.title, peer.name))
    });
    let numbers: Vec<_> = numbers.filter(|number| *number > 0.0).collect();
    let (Some(least), Some(most)) =
        (numbers.iter().copied().reduce(f64::min), numbers.iter().copied().reduce(f64::max))
    else {
        return y;
    };
    let (first, last) = (least.log10().floor(), (most.log10().ceil()).max(least.log10().floor() + 1.0));
    let place = |number: f64| LEFT + (RIGHT - LEFT) * (number.log10() - first) / (last - first);

    let _ = writeln!(body, r#"<text class="head" x="16" y="{y}">{title}</text>"#);
    y += 22.0;
    let top = y;
    let mut bars = String::new();
    for figure in figures {
        let shown = comparison.peers.iter().enumerate().filter_map(|(index, peer)| {
            Some((index, comparison.results.median(figure.title, peer.name).filter(|number| *number > 0.0)?))
        });
        let shown: Vec<_> = shown.collect();
        let middle = y + BAR * shown.len() as f64 / 2.0 + 4.0;
        let x = LEFT - 10.0;
        let _ = writeln!(
            bars,
            r#"<text x="{x}" y="{middle:.1}" text-anchor="end">{}</text>"#,
            escaped(figure.title)
        );
        for (index, number) in shown {
            let width = (place(number) - LEFT).max(1.0);
            let height = BAR - 1.0;
            let _ = write!(
                bars,
                r#"<rect class="p{index}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{height}"/>"#
            );
            let (x, y_text) = (LEFT + width + 4.0, y + BAR - 2.0);
            let _ = writeln!(
                bars,
                r#"<text class="small" x="{x:.1}" y="{y_text:.1}">{}</text>"#,
                three_digits(number)
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut power = first;
    while power <= last {
        let x = place(10_f64.powf(power));
        let label = three_digits(10_f64.powf(power));
        let _ =
            write!(body, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top:.1}" y2="{:.1}"/>"#, y - GAP);
        let _ = writeln!(
            body,
            r#"<text class="small" x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            top - 4.0
        );
        power += 1.0;
    }
    body.push_str(&bars);
    y + 18.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
