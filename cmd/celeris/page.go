package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
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

// page is the one document of the demo: style, scripts and the source it shows are inlined in it. Nothing
// else is fetched but the script of the worker that the tabs of a browser share. It is immutable.
type page struct {
	template *template.Template
	data     pageData
	policy   string // the Content-Security-Policy that allows these styles and scripts and no others
	worker   string
}

type pageData struct {
	Style      template.CSS
	Theme      template.JS // runs before the first paint
	Script     template.JS
	Source     template.HTML
	IntervalMS int64
	CutRetryMS int64
	Worker     string // the worker's URL; pages of another version get a worker of their own
	WallWidth  int
	WallHeight int
	Colors     []string
	Since      string // the position from which the stream of this copy begins
}

// colorNames are the wall's palette for those who do not see it; the style sheet has the colours.
var colorNames = [wallColors]string{"ink", "teal", "blue", "orange", "red", "violet"}

// workerPolicy is for the worker: it only opens streams.
const workerPolicy = "default-src 'none'; connect-src 'self'"

// scripts are the parts of the page's script in their order; the worker shares stream.js.
var (
	scripts = []string{"judge.js", "stream.js", "link.js", "chart.js", "wall.js", "slow.js", "app.js"}
	workers = []string{"stream.js", "worker.js"}
)

// newPage puts the page together. Its error is a mistake in the embedded files.
func newPage() (*page, error) {
	files := make(map[string]string)
	entries, err := pageFiles.ReadDir("page")
	if err != nil {
		return nil, fmt.Errorf("demo: page: %w", err)
	}
	for _, entry := range entries {
		b, err := pageFiles.ReadFile("page/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("demo: page: %w", err)
		}
		files[entry.Name()] = string(b)
	}
	tmpl, err := template.New("index.html").Parse(files["index.html"])
	if err != nil {
		return nil, fmt.Errorf("demo: page: %w", err)
	}
	source, err := excerpt(streamSource)
	if err != nil {
		return nil, err
	}
	script, worker := join(files, scripts), join(files, workers)
	version := sha256.Sum256([]byte(worker))
	data := pageData{
		Style:      template.CSS(files["style.css"]),
		Theme:      template.JS(files["theme.js"]),
		Script:     template.JS(script),
		Source:     highlight(source),
		IntervalMS: sampleInterval.Milliseconds(),
		CutRetryMS: cutRetry.Milliseconds(),
		Worker:     "/worker.js?v=" + hex.EncodeToString(version[:6]),
		WallWidth:  wallWidth,
		WallHeight: wallHeight,
		Colors:     colorNames[:],
	}
	return &page{
		template: tmpl,
		data:     data,
		worker:   worker,
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"connect-src 'self'; worker-src 'self'; img-src data:; " +
			"style-src " + hashSource(files["style.css"]) +
			"; script-src " + hashSource(files["theme.js"]) + " " + hashSource(script),
	}, nil
}

// join returns the named files, one after the other.
func join(files map[string]string, names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(files[name])
	}
	return b.String()
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

// serveWorker serves the worker's script.
func (p *page) serveWorker(c *celeris.Context) error {
	header := c.Response().Header()
	header.Set("Content-Security-Policy", workerPolicy)
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", []byte(p.worker))
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
