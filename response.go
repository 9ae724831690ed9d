package celeris

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"

	"github.com/goccy/go-json"
)

// SetCookie adds a cookie to the response. It returns an error, and adds nothing, if the cookie can't be
// sent as it is.
func (c *Context) SetCookie(cookie *http.Cookie) error {
	if err := cookie.Valid(); err != nil {
		return fmt.Errorf("celeris: set cookie: %w", err)
	}
	http.SetCookie(c.w, cookie)
	return nil
}

// Blob answers with these bytes.
func (c *Context) Blob(code int, contentType string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	if h.Get("Content-Encoding") == "" && bodyAllowed(code) {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	c.writeHeader(code)
	_, err := c.w.Write(body)
	return err
}

// JSON answers with v as JSON. If v can't be encoded nothing is written.
func (c *Context) JSON(code int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("celeris: encode %T: %w", v, err)
	}
	return c.Blob(code, "application/json", b)
}

// String answers with plain text in UTF-8.
func (c *Context) String(code int, text string) error {
	return c.Blob(code, "text/plain; charset=utf-8", []byte(text))
}

// HTML answers with a page in UTF-8. It escapes nothing: that is the template's work.
func (c *Context) HTML(code int, page string) error {
	return c.Blob(code, "text/html; charset=utf-8", []byte(page))
}

// NoContent answers with a status and no body.
func (c *Context) NoContent(code int) error {
	c.writeHeader(code)
	return nil
}

// Redirect sends the client to url, with a status from 300 to 308. A relative url is relative to the path
// of the request.
func (c *Context) Redirect(code int, url string) error {
	if code < 300 || code > 308 {
		return fmt.Errorf("celeris: redirect to %q with status %d: it must be 300 to 308", url, code)
	}
	c.wrote = true
	http.Redirect(c.w, c.r, url, code)
	return nil
}

// Stream answers with what r yields, up to its end, and flushes whenever r had less to give than was asked
// for, so that what r waits with is not what the client waits for. It is an ordinary response and subject
// to WriteTimeout. When r fails, the error it returns makes the server break the response off, so that
// the client can't take it for complete.
func (c *Context) Stream(code int, contentType string, r io.Reader) error {
	c.w.Header().Set("Content-Type", contentType)
	c.writeHeader(code)
	control := http.NewResponseController(c.w)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := c.w.Write(buf[:n]); err != nil {
				return fmt.Errorf("celeris: write stream: %w", err)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return &truncatedError{err}
		case 0 < n && n < len(buf):
			if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return fmt.Errorf("celeris: flush stream: %w", err)
			}
		}
	}
}

// File answers with a file of the server's file system, with ranges and conditional requests. A file that
// is missing or a directory is a 404, one that may not be read a 403. Never build name from what the
// client sent: serve trees with [http.FileServerFS] and [Server.Mount].
func (c *Context) File(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fileError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fileError(err)
	}
	if !info.Mode().IsRegular() {
		return &HTTPError{Code: http.StatusNotFound, Err: fmt.Errorf("%s: not a regular file", name)}
	}
	c.wrote = true
	http.ServeContent(c.w, c.r, info.Name(), info.ModTime(), f)
	return nil
}

func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &HTTPError{Code: http.StatusNotFound, Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &HTTPError{Code: http.StatusForbidden, Err: err}
	}
	return err
}

func (c *Context) writeHeader(code int) {
	c.wrote = c.wrote || code >= 200
	c.w.WriteHeader(code)
}

// bodyAllowed reports whether a response with this status has a body (RFC 9110 6.4.1).
func bodyAllowed(code int) bool {
	return code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified
}
