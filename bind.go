package celeris

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/goccy/go-json"
)

// Bind decodes the JSON body of the request into v, which must be a pointer. Its errors are ready to be
// returned: an [HTTPError] with 415 if the Content-Type is not a JSON type, 413 if the body is longer than
// the limit, and 400 if there is none, if it is no valid JSON value, does not fit v, or if something
// follows the value.
func (c *Context) Bind(v any) error {
	if !isJSON(c.r.Header.Get("Content-Type")) {
		return NewHTTPError(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	body := c.r.Body
	if body == nil {
		body = http.NoBody
	}
	if c.srv == nil {
		body = http.MaxBytesReader(c.w, body, defaultMaxBody)
	}
	var b bytes.Buffer
	if n := c.r.ContentLength; n > 0 {
		b.Grow(int(min(n, 64<<10)) + bytes.MinRead) // the length is only a claim
	}
	if _, err := io.Copy(&b, body); err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &HTTPError{
				Code:    http.StatusRequestEntityTooLarge,
				Message: fmt.Sprintf("body is longer than %d bytes", tooLarge.Limit),
				Err:     err,
			}
		}
		return &HTTPError{Code: http.StatusBadRequest, Message: "body could not be read", Err: err}
	}
	if b.Len() == 0 {
		return NewHTTPError(http.StatusBadRequest, "body is empty")
	}
	if err := json.Unmarshal(b.Bytes(), v); err != nil {
		if _, ok := errors.AsType[*json.InvalidUnmarshalError](err); ok {
			return fmt.Errorf("celeris: bind into %T: %w", v, err)
		}
		return &HTTPError{Code: http.StatusBadRequest, Message: "body is not the expected JSON", Err: err}
	}
	return nil
}
