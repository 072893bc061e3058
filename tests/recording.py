#!/usr/bin/env python3
"""Turns a program's output into an SVG that plays it, as the README shows.

    make demo 2> /dev/null | tests/recording.py 'make demo' > book/src/demo.svg

Each line appears when it came, but no pause is longer than PAUSE_S. Nothing is added to the output and nothing
changed, except that the folder it ran in is called het-sync and blank lines that follow each other become one.
"""

import html
import os
import re
import sys
import time

PAUSE_S = 1.5
LINE_PX, CHAR_PX, MARGIN_PX, COLUMNS = 17, 8.0, 16, 116

STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d7dce2;white-space:pre}"
    ".b{font-weight:bold;fill:#8fd3a5}"
    ".l{opacity:0;animation:s 1ms forwards}@keyframes s{to{opacity:1}}"
    "@media(prefers-reduced-motion:reduce){.l{animation-delay:0s!important}}"
)


def main():
    lines = [(0.5, True, "$ " + sys.argv[1])]
    at_s, last = 1.0, time.monotonic()
    for line in sys.stdin:
        now = time.monotonic()
        at_s += min(now - last, PAUSE_S)
        last = now
        bold = "\x1b[1m" in line
        text = re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\n")).replace(os.getcwd(), "het-sync")
        while len(text) > COLUMNS:
            lines.append((at_s, bold, text[:COLUMNS]))
            text = text[COLUMNS:]
        if text or lines[-1][2]:
            lines.append((at_s, bold, text))

    width = round(2 * MARGIN_PX + COLUMNS * CHAR_PX)
    height = 2 * MARGIN_PX + LINE_PX * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">')
    print(f'<style>{STYLE}</style><rect width="{width}" height="{height}" rx="8" fill="#1b2027"/>')
    for number, (at_s, bold, text) in enumerate(lines):
        if not text:
            continue
        y = MARGIN_PX + LINE_PX * number + 12
        # A line's length is fixed, so that boxes close whatever the font is.
        print(
            f'<text x="{MARGIN_PX}" y="{y}" textLength="{len(text) * CHAR_PX:g}" lengthAdjust="spacingAndGlyphs" '
            f'class="l{" b" if bold else ""}" style="animation-delay:{at_s:.2f}s">{html.escape(text)}</text>'
        )
    print("</svg>")


main()
