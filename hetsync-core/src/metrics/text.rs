//! The exposition format, sample by sample.

use std::fmt::Write as _;

/// A text that grows family by family.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    family: &'static str,
}

impl Text {
    pub(super) fn counter(&mut self, name: &'static str, help: &str) {
        self.open(name, "counter", help);
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) {
        self.open(name, "gauge", help);
    }

    pub(super) fn summary(&mut self, name: &'static str, help: &str) {
        self.open(name, "summary", help);
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) {
        self.open(name, "histogram", help);
    }

    fn open(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample of the family that was opened last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// One of the several series of a histogram or summary.
    pub(super) fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(self.family);
        self.out.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            self.out.push_str(name);
            self.out.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        // Shortest text that reads back as the same number.
        let _ = writeln!(self.out, " {value}");
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped() {
        let mut text = Text::default();
        text.gauge("x", "one\nline \\ only");
        text.sample(&[("a", "say \"\\\n\""), ("b", "")], 0.5);
        assert_eq!(
            text.finish(),
            "# HELP x one\\nline \\\\ only\n# TYPE x gauge\nx{a=\"say \\\"\\\\\\n\\\"\",b=\"\"} 0.5\n"
        );
    }
}
