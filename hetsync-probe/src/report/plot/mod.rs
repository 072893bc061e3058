//! Maps as pictures: histograms as bars, summaries as box plots with their percentiles, keyed numbers as bars.
//!
//! What it is: one page of panels, drawn by one function over any plotters backend, as SVG text or PNG bytes. Fonts are
//! built in, so a machine without any draws the same picture.
//!
//! What it is not: it writes no file. Maps without keys and with a single number have no picture; neither have strings.

mod axis;
mod canvas;
mod panel;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use plotters::prelude::DrawingBackend;

use crate::report::map::MapReport;
use canvas::Canvas;
use panel::Panel;

/// Width of a page in pixels of the SVG; a PNG has [`PNG_SCALE`] times as many.
const PAGE_WIDTH: i32 = 960;
/// Pixels of a PNG for one of the page, so that text stays sharp on dense screens.
const PNG_SCALE: i32 = 2;
/// Most panels on a page; what is left out is said on it.
const MOST_PANELS: usize = 24;
/// Space around and between panels.
const MARGIN: i32 = 24;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// No map has anything to draw.
    #[error("nothing to plot: no histogram, summary or keyed map of numbers has a value")]
    Nothing,
    /// The drawing library failed.
    #[error("cannot draw the picture: {0}")]
    Draw(String),
    /// The image could not be encoded.
    #[error("cannot encode the picture")]
    Encode(#[from] png::EncodingError),
}

/// The maps as the text of an SVG file.
///
/// # Errors
/// [`PlotError`] if there is nothing to draw or drawing fails.
pub fn svg(maps: &[MapReport<'_>]) -> Result<String, PlotError> {
    let page = Page::of(maps)?;
    let mut text = String::new();
    let size = (PAGE_WIDTH as u32, page.height() as u32);
    page.draw(SVGBackend::with_string(&mut text, size), 1)?;
    Ok(text)
}

/// The maps as the bytes of a PNG file.
///
/// # Errors
/// [`PlotError`] if there is nothing to draw, or drawing or encoding fails.
pub fn png(maps: &[MapReport<'_>]) -> Result<Vec<u8>, PlotError> {
    let page = Page::of(maps)?;
    let (width, height) = (
        (PAGE_WIDTH * PNG_SCALE) as u32,
        (page.height() * PNG_SCALE) as u32,
    );
    let mut pixels = vec![0; width as usize * height as usize * 3];
    page.draw(
        BitMapBackend::with_buffer(&mut pixels, (width, height)),
        PNG_SCALE,
    )?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// A panel's place: left, top, width, height.
type Place = (i32, i32, i32, i32);

/// All panels with their places.
struct Page {
    panels: Vec<(Panel, Place)>,
    bottom: i32,
    left_out: usize,
}

impl Page {
    fn of(maps: &[MapReport<'_>]) -> Result<Page, PlotError> {
        let mut panels: Vec<Panel> = maps.iter().flat_map(Panel::of).collect();
        if panels.is_empty() {
            return Err(PlotError::Nothing);
        }
        let left_out = panels.len().saturating_sub(MOST_PANELS);
        panels.truncate(MOST_PANELS);
        let full = PAGE_WIDTH - 2 * MARGIN;
        let half = (full - MARGIN) / 2;
        let (mut placed, mut top, mut beside) = (Vec::new(), MARGIN, None);
        let halves = panels.iter().filter(|panel| panel.may_be_narrow()).count() > 2;
        for panel in panels {
            let height = panel.height();
            if halves && panel.may_be_narrow() {
                // Two to a row; the first of a row leaves its place beside it open.
                match beside.take() {
                    Some(y) => placed.push((panel, (MARGIN + half + MARGIN, y, half, height))),
                    None => {
                        placed.push((panel, (MARGIN, top, half, height)));
                        beside = Some(top);
                        top += height + MARGIN;
                    }
                }
            } else {
                beside = None;
                placed.push((panel, (MARGIN, top, full, height)));
                top += height + MARGIN;
            }
        }
        Ok(Page {
            panels: placed,
            bottom: top,
            left_out,
        })
    }

    fn height(&self) -> i32 {
        self.bottom + if self.left_out == 0 { 0 } else { MARGIN }
    }

    fn draw<B: DrawingBackend>(&self, backend: B, scale: i32) -> Result<(), PlotError> {
        let failed = |error: String| PlotError::Draw(error);
        let root = backend.into_drawing_area();
        root.fill(&canvas::PAPER)
            .map_err(|e| failed(e.to_string()))?;
        for (panel, (x, y, width, height)) in &self.panels {
            let canvas = Canvas::new(&root, scale, (*x, *y, *width, *height));
            panel.draw(&canvas).map_err(|e| failed(e.to_string()))?;
        }
        if self.left_out != 0 {
            let canvas = Canvas::new(
                &root,
                scale,
                (MARGIN, self.bottom, PAGE_WIDTH - 2 * MARGIN, MARGIN),
            );
            let note = format!("{} more panels are not shown", self.left_out);
            canvas
                .text((0, 0), &note, canvas::Style::small())
                .map_err(|e| failed(e.to_string()))?;
        }
        root.present().map_err(|e| failed(e.to_string()))
    }
}
