package wsfuzz

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/goceleris/celeris/internal/wsproto"
)

// message is what both sides make of frames.
type message struct {
	op   int
	data string
}

// wire is a connection that a client has said everything on.
type wire struct {
	in   io.Reader
	said bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error)       { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error)      { return w.said.Write(p) }
func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// hijacked is a response writer whose connection is a wire.
type hijacked struct {
	*httptest.ResponseRecorder
	w *wire
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.w, bufio.NewReadWriter(bufio.NewReader(h.w), bufio.NewWriter(h.w)), nil
}

const fuzzLimit = 1 << 16

// gorillaReads returns the messages that gorilla reads from a client's frames, and why it stops.
func gorillaReads(frames []byte, deflate bool) (messages []message, err error) {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions": "permessage-deflate",
	} {
		r.Header.Set(name, value)
	}
	u := websocket.Upgrader{EnableCompression: deflate}
	c, err := u.Upgrade(hijacked{httptest.NewRecorder(), &wire{in: bytes.NewReader(frames)}}, r, nil)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(fuzzLimit)
	for {
		op, in, err := c.NextReader()
		if err != nil {
			return messages, err
		}
		// What a bomb inflates to is cut: gorilla bounds what is on the wire.
		data, err := io.ReadAll(io.LimitReader(in, fuzzLimit+1))
		if err != nil {
			return messages, err
		}
		messages = append(messages, message{op, string(data)})
		if len(data) > fuzzLimit {
			return messages, errors.New("too big")
		}
	}
}

// errSplit is a compressed message in fragments, or one that isn't whole. There the comparison ends: gorilla takes such a message for whole at its
// final block, wherever that is.
var errSplit = errors.New("a compressed message in fragments")

// celerisReads does the same with our parser, in pieces of a size, without looking at what text is made of.
func celerisReads(frames []byte, deflate bool, size int) (messages []message, err error) {
	p := wsproto.Parser{Deflate: deflate, Limit: fuzzLimit}
	z := wsproto.Inflater{}
	frames = bytes.Clone(frames) // the parser unmasks in place
	var data []byte
	packed := false // within a compressed message
	for len(frames) > 0 {
		piece := frames[:min(size, len(frames))]
		frames = frames[len(piece):]
		for {
			ev, n, err := p.Next(piece)
			piece = piece[n:]
			if err != nil {
				return messages, err
			}
			switch ev.Kind {
			case wsproto.Control:
				if ev.Opcode == wsproto.Close {
					_, _, err := wsproto.ParseClose(ev.Payload)
					return messages, errors.Join(io.EOF, err)
				}
			case wsproto.Data:
				if ev.First {
					data = nil
				}
				packed = ev.Compressed && !ev.Last
				data = append(data, ev.Payload...)
				if ev.Compressed && !ev.Last && p.Pending() == 0 {
					return messages, errSplit
				}
				if !ev.Last {
					break
				}
				if ev.Compressed {
					if data, err = z.Append(nil, data, fuzzLimit); err != nil {
						return messages, err
					}
				}
				messages = append(messages, message{int(ev.Opcode), string(data)})
			}
			if ev.Kind == wsproto.More {
				break
			}
		}
	}
	if packed {
		return messages, errSplit
	}
	return messages, io.ErrUnexpectedEOF
}
