//! Markdown tables and their numbers: three significant digits, medians and other quantiles.
//! Invariant: measures nothing.

use std::time::Duration;

/// Prints a table under a heading. All columns but the first hold numbers.
pub fn print(heading: &str, header: &[&str], rows: &[Vec<String>]) {
    println!("\n### {heading}\n\n| {} |", header.join(" | "));
    println!("|---|{}", "--:|".repeat(header.len() - 1));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// Three significant digits, with commas between thousands.
pub fn number(value: f64) -> String {
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

/// A number that is missing where the tool that finds it is not installed.
pub fn number_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// `one` as a multiple of `other`.
pub fn ratio(one: f64, other: f64) -> String {
    if other > 0.0 {
        format!("{:.2}", one / other)
    } else {
        "-".to_owned()
    }
}

/// A duration in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value below which `share` of `times` are, by the nearest rank.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// Median, 90th and 99th percentile in milliseconds.
pub fn latencies(times: &[Duration]) -> Vec<String> {
    [0.5, 0.9, 0.99]
        .map(|share| number(millis(quantile(times, share))))
        .to_vec()
}
