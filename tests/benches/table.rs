//! Markdown tables, and figures in them: three significant digits, medians and other quantiles.
//! Must not measure.

use std::time::Duration;

/// A table under a heading; every column but the first holds figures.
pub fn print(heading: &str, header: &[&str], rows: &[Vec<String>]) {
    println!("\n### {heading}\n\n| {} |", header.join(" | "));
    println!("|---|{}", "--:|".repeat(header.len() - 1));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// Three significant digits, thousands apart.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits: Vec<char> = whole.chars().rev().collect();
    let grouped: Vec<String> = digits
        .chunks(3)
        .map(|three| three.iter().collect())
        .collect();
    let whole: String = grouped.join(",").chars().rev().collect();
    format!("{whole}{rest}")
}

/// A figure that is there only where a tool of this machine could find it.
pub fn found(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), figure)
}

/// `one` as a multiple of `other`.
pub fn ratio(one: f64, other: f64) -> String {
    if other > 0.0 {
        format!("{:.2}", one / other)
    } else {
        "-".to_owned()
    }
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value below which `share` of `times` lie.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// Median, 90th and 99th percentile in milliseconds.
pub fn latencies(times: &[Duration]) -> Vec<String> {
    [0.5, 0.9, 0.99]
        .map(|share| figure(millis(quantile(times, share))))
        .to_vec()
}
