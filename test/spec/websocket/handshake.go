package wsspec

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

// request makes an opening handshake. edit changes its lines: a value of "-" removes a field, a field that isn't there is
// added, and more lines come behind.
func request(path string, edit map[string]string, more ...string) []byte {
	line := "GET " + path + " HTTP/1.1"
	if l, ok := edit["line"]; ok {
		line = strings.ReplaceAll(l, "{path}", path)
	}
	fields := []struct{ name, value string }{
		{"Host", "server.example"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"},
		{"Sec-WebSocket-Key", sampleKey}, {"Sec-WebSocket-Version", "13"},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\r\n", line)
	for _, f := range fields {
		if v, ok := edit[f.name]; ok {
			f.value = v
		}
		if f.value != "-" {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
	}
	for _, l := range more {
		fmt.Fprintf(&b, "%s\r\n", l)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// ask sends an opening handshake.
func ask(edit map[string]string, more ...string) step {
	return func(c *conn) error { return c.write(request(c.path, edit, more...)) }
}

func (c *conn) response(method string) (*http.Response, error) {
	c.raw.SetReadDeadline(time.Now().Add(c.patience))
	response, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil, fmt.Errorf("response to the handshake: %w", err)
	}
	return response, nil
}

// open is an ordinary opening handshake with an offer of extensions, none if it is empty.
func (c *conn) open(offer string) error {
	var more []string
	if offer != "" {
		more = append(more, "Sec-WebSocket-Extensions: "+offer)
	}
	if err := c.write(request(c.path, nil, more...)); err != nil {
		return err
	}
	return answer(c.agree(offer), http.StatusSwitchingProtocols)(c)
}

// agree checks a 101 to an offer of extensions, with the sample key.
func (c *conn) agree(offer string) func(http.Header) error {
	return func(h http.Header) error {
		if err := accepted(sampleKey)(h); err != nil {
			return err
		}
		a, err := parseAgreement(h.Values("Sec-WebSocket-Extensions"), offer)
		if err != nil {
			return err
		}
		c.deflate = a
		c.out = deflater{bits: a.clientBits, takeover: !a.clientNoTakeover}
		c.window = inflater{bits: a.serverBits, takeover: !a.serverNoTakeover}
		return nil
	}
}

// acceptFor is the answer to a key: section 4.2.2.
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// accepted checks what section 4.2.2 demands of a 101.
func accepted(key string) func(http.Header) error {
	return func(h http.Header) error {
		if got, want := h.Get("Sec-WebSocket-Accept"), acceptFor(key); got != want {
			return fmt.Errorf("the answer to the key is %q, want %q", got, want)
		}
		if !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "upgrade") {
			return fmt.Errorf("answered Upgrade %q, Connection %q", h.Get("Upgrade"), h.Get("Connection"))
		}
		if p := h.Values("Sec-WebSocket-Protocol"); len(p) > 0 {
			return fmt.Errorf("subprotocol %q, though none was asked for", p)
		}
		return nil
	}
}

// agreement is what was negotiated of permessage-deflate.
type agreement struct {
	on                                 bool
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
	clientBitsNamed, serverBitsNamed   bool
}

// parseAgreement reads a response to an offer: RFC 7692 section 7.1.
func parseAgreement(values []string, offer string) (agreement, error) {
	a := agreement{serverBits: 15, clientBits: 15}
	if len(values) == 0 {
		return a, nil
	}
	if len(values) > 1 || offer == "" {
		return a, fmt.Errorf("extensions %q in answer to %q", values, offer)
	}
	names := strings.Split(values[0], ";")
	if strings.TrimSpace(names[0]) != "permessage-deflate" {
		return a, fmt.Errorf("extension %q in answer to %q", values[0], offer)
	}
	a.on = true
	seen := map[string]bool{}
	for _, parameter := range names[1:] {
		name, value, valued := strings.Cut(strings.TrimSpace(parameter), "=")
		if seen[name] {
			return a, fmt.Errorf("%s twice in %q", name, values[0])
		}
		seen[name] = true
		bits, err := strconv.Atoi(value)
		okBits := err == nil && strconv.Itoa(bits) == value && bits >= 8 && bits <= 15
		switch {
		case name == "server_no_context_takeover" && !valued:
			a.serverNoTakeover = true
		case name == "client_no_context_takeover" && !valued:
			a.clientNoTakeover = true
		case name == "server_max_window_bits" && okBits:
			a.serverBits, a.serverBitsNamed = bits, true
		case name == "client_max_window_bits" && okBits:
			if !strings.Contains(offer, "client_max_window_bits") {
				return a, errors.New("client_max_window_bits, though the offer has none: section 7.1.2.2")
			}
			a.clientBits, a.clientBitsNamed = bits, true
		default:
			return a, fmt.Errorf("parameter %q in %q", parameter, values[0])
		}
	}
	return a, nil
}
