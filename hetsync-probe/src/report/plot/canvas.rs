//! A panel's drawing surface: whole pixels of the page, scaled for the backend; colours and text styles.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle, register_font,
};

pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);
pub(super) const INK: RGBColor = RGBColor(31, 41, 51);
pub(super) const MUTED: RGBColor = RGBColor(98, 108, 120);
pub(super) const GRID: RGBColor = RGBColor(228, 231, 236);
pub(super) const BAR: RGBColor = RGBColor(52, 120, 184);
pub(super) const BOX: RGBColor = RGBColor(190, 215, 240);
pub(super) const EDGE: RGBColor = RGBColor(31, 90, 150);
pub(super) const ACCENT: RGBColor = RGBColor(208, 74, 20);

/// What drawing on backend `B` can fail with.
pub(super) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// A point, in page pixels from the panel's upper left corner.
pub(super) type Point = (i32, i32);

/// How a text is set.
#[derive(Clone, Copy)]
pub(super) struct Style {
    size: i32,
    color: RGBColor,
    across: HPos,
    down: VPos,
    upward: bool,
}

impl Style {
    pub(super) fn title() -> Style {
        Style {
            size: 18,
            color: INK,
            across: HPos::Left,
            down: VPos::Top,
            upward: false,
        }
    }

    pub(super) fn small() -> Style {
        Style {
            size: 13,
            color: MUTED,
            ..Style::title()
        }
    }

    pub(super) fn color(self, color: RGBColor) -> Style {
        Style { color, ..self }
    }

    /// Anchored at the middle of its upper edge.
    pub(super) fn centred(self) -> Style {
        Style {
            across: HPos::Center,
            ..self
        }
    }

    /// Anchored at the middle of its right edge.
    pub(super) fn right(self) -> Style {
        Style {
            across: HPos::Right,
            down: VPos::Center,
            ..self
        }
    }

    /// Anchored at the middle of its left edge.
    pub(super) fn left(self) -> Style {
        Style {
            across: HPos::Left,
            down: VPos::Center,
            ..self
        }
    }

    /// Anchored at the middle of its lower edge.
    pub(super) fn above(self) -> Style {
        Style {
            across: HPos::Center,
            down: VPos::Bottom,
            ..self
        }
    }

    /// Reading upward, centred.
    pub(super) fn upward(self) -> Style {
        Style {
            across: HPos::Center,
            upward: true,
            ..self
        }
    }
}

/// A rectangle of the page to draw on.
pub(super) struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    scale: i32,
    corner: Point,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl<'a, B: DrawingBackend> Canvas<'a, B> {
    pub(super) fn new(area: &'a DrawingArea<B, Shift>, scale: i32, place: super::Place) -> Self {
        static FONTS: Once = Once::new();
        FONTS.call_once(|| {
            // The font is part of the program and known to parse; without it text would fail to draw, with an error.
            let font = epaint_default_fonts::UBUNTU_LIGHT;
            let _ = register_font("sans-serif", FontStyle::Normal, font);
        });
        let (x, y, width, height) = place;
        Canvas {
            area,
            scale,
            corner: (x, y),
            width,
            height,
        }
    }

    fn at(&self, (x, y): Point) -> Point {
        (
            (self.corner.0 + x) * self.scale,
            (self.corner.1 + y) * self.scale,
        )
    }

    pub(super) fn line(&self, from: Point, to: Point, color: RGBColor, width: i32) -> Drawn<B> {
        let style = color.stroke_width((width * self.scale) as u32);
        self.area
            .draw(&PathElement::new([self.at(from), self.at(to)], style))
    }

    pub(super) fn rectangle(&self, from: Point, to: Point, color: RGBColor) -> Drawn<B> {
        self.area.draw(&Rectangle::new(
            [self.at(from), self.at(to)],
            color.filled(),
        ))
    }

    pub(super) fn frame(&self, from: Point, to: Point, color: RGBColor) -> Drawn<B> {
        let style: ShapeStyle = color.stroke_width(self.scale as u32);
        self.area
            .draw(&Rectangle::new([self.at(from), self.at(to)], style))
    }

    /// A square standing on its corner.
    pub(super) fn diamond(&self, (x, y): Point, half: i32, color: RGBColor) -> Drawn<B> {
        let corners = [(x - half, y), (x, y - half), (x + half, y), (x, y + half)];
        self.area
            .draw(&Polygon::new(corners.map(|p| self.at(p)), color.filled()))
    }

    pub(super) fn text(&self, at: Point, text: &str, style: Style) -> Drawn<B> {
        self.area
            .draw(&Text::new(text.to_string(), self.at(at), self.style(style)))
    }

    /// Width of a text in page pixels.
    pub(super) fn text_width(&self, text: &str, style: Style) -> i32 {
        let estimated = self.area.estimate_text_size(text, &self.style(style));
        estimated.map_or(0, |(width, _)| width as i32 / self.scale)
    }

    /// The text, shortened with an ellipsis to fit.
    pub(super) fn fitted(&self, text: &str, width: i32, style: Style) -> String {
        if self.text_width(text, style) <= width {
            return text.to_string();
        }
        let mut kept: Vec<char> = text.chars().collect();
        loop {
            kept.pop();
            let shortened: String = kept.iter().chain(&['…']).collect();
            if kept.is_empty() || self.text_width(&shortened, style) <= width {
                return shortened;
            }
        }
    }

    fn style(&self, style: Style) -> TextStyle<'static> {
        let mut font = FontDesc::from(("sans-serif", style.size * self.scale));
        if style.upward {
            font = font.transform(FontTransform::Rotate270);
        }
        TextStyle {
            font,
            color: style.color.to_backend_color(),
            pos: Pos::new(style.across, style.down),
        }
    }
}
