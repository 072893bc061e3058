//! The kinds of panels and how each is drawn.

use plotters::prelude::DrawingBackend;

use crate::report::histogram::{Histogram, Row, Scale};
use crate::report::map::{Entry, MapReport};
use crate::report::summary::{Summary, percentile_name};
use crate::report::value::{Scalar, Value, per_second, share};

use super::axis::{Axis, human};
use super::canvas::{ACCENT, BAR, BOX, Canvas, Drawn, EDGE, GRID, INK, MUTED, Style};

/// Most keys in one panel of boxes or bars.
const MOST_KEYS: usize = 24;
/// Height of one key's row in a panel of boxes, and of bars.
const BOX_ROW: i32 = 64;
const BAR_ROW: i32 = 26;
/// Height of a panel's title with its subtitle.
const HEAD: i32 = 56;
/// Height of an axis with its numbers and its name.
const FOOT: i32 = 48;

/// One picture of a page.
pub(super) struct Panel {
    title: String,
    subtitle: String,
    /// What the number axis shows.
    quantity: String,
    content: Content,
}

enum Content {
    Histogram(Histogram),
    Boxes(Vec<(String, Summary)>),
    Bars(Vec<(String, f64)>),
}

impl Panel {
    /// The panels of a map: one a key for histograms, else one, or none if there is nothing to draw.
    pub(super) fn of(map: &MapReport<'_>) -> Vec<Panel> {
        let panel = |title, subtitle, content| Panel {
            title,
            subtitle,
            quantity: quantity(map),
            content,
        };
        let samples = |n: u64| {
            format!(
                "{} sample{}",
                human(n as f64),
                if n == 1 { "" } else { "s" }
            )
        };
        // The largest come last in a report; in a picture they come first.
        let entries = map.entries.iter().rev();
        let histograms: Vec<Panel> = entries
            .clone()
            .filter_map(|entry| match &entry.value {
                Value::Histogram(histogram) | Value::Cdf(histogram) if histogram.total() != 0 => {
                    let title = if map.is_keyed() {
                        format!("{}[{}]", map.name(), label(entry))
                    } else {
                        map.name()
                    };
                    Some(panel(
                        title,
                        samples(histogram.total()),
                        Content::Histogram(histogram.clone()),
                    ))
                }
                _ => None,
            })
            .collect();
        if !histograms.is_empty() {
            return histograms;
        }
        let key = |entry: &Entry| {
            if map.is_keyed() {
                label(entry)
            } else {
                map.name()
            }
        };
        let mut boxes: Vec<(String, Summary)> = map
            .entries
            .iter()
            .filter_map(|entry| match &entry.value {
                Value::Summary(summary) if summary.count() != 0 => {
                    Some((key(entry), summary.clone()))
                }
                _ => None,
            })
            .collect();
        if !boxes.is_empty() {
            let note = shortened(&mut boxes);
            let subtitle = format!(
                "box: 25% to 75%, line: median, diamond: mean, whiskers: min and max{note}"
            );
            return vec![panel(map.name(), subtitle, Content::Boxes(boxes))];
        }
        let mut bars: Vec<(String, f64)> = entries
            .filter(|_| map.is_keyed())
            .filter_map(|entry| Some((key(entry), number(&entry.value)?)))
            .collect();
        if bars.is_empty() {
            return vec![];
        }
        let note = shortened(&mut bars);
        let subtitle = format!("by key, the largest first{note}");
        vec![panel(map.name(), subtitle, Content::Bars(bars))]
    }

    /// Whether half a page's width is enough.
    pub(super) fn may_be_narrow(&self) -> bool {
        matches!(self.content, Content::Histogram(_))
    }

    /// Height in page pixels.
    pub(super) fn height(&self) -> i32 {
        match &self.content {
            Content::Histogram(_) => 320,
            Content::Boxes(boxes) => HEAD + boxes.len() as i32 * BOX_ROW + FOOT,
            Content::Bars(bars) => HEAD + bars.len() as i32 * BAR_ROW + FOOT,
        }
    }

    /// Draws the panel over the whole canvas.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Drawn<B> {
        let title = canvas.fitted(&self.title, canvas.width, Style::title());
        canvas.text((0, 0), &title, Style::title())?;
        let subtitle = canvas.fitted(&self.subtitle, canvas.width, Style::small());
        canvas.text((0, 25), &subtitle, Style::small())?;
        match &self.content {
            Content::Histogram(histogram) => self.draw_histogram(canvas, histogram),
            Content::Boxes(boxes) => self.draw_boxes(canvas, boxes),
            Content::Bars(bars) => self.draw_bars(canvas, bars),
        }
    }

    fn draw_histogram<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        histogram: &Histogram,
    ) -> Drawn<B> {
        let rows: Vec<Row> = histogram.rows().collect();
        let most = rows.iter().map(|row| row.count).max().unwrap_or(0);
        let axis = Axis::from_zero(most as f64);
        let ticks = axis.ticks(4);
        let widest = ticks
            .iter()
            .map(|x| canvas.text_width(&human(*x), Style::small()))
            .max()
            .unwrap_or(0);
        let (left, right, top, bottom) = (widest + 32, canvas.width, HEAD, canvas.height - FOOT);
        let y =
            |count: f64| bottom - (axis.position(count) * f64::from(bottom - top)).round() as i32;
        for tick in ticks {
            canvas.line((left, y(tick)), (right, y(tick)), GRID, 1)?;
            canvas.text(
                (left - 8, y(tick) + 2),
                &human(tick),
                Style::small().right(),
            )?;
        }
        canvas.text((0, (top + bottom) / 2), "samples", Style::small().upward())?;
        let edge =
            |at: usize| left + ((right - left) as i64 * at as i64 / rows.len() as i64) as i32;
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.count != 0) {
            // A bar of few samples beside one of very many is still to be seen.
            let height = y(row.count as f64).min(bottom - 1);
            let gap = if edge(at + 1) - edge(at) > 6 { 1 } else { 0 };
            canvas.rectangle((edge(at) + gap, height), (edge(at + 1) - gap, bottom), BAR)?;
        }
        canvas.line((left, bottom), (right, bottom), MUTED, 1)?;
        self.draw_edges(canvas, histogram, &rows, edge, bottom)?;
        canvas.text(
            ((left + right) / 2, canvas.height - 18),
            &self.quantity,
            Style::small().centred(),
        )
    }

    /// The numbers between the bars: every edge, or every so-many-th where there is no room; of the parts of split powers
    /// of two the powers.
    fn draw_edges<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        histogram: &Histogram,
        rows: &[Row],
        edge: impl Fn(usize) -> i32,
        bottom: i32,
    ) -> Drawn<B> {
        let labels: Vec<String> = (0..=rows.len())
            .map(|at| edge_label(histogram, rows, at))
            .collect();
        let width = |text: &str| canvas.text_width(text, Style::small());
        let eligible: Vec<usize> = (0..labels.len())
            .filter(|&at| is_round(histogram.scale, rows, at))
            .collect();
        let stride = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
            .into_iter()
            .find(|&stride| {
                let shown: Vec<usize> = eligible.iter().copied().step_by(stride).collect();
                let fits = |pair: &[usize]| {
                    let between = (width(&labels[pair[0]]) + width(&labels[pair[1]])) / 2 + 8;
                    edge(pair[1]) - edge(pair[0]) >= between
                };
                shown.windows(2).all(fits)
            })
            .unwrap_or(2000);
        for at in eligible.into_iter().step_by(stride) {
            let x = edge(at).min(canvas.width - width(&labels[at]) / 2);
            canvas.line((edge(at), bottom), (edge(at), bottom + 4), MUTED, 1)?;
            canvas.text((x, bottom + 7), &labels[at], Style::small().centred())?;
        }
        Ok(())
    }

    fn draw_boxes<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        boxes: &[(String, Summary)],
    ) -> Drawn<B> {
        let numbers: Vec<f64> = boxes
            .iter()
            .flat_map(|(_, summary)| {
                summary
                    .statistics()
                    .into_iter()
                    .skip(3)
                    .filter_map(|(_, n)| n.value())
            })
            .collect();
        let axis = Axis::holding(&numbers);
        let left = self.draw_keys(canvas, boxes.iter().map(|(key, _)| key.as_str()), BOX_ROW)?;
        let (right, bottom) = (canvas.width - 16, HEAD + boxes.len() as i32 * BOX_ROW);
        let x = |n: f64| left + (axis.position(n) * f64::from(right - left)).round() as i32;
        self.draw_number_axis(canvas, axis, left, right, bottom)?;
        for (at, (_, summary)) in boxes.iter().enumerate() {
            let y = HEAD + at as i32 * BOX_ROW + BOX_ROW / 2 + 4;
            draw_box(canvas, summary, y, &x)?;
        }
        Ok(())
    }

    fn draw_bars<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        bars: &[(String, f64)],
    ) -> Drawn<B> {
        let most = bars.iter().map(|(_, n)| *n).fold(0.0, f64::max);
        let least = bars.iter().map(|(_, n)| *n).fold(0.0, f64::min);
        let axis = if least < 0.0 {
            Axis::holding(&[least, most])
        } else {
            Axis::from_zero(most)
        };
        let left = self.draw_keys(canvas, bars.iter().map(|(key, _)| key.as_str()), BAR_ROW)?;
        let room = bars
            .iter()
            .map(|(_, n)| canvas.text_width(&human(*n), Style::small()))
            .max()
            .unwrap_or(0);
        let (right, bottom) = (canvas.width - room - 16, HEAD + bars.len() as i32 * BAR_ROW);
        let x = |n: f64| left + (axis.position(n) * f64::from(right - left)).round() as i32;
        self.draw_number_axis(canvas, axis, left, right, bottom)?;
        for (at, (_, n)) in bars.iter().enumerate() {
            let y = HEAD + at as i32 * BAR_ROW;
            let (from, to) = (
                x(0.0).min(x(*n)),
                x(0.0).max(x(*n)).max(x(0.0).min(x(*n)) + 1),
            );
            canvas.rectangle((from, y + 4), (to, y + BAR_ROW - 4), BAR)?;
            canvas.text((to + 8, y + BAR_ROW / 2), &human(*n), Style::small().left())?;
        }
        canvas.line((x(0.0), HEAD), (x(0.0), bottom), MUTED, 1)
    }

    /// The keys down the left side; returns where the plot begins.
    fn draw_keys<'k, B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        keys: impl Iterator<Item = &'k str> + Clone,
        row: i32,
    ) -> Result<i32, plotters::drawing::DrawingAreaErrorKind<B::ErrorType>> {
        let style = Style::small().color(INK);
        let widest = keys
            .clone()
            .map(|key| canvas.text_width(key, style))
            .max()
            .unwrap_or(0);
        let left = widest.min(canvas.width / 4) + 16;
        for (at, key) in keys.enumerate() {
            let text = canvas.fitted(key, left - 16, style);
            canvas.text(
                (left - 12, HEAD + at as i32 * row + row / 2),
                &text,
                style.right(),
            )?;
        }
        Ok(left)
    }

    fn draw_number_axis<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        axis: Axis,
        left: i32,
        right: i32,
        bottom: i32,
    ) -> Drawn<B> {
        let mut taken = i32::MIN;
        for tick in axis.ticks(8) {
            let x = left + (axis.position(tick) * f64::from(right - left)).round() as i32;
            canvas.line((x, HEAD), (x, bottom), GRID, 1)?;
            let half = canvas.text_width(&human(tick), Style::small()) / 2;
            if x - half >= taken {
                canvas.text((x, bottom + 7), &human(tick), Style::small().centred())?;
                taken = x + half + 8;
            }
        }
        canvas.line((left, bottom), (right, bottom), MUTED, 1)?;
        let name = if axis.is_log() {
            format!("{}, log scale", self.quantity)
        } else {
            self.quantity.clone()
        };
        canvas.text(
            ((left + right) / 2, bottom + 28),
            &name,
            Style::small().centred(),
        )
    }
}

/// One key's box, whiskers, percentiles and labels around the line `y`.
fn draw_box<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    summary: &Summary,
    y: i32,
    x: &impl Fn(f64) -> i32,
) -> Drawn<B> {
    const HALF: i32 = 12;
    let at = |p: u32| summary.percentile(p).value();
    let (Some(min), Some(max)) = (summary.min().value(), summary.max().value()) else {
        return Ok(());
    };
    canvas.line((x(min), y), (x(max), y), EDGE, 1)?;
    for end in [min, max] {
        canvas.line((x(end), y - 6), (x(end), y + 6), EDGE, 1)?;
    }
    if let (Some(low), Some(high)) = (at(25_000), at(75_000)) {
        let (from, to) = ((x(low), y - HALF), (x(high).max(x(low) + 1), y + HALF));
        canvas.rectangle(from, to, BOX)?;
        canvas.frame(from, to, EDGE)?;
    }
    let mut labels = vec![(x(min), human(min), MUTED), (x(max), human(max), MUTED)];
    for p in summary
        .percentiles()
        .iter()
        .copied()
        .filter(|p| ![0, 25_000, 50_000, 75_000, 100_000].contains(p))
    {
        if let Some(n) = at(p) {
            canvas.line((x(n), y - 9), (x(n), y + 9), ACCENT, 1)?;
            labels.push((x(n), format!("{} {}", percentile_name(p), human(n)), ACCENT));
        }
    }
    if let Some(median) = at(50_000) {
        canvas.line((x(median), y - HALF), (x(median), y + HALF), EDGE, 2)?;
        labels.insert(0, (x(median), human(median), INK));
    }
    if let Some(mean) = summary.mean() {
        canvas.diamond((x(mean), y), 4, ACCENT)?;
    }
    // The median first; a label that would touch an earlier one goes below the line, or is left out.
    let mut taken: [Vec<(i32, i32)>; 2] = [vec![], vec![]];
    for (at, text, color) in labels {
        let half = canvas.text_width(&text, Style::small()) / 2 + 4;
        let at = at.min(canvas.width - half);
        let free = |row: &Vec<(i32, i32)>| {
            row.iter()
                .all(|(from, to)| at + half < *from || at - half > *to)
        };
        if free(&taken[0]) {
            taken[0].push((at - half, at + half));
            canvas.text(
                (at, y - HALF - 3),
                &text,
                Style::small().above().color(color),
            )?;
        } else if free(&taken[1]) {
            taken[1].push((at - half, at + half));
            canvas.text(
                (at, y + HALF + 2),
                &text,
                Style::small().centred().color(color),
            )?;
        }
    }
    Ok(())
}

/// The axis title: the unit spelled out, or what the map holds.
fn quantity(map: &MapReport<'_>) -> String {
    if let Some(Value::Share { .. }) = map.entries.first().map(|entry| &entry.value) {
        return "percent within the limit".to_owned();
    }
    if let Some(Value::Rate { .. }) = map.entries.first().map(|entry| &entry.value) {
        return format!("{} a second", map.unit().unwrap_or("count"));
    }
    let unit = match map.unit() {
        Some("ns") => "nanoseconds",
        Some("us") => "microseconds",
        Some("ms") => "milliseconds",
        Some("s") => "seconds",
        Some(other) => other,
        None => match map.entries.first().map(|entry| &entry.value) {
            Some(Value::Count(_)) => "count",
            Some(Value::Sum(_)) => "sum",
            Some(Value::Avg(_) | Value::Stats { .. }) => "average",
            Some(Value::Min(_)) => "minimum",
            Some(Value::Max(_)) => "maximum",
            _ => "value",
        },
    };
    unit.to_string()
}

fn label(entry: &Entry) -> String {
    entry
        .key_text(", ")
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// What a bar shows; `None` for what is no number.
fn number(value: &Value) -> Option<f64> {
    let scalar = |x: &Scalar| x.as_integer().map(|n| n as f64);
    match value {
        Value::Count(n) => Some(*n as f64),
        Value::Scalar(x) | Value::Sum(x) | Value::Avg(x) | Value::Min(x) | Value::Max(x) => {
            scalar(x)
        }
        Value::Stats { average, .. } => scalar(average),
        Value::Share { count, within, .. } => Some(100.0 * share(*within, *count)),
        Value::Rate { total, ns } => Some(per_second(total, *ns)),
        Value::Histogram(_) | Value::Cdf(_) | Value::Summary(_) => None,
    }
}

/// Drops keys that have no room; the words that say so.
fn shortened<T>(keys: &mut Vec<T>) -> String {
    let left_out = keys.len().saturating_sub(MOST_KEYS);
    keys.truncate(MOST_KEYS);
    if left_out == 0 {
        String::new()
    } else {
        format!("; {left_out} more keys are not shown")
    }
}

/// The number at the left edge of row `at`, or the right edge of the last one.
fn edge_label(histogram: &Histogram, rows: &[Row], at: usize) -> String {
    let inner = |label: String| label.trim_matches(['[', '(', ')', ']']).to_string();
    match (rows.get(at), rows.last()) {
        (Some(row), _) if row.low.is_none() => "-∞".into(),
        (Some(row), _) => inner(histogram.label(row))
            .split(", ")
            .next()
            .unwrap_or("")
            .into(),
        (
            None,
            Some(Row {
                high: Some(high),
                low: Some(low),
                ..
            }),
        ) if high == low => high.saturating_add(1).to_string(),
        (None, Some(row)) if row.high.is_some() => inner(histogram.label(row))
            .rsplit(", ")
            .next()
            .unwrap_or("")
            .into(),
        (None, _) => "∞".into(),
    }
}

/// Whether the edge before row `at` may be labelled: any but the inner ones of a split power of two.
fn is_round(scale: Scale, rows: &[Row], at: usize) -> bool {
    let edge = match rows.get(at) {
        Some(row) => row.low,
        None => rows
            .last()
            .and_then(|row| row.high)
            .map(|high| high.saturating_add(1)),
    };
    match (scale, edge) {
        (Scale::Log { bits: 1.. }, Some(edge)) if rows.len() > 8 => {
            edge & (edge.wrapping_sub(1)) == 0
        }
        _ => true,
    }
}
