package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"go/scanner"
	"go/token"
	"html/template"
	"net/http"
	"strings"

	"github.com/goceleris/celeris"
)

//go:embed page
var pageFiles embed.FS

// page is the one document of the demo: style, scripts and the source it shows are inlined in it, so
// there is nothing else to fetch. It is immutable.
type page struct {
	template *template.Template
	data     pageData
	policy   string // the Content-Security-Policy that allows these styles and scripts and no others
}

type pageData struct {
	Style      template.CSS
	Theme      template.JS // runs before the first paint
	Script     template.JS
	Source     template.HTML
	IntervalMS int64
	CutRetryMS int64
	Since      string // the position from which the stream of this copy begins
}

// newPage puts the page together. Its error is a mistake in the embedded files.
func newPage() (*page, error) {
	files := make(map[string]string)
	for _, name := range []string{"index.html", "style.css", "theme.js", "judge.js", "chart.js", "app.js"} {
		b, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return nil, fmt.Errorf("demo: page: %w", err)
		}
		files[name] = string(b)
	}
	tmpl, err := template.New("index.html").Parse(files["index.html"])
	if err != nil {
		return nil, fmt.Errorf("demo: page: %w", err)
	}
	source, err := excerpt(streamSource)
	if err != nil {
		return nil, err
	}
	script := files["judge.js"] + files["chart.js"] + files["app.js"]
	return &page{
		template: tmpl,
		data: pageData{
			Style:      template.CSS(files["style.css"]),
			Theme:      template.JS(files["theme.js"]),
			Script:     template.JS(script),
			Source:     highlight(source),
			IntervalMS: sampleInterval.Milliseconds(),
			CutRetryMS: cutRetry.Milliseconds(),
		},
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"connect-src 'self'; img-src data:; " +
			"style-src " + hashSource(files["style.css"]) +
			"; script-src " + hashSource(files["theme.js"]) + " " + hashSource(script),
	}, nil
}

// serve renders the page for a stream that begins behind the position since.
func (p *page) serve(c *celeris.Context, since string) error {
	data := p.data
	data.Since = since
	var html strings.Builder
	if err := p.template.Execute(&html, data); err != nil {
		return fmt.Errorf("demo: page: %w", err)
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", p.policy)
	header.Set("Cache-Control", "no-store") // since is out of date in five minutes
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	return c.HTML(http.StatusOK, html.String())
}

// hashSource names an inline style or script in a Content-Security-Policy.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// excerpt returns what lies between the markers of a source file.
func excerpt(source string) (string, error) {
	_, rest, begun := strings.Cut(source, "\n// page:begin\n")
	part, _, ended := strings.Cut(rest, "\n// page:end\n")
	if !begun || !ended {
		return "", fmt.Errorf("demo: page: the source to show has lost its markers")
	}
	return strings.TrimSpace(part), nil
}

// highlight returns Go source as HTML in which comments, keywords and literals are marked by elements.
func highlight(source string) template.HTML {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, []byte(source), nil, scanner.ScanComments)

	var html bytes.Buffer
	done := 0
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		class := ""
		switch {
		case tok == token.COMMENT:
			class = "comment"
		case tok.IsKeyword():
			class = "keyword"
		case tok == token.STRING, tok == token.INT, tok == token.CHAR, tok == token.FLOAT:
			class = "literal"
		}
		if class == "" {
			continue
		}
		start := file.Offset(pos)
		template.HTMLEscape(&html, []byte(source[done:start]))
		fmt.Fprintf(&html, "<span class=%q>", class)
		template.HTMLEscape(&html, []byte(literal))
		html.WriteString("</span>")
		done = start + len(literal)
	}
	template.HTMLEscape(&html, []byte(source[done:]))
	return template.HTML(html.String())
}
