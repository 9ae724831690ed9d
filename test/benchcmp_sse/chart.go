package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// panel is one group of bars.
type panel struct {
	title string
	metric
	log bool // the bars' lengths are logarithms, from one on
}

const (
	chartWidth = 860
	labelWidth = 230
	barWidth   = 500
	barHeight  = 16
	barStep    = 22
)

// chart draws the main figures as SVG, for light and dark pages.
func (r *Result) chart() string {
	panels := []panel{
		{"CPU per delivered event, one at a time", metric{scenario: "single", name: "cpu", q: 0.5, unit: nanoseconds}, false},
		{"CPU per delivered event, bursts of 100 (logarithmic)", metric{scenario: "burst 100", name: "cpu", q: 0.5, unit: nanoseconds}, true},
		{"Memory per idle stream (logarithmic)", metric{scenario: "idle", name: "rss", q: 0.5, unit: bytes}, true},
	}
	var b strings.Builder
	y := 30
	for _, p := range panels {
		y = r.drawPanel(&b, p, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-label="Delivery of server-sent events, compared; less is better">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.note { fill: #59636e; }
.ours { fill: #0969da; }
.peer { fill: #bf8700; }
.floor { fill: #818b98; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.note { fill: #9198a1; }
.ours { fill: #4493f8; }
.peer { fill: #d29922; }
.floor { fill: #656c76; }
}
</style>
%[3]s<rect class="ours" x="12" y="%[4]d" width="12" height="12"/><text x="30" y="%[5]d">Celeris</text>
<rect class="peer" x="112" y="%[4]d" width="12" height="12"/><text x="130" y="%[5]d">Go peers</text>
<rect class="floor" x="212" y="%[4]d" width="12" height="12"/><text x="230" y="%[5]d">floors</text>
<text class="note" x="330" y="%[5]d">less is better; %[6]s</text>
</svg>
`, chartWidth, y+24, b.String(), y, y+11, html.EscapeString(fmt.Sprintf("%d streams, %d idle ones", r.Settings.Subs, r.Settings.Idle)))
}

// drawPanel draws bars from y on and returns where the next panel begins.
func (r *Result) drawPanel(b *strings.Builder, p panel, y int) int {
	fmt.Fprintf(b, "<text class=\"title\" x=\"12\" y=\"%d\">%s</text>\n", y, html.EscapeString(p.title))
	y += 12
	scale := func(v float64) float64 {
		if p.log {
			return math.Log10(max(v, 1))
		}
		return v
	}
	longest := 0.0
	for _, d := range r.Designs {
		if v := r.value(p.metric, d.Name); !math.IsNaN(v) {
			longest = max(longest, scale(v))
		}
	}
	for _, d := range r.Designs {
		v := r.value(p.metric, d.Name)
		if math.IsNaN(v) || longest == 0 {
			continue
		}
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", labelWidth-8, y+13, html.EscapeString(d.Label))
		fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>",
			d.Kind, labelWidth, y, max(barWidth*scale(v)/longest, 1), barHeight)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n",
			labelWidth+max(barWidth*scale(v)/longest, 1)+6, y+13, html.EscapeString(p.unit.write(v)))
		y += barStep
	}
	return y + 26
}
