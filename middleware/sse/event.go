package sse

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrEventTooLarge reports an event above the size limit of whoever was to
// carry it: a [Reader] met one with more than its MaxEventBytes, or a broker
// was asked to publish one.
var ErrEventTooLarge = errors.New("sse: event exceeds the size limit")

// ErrIDReserved reports an event with an ID of its own where positions are
// assigned by a broker or a replay store.
var ErrIDReserved = errors.New("sse: event ID is assigned by the stream and must be empty")

// Event is one server-sent event, as an application writes it and as
// [Reader] returns it. The zero value is an event: empty data of the default
// type. It holds no references to anything mutable and may be copied and
// shared.
type Event struct {
	// ID becomes the client's last event ID. Set it only on streams that
	// have neither a broker nor a replay store; these assign their own IDs and
	// answer [ErrIDReserved]. Empty means no id field, which leaves the
	// client's last event ID as it is. It must not contain CR, LF or NUL.
	ID string

	// Event is the type that the client dispatches. Empty means the
	// default type, "message". It must not contain CR, LF or NUL.
	Event string

	// Data is the payload. It may have many lines; CR and CRLF in it are
	// delivered as LF, the one normalization that the format forces. Empty
	// data is delivered as an event with empty data.
	Data string

	// Key names what the event is the newest state of, for policies that
	// let a newer event replace an older one of the same key. It never
	// appears on the wire. Empty means that nothing replaces the event.
	Key string

	// Retry tells the client how long to wait before it reconnects, in
	// whole milliseconds. Zero means no retry field.
	Retry time.Duration
}

// EncodeError reports an event that has no faithful wire form.
type EncodeError struct {
	Field  string // the offending field: "id", "event", "data", "key" or "retry"
	Reason string // what is wrong with its value, for people
}

// Error names the field and the reason.
func (e *EncodeError) Error() string {
	return "sse: cannot encode event: " + e.Field + " " + e.Reason
}

// AppendTo appends the event in the format of WHATWG HTML 9.2, ending with the
// blank line that dispatches it, and returns the extended slice. Fields come
// in the order id, event, retry, data. It allocates only when b has no room.
//
// What the format cannot carry is an [*EncodeError], and b is returned as it
// was: a line end or NUL in ID or Event, invalid UTF-8 in any field, a Retry
// that is negative or not in whole milliseconds. Apart from CR and CRLF in
// Data, which arrive as LF, a conforming client receives exactly what is in
// the event.
func (e Event) AppendTo(b []byte) ([]byte, error) {
	if err := e.validate(); err != nil {
		return b, err
	}
	if e.ID != "" {
		b = append(b, "id: "...)
		b = append(b, e.ID...)
		b = append(b, '\n')
	}
	if e.Event != "" {
		b = append(b, "event: "...)
		b = append(b, e.Event...)
		b = append(b, '\n')
	}
	if e.Retry != 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, e.Retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	b = appendData(b, e.Data)
	return append(b, '\n'), nil
}

// validate returns an *EncodeError for what AppendTo cannot write.
func (e Event) validate() error {
	if err := validateName("id", e.ID); err != nil {
		return err
	}
	if err := validateName("event", e.Event); err != nil {
		return err
	}
	if !utf8.ValidString(e.Data) {
		return &EncodeError{Field: "data", Reason: "is not valid UTF-8"}
	}
	// A key stays off the wire, but stores keep it as text: two keys must not
	// become one there.
	if !utf8.ValidString(e.Key) {
		return &EncodeError{Field: "key", Reason: "is not valid UTF-8"}
	}
	switch {
	case e.Retry < 0:
		return &EncodeError{Field: "retry", Reason: "is negative"}
	case e.Retry%time.Millisecond != 0:
		return &EncodeError{Field: "retry", Reason: "is not in whole milliseconds"}
	}
	return nil
}

// validateName checks a field that has to fit on one line. The format has no
// escape for a line end, and clients ignore an id that contains NUL.
func validateName(field, value string) error {
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		return &EncodeError{Field: field, Reason: "contains a line end"}
	}
	if strings.IndexByte(value, 0) >= 0 {
		return &EncodeError{Field: field, Reason: "contains NUL"}
	}
	if !utf8.ValidString(value) {
		return &EncodeError{Field: field, Reason: "is not valid UTF-8"}
	}
	return nil
}

// appendData writes one data field per line of data, and one for empty data:
// without any the client would not dispatch the event. The space after the
// colon is the one that clients remove, so a leading space of a line survives.
func appendData(b []byte, data string) []byte {
	hasCR := strings.IndexByte(data, '\r') >= 0
	for {
		var end int
		if hasCR {
			end = strings.IndexAny(data, "\r\n")
		} else {
			end = strings.IndexByte(data, '\n')
		}
		b = append(b, "data: "...)
		if end < 0 {
			b = append(b, data...)
			return append(b, '\n')
		}
		b = append(b, data[:end]...)
		b = append(b, '\n')
		if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
			end++
		}
		data = data[end+1:]
	}
}

// wire is AppendTo into a buffer that is large enough for most events at once.
func (e Event) wire() ([]byte, error) {
	const fields = len("id: \nevent: \nretry: 1234567890\ndata: \n\n")
	return e.AppendTo(make([]byte, 0, fields+len(e.ID)+len(e.Event)+len(e.Data)+len("data: ")*strings.Count(e.Data, "\n")))
}
