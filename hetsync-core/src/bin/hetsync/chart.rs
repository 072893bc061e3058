//! What all charts share: their size, their letters and lines, and that each
//! is drawn once for SVG and PNG alike.

use std::sync::OnceLock;

use plotters::chart::{ChartContext, MeshStyle};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use crate::Failure;

/// A chart's size in its own units; pixels are that times the scale.
const SIZE: (u32, u32) = (960, 560);
/// Twice as fine, so that thin letters stay legible in a bitmap.
const PNG_SCALE: i32 = 2;
const FONT: &str = "sans-serif";

pub(crate) const INK: RGBColor = RGBColor(0x22, 0x27, 0x2e);
pub(crate) const FAINT: RGBColor = RGBColor(0x5b, 0x64, 0x70);
const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
pub(crate) const BLUE: RGBColor = RGBColor(0x12, 0x6e, 0xa8);
pub(crate) const RED: RGBColor = RGBColor(0xc0, 0x4b, 0x1c);
pub(crate) const GREEN: RGBColor = RGBColor(0x2f, 0x85, 0x5a);
pub(crate) const VIOLET: RGBColor = RGBColor(0x80, 0x5a, 0xd5);

pub(crate) type Area<DB> = DrawingArea<DB, Shift>;
pub(crate) type Axes<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(crate) type Mesh<'a, 'b, DB> = MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, DB>;

/// One chart. Lengths are to be multiplied by the scale.
pub(crate) trait Chart {
    /// What it shows, and a line of what that was measured with.
    fn titles(&self) -> (&'static str, String);

    /// Draws what is below the titles.
    fn draw<DB>(&self, plot: &Area<DB>, scale: i32) -> Result<(), Failure>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static;
}

pub(crate) fn svg(chart: &impl Chart) -> Result<Vec<u8>, Failure> {
    let mut text = String::new();
    page(SVGBackend::with_string(&mut text, SIZE), chart, 1)?;
    Ok(text.into_bytes())
}

pub(crate) fn png(chart: &impl Chart) -> Result<Vec<u8>, Failure> {
    // The bitmap is written by way of a file, as that is the one way in
    // which the backend encodes it.
    let directory = std::env::temp_dir().join(format!("hetsync-chart-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("chart.png");
    let size = (SIZE.0 * PNG_SCALE as u32, SIZE.1 * PNG_SCALE as u32);
    let drawn = page(BitMapBackend::new(&path, size), chart, PNG_SCALE);
    let bytes = std::fs::read(&path);
    std::fs::remove_dir_all(&directory)?;
    drawn?;
    Ok(bytes?)
}

fn page<DB>(backend: DB, chart: &impl Chart, scale: i32) -> Result<(), Failure>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    load_font()?;
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let left = |size: i32, color| text(size * scale, color, HPos::Left, VPos::Top);
    let (title, setting) = chart.titles();
    let at = |y: i32| (24 * scale, y * scale);
    root.draw(&Text::new(title, at(18), left(27, INK)))?;
    root.draw(&Text::new(setting, at(58), left(18, FAINT)))?;
    let (_, plot) = root.split_vertically(92 * scale);
    chart.draw(&plot, scale)?;
    root.present()?;
    Ok(())
}

/// Makes letters available, to the bitmap for drawing and to both for
/// measuring. No font of the machine is needed.
fn load_font() -> Result<(), Failure> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    match LOADED.get_or_init(|| register_font(FONT, FontStyle::Normal, font).is_ok()) {
        true => Ok(()),
        false => Err("the chart's font cannot be read".into()),
    }
}

/// The axes, with `right` units of room for the names of the lines.
pub(crate) fn axes<'a, DB>(
    plot: &'a Area<DB>,
    scale: i32,
    right: i32,
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
) -> Result<Axes<'a, DB>, Failure>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let chart = ChartBuilder::on(plot)
        .margin_left(16 * scale)
        .margin_right(right * scale)
        .margin_bottom(12 * scale)
        .x_label_area_size(52 * scale)
        .y_label_area_size(58 * scale)
        .build_cartesian_2d(x, y)?;
    Ok(chart)
}

/// Faint lines across, none upright.
pub(crate) fn plain<'m, 'a, 'b, DB: DrawingBackend>(
    mesh: &'m mut Mesh<'a, 'b, DB>,
    scale: i32,
) -> &'m mut Mesh<'a, 'b, DB> {
    let font = |size: i32, color| (FONT, size * scale).into_font().color(color);
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(scale as u32))
        .axis_style(FAINT.stroke_width(scale as u32))
        .label_style(font(17, &FAINT))
        .axis_desc_style(font(18, &INK))
}

pub(crate) fn text(size: i32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    let style = (FONT, size).into_font().color(&color);
    style.pos(Pos::new(h, v))
}
