package websocket

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/wsproto"
)

// upgrade answers the opening handshake and takes the connection. After an error there is none.
func (v *visit) upgrade(c *celeris.Context, hello *wsproto.Request) error {
	r, w := c.Request(), c.Response()
	h := w.Header()
	protocol := ""
	for _, p := range v.s.Subprotocols {
		if slices.Contains(hello.Protocols, p) {
			protocol = p
			break
		}
	}
	if protocol != "" {
		h.Set("Sec-Websocket-Protocol", protocol)
	}
	var deflate wsproto.Deflate
	compressed := false
	if z := v.s.Compression; z.Enabled {
		var answer string
		if deflate, answer, compressed = wsproto.Negotiate(r.Header["Sec-Websocket-Extensions"], z.server()); compressed {
			h.Set("Sec-Websocket-Extensions", answer)
		}
	}
	var nc net.Conn
	var early []byte
	var err error
	if r.ProtoMajor >= 2 {
		nc, err = v.connect(c)
	} else {
		nc, early, err = v.hijack(c, hello.Accept)
	}
	if err != nil {
		return err
	}
	conn := start(v.s, nc, keepRequest(r), early)
	conn.protocol = protocol
	if compressed {
		conn.agree(deflate)
	}
	v.begin(conn)
	return nil
}

// keepRequest is the request without what its connection would be kept by.
func keepRequest(r *http.Request) *http.Request {
	k := r.WithContext(r.Context())
	k.Body = http.NoBody
	return k
}

// hijack answers over HTTP/1.1: the head goes through the middleware and net/http, with all that they add to it.
func (v *visit) hijack(c *celeris.Context, accept string) (net.Conn, []byte, error) {
	w := c.Response()
	h := w.Header()
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-Websocket-Accept", accept)
	rc := http.NewResponseController(w)
	// What the server has set for ordinary requests ends here.
	_ = rc.SetWriteDeadline(time.Now().Add(v.s.HandshakeTimeout)) // a writer without deadlines has none to end
	w.WriteHeader(http.StatusSwitchingProtocols)
	nc, rw, err := rc.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("websocket: take the connection over: %w", err)
	}
	early, err := v.settle(nc, rw, h)
	if err != nil {
		_ = nc.Close()
		return nil, nil, fmt.Errorf("websocket: answer the handshake: %w", err)
	}
	return nc, early, nil
}

// settle sends the head if a middleware has kept it, takes deadlines back and returns what came behind the request.
func (v *visit) settle(nc net.Conn, rw *bufio.ReadWriter, h http.Header) (early []byte, err error) {
	if v.x.Status() != http.StatusSwitchingProtocols {
		if err := nc.SetWriteDeadline(time.Now().Add(v.s.HandshakeTimeout)); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
		if err := h.Write(&b); err != nil {
			return nil, err
		}
		b.WriteString("\r\n")
		if _, err := nc.Write(b.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	early, err = rw.Reader.Peek(rw.Reader.Buffered())
	return bytes.Clone(early), err
}

// cannotHijack returns the writer that [http.ResponseController] will fail at, or nil if it will find a way.
func cannotHijack(w http.ResponseWriter) http.ResponseWriter {
	for {
		switch t := w.(type) {
		case *exchange.Writer: // it has the method whatever is below
			w = t.ResponseWriter
		case http.Hijacker:
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return w
		}
	}
}
