package wsspec

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// reference is an echo server that does all that the suite demands, but for its faults: each is one rule switched off.
// It is written for being wrong on demand, not for speed.
type reference struct {
	listener net.Listener
	limit    int64
	faults   []string
	conns    sync.WaitGroup
}

func startReference(t *testing.T, faults ...string) *reference {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &reference{listener: l, limit: 1 << 20, faults: faults}
	s.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.conns.Wait()
	})
	return s
}

func (s *reference) target() Target {
	return Target{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.listener.Addr().String())
		},
		Deflate: true, ReadLimit: s.limit, Patience: patience,
	}
}

// patience is longer than anything should take on a busy machine with the race detector.
const patience = 20 * time.Second

func (s *reference) has(fault string) bool { return slices.Contains(s.faults, fault) }

func (s *reference) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if status := s.refusal(r); status != 0 {
		fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n", status, http.StatusText(status))
		return
	}
	answer, a := s.choose(strings.Join(r.Header.Values("Sec-WebSocket-Extensions"), ","))
	b := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		s.accept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if a.on {
		b += "Sec-WebSocket-Extensions: " + answer + "\r\n"
	}
	fmt.Fprint(c, b+"\r\n")
	if s.has("bytes behind the request are lost") {
		_, _ = in.Discard(in.Buffered())
	}
	p := &echoing{reference: s, c: c, in: in, a: a}
	p.out = deflater{bits: a.serverBits, takeover: !a.serverNoTakeover}
	p.window = inflater{bits: a.clientBits, takeover: !a.clientNoTakeover}
	if !s.has("any inflated size") {
		p.window.limit = int(s.limit)
	}
	if s.has("server window ignored") {
		p.out.bits = 15
	}
	if s.has("server takeover ignored") {
		p.out.takeover = true
	}
	if s.has("client takeover forgotten") {
		p.window.takeover = false
	}
	if failure, ok := errors.AsType[failing](p.run()); ok {
		p.close(int(failure), "")
	}
	if s.has("the connection stays open") {
		_, _ = io.Copy(io.Discard, in)
		return
	}
	c.(*net.TCPConn).CloseWrite()
	c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, in, 1<<20)
}

func (s *reference) accept(key string) string {
	if s.has("a constant accept") {
		key = sampleKey
	}
	return acceptFor(key)
}

// tokens reports whether a list of tokens holds one.
func tokens(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// refusal returns the status that refuses a handshake, 0 for none.
func (s *reference) refusal(r *http.Request) int {
	switch {
	case r.Method != http.MethodGet && !s.has("any method"):
		return http.StatusMethodNotAllowed
	case !r.ProtoAtLeast(1, 1) && !s.has("any version of HTTP"), r.Host == "":
		return http.StatusBadRequest
	case !tokens(r.Header.Values("Upgrade"), "websocket") && !s.has("any Upgrade"):
		return http.StatusUpgradeRequired
	case !tokens(r.Header.Values("Connection"), "upgrade") && !s.has("any Connection"):
		return http.StatusUpgradeRequired
	case r.Header.Get("Sec-WebSocket-Version") != "13" && !s.has("any version"):
		if s.has("400 for a wrong version") {
			return http.StatusBadRequest
		}
		return http.StatusUpgradeRequired
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 && !s.has("any number of keys") {
		return http.StatusBadRequest
	}
	if k, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key")); (err != nil || len(k) != 16) && !s.has("any key") {
		return http.StatusBadRequest
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.has("any origin") {
		u, err := url.Parse(origin)
		if s.has("an origin that ends like the host") && strings.HasSuffix(origin, r.Host) {
			return 0
		}
		if err != nil || !strings.EqualFold(u.Host, r.Host) || u.User != nil {
			return http.StatusForbidden
		}
	}
	return 0
}

// choose answers offers; the first that is in order is taken.
func (s *reference) choose(all string) (string, agreement) {
	if s.has("no compression") {
		return "", agreement{serverBits: 15, clientBits: 15}
	}
	for _, o := range outside(all, ',') {
		parts := outside(o, ';')
		if strings.TrimSpace(parts[0]) != "permessage-deflate" {
			continue
		}
		if answer, a, ok := s.take(parts[1:]); ok {
			return answer, a
		}
		if s.has("only the first offer") {
			break
		}
	}
	return "", agreement{serverBits: 15, clientBits: 15}
}

func (s *reference) take(parameters []string) (answer string, a agreement, ok bool) {
	a = agreement{on: true, serverBits: 15, clientBits: 15}
	answer = "permessage-deflate"
	var seen []string
	for _, p := range parameters {
		name, value, valued := strings.Cut(strings.TrimSpace(p), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if slices.Contains(seen, name) && !s.has("duplicate parameters") {
			return "", a, false
		}
		seen = append(seen, name)
		if s.has("quoted parameters") {
			value = strings.Trim(value, `"`)
		}
		bits, err := strconv.Atoi(value)
		inRange := err == nil && bits >= 8 && bits <= 15 && (strconv.Itoa(bits) == value || s.has("leading zeros"))
		switch {
		case name == "server_no_context_takeover" && !valued:
			a.serverNoTakeover = true
			if !s.has("server takeover not answered") {
				answer += "; " + name
			}
		case name == "client_no_context_takeover" && !valued:
			a.clientNoTakeover = true
			answer += "; " + name
		case name == "server_max_window_bits" && inRange:
			a.serverBits = bits
			answer += "; server_max_window_bits=" + strconv.Itoa(bits)
		case name == "client_max_window_bits" && (inRange || !valued):
			if valued {
				a.clientBits = bits
				answer += "; client_max_window_bits=" + value
			}
		default:
			if !s.has("unknown parameters") {
				return "", a, false
			}
		}
	}
	if s.has("unasked client_max_window_bits") {
		answer += "; client_max_window_bits=15"
	}
	return answer, a, true
}

// outside splits at sep, but not within quotes.
func outside(s string, sep byte) []string {
	parts, from, quoted := []string{}, 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts, from = append(parts, s[from:i]), i+1
		}
	}
	return append(parts, s[from:])
}

// failing is the code with which a connection fails.
type failing int

func (f failing) Error() string { return strconv.Itoa(int(f)) }

// echoing is one connection of the reference.
type echoing struct {
	*reference
	c      net.Conn
	in     *bufio.Reader
	a      agreement
	out    deflater
	window inflater
	first  byte // of the message that is being read, 0 if none is
	data   []byte
	whole  int // bytes of data that are whole characters
	mask   [4]byte
}

func (p *echoing) send(first byte, data []byte) {
	f := unmasked(first, data)
	if p.has("masks") {
		f = frame(first, data)
	}
	_, _ = p.c.Write(f) // a peer that is gone is noticed by the next read
}

// unmasked is a frame from a server.
func unmasked(first byte, data []byte) []byte {
	h := header(first, uint64(len(data)))
	h[1] &^= maskBit
	return append(h[:len(h)-4], data...)
}

func (p *echoing) close(code int, reason string) {
	var b []byte
	if code != 0 {
		b = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	p.send(finBit|opClose, b)
}

// run reads frames until the end.
func (p *echoing) run() error {
	for {
		first, length, err := p.header()
		if err != nil {
			return err
		}
		if first&0x0F >= opClose {
			if done, err := p.control(first, length); done || err != nil {
				return err
			}
			continue
		}
		if err := p.fragment(first, length); err != nil {
			return err
		}
		if first&finBit != 0 {
			if err := p.echo(); err != nil {
				return err
			}
		}
	}
}

// header reads and judges a header.
func (p *echoing) header() (first byte, length uint64, err error) {
	var b [8]byte
	if first, err = p.in.ReadByte(); err != nil {
		return 0, 0, err
	}
	op := first & 0x0F
	allowed := byte(0)
	if p.a.on && (op == opText || op == opBinary) || p.has("RSV1 anywhere") {
		allowed = rsv1Bit
	}
	if p.has("RSV2 and RSV3") {
		allowed |= 0x30
	}
	switch {
	case first&0x70&^allowed != 0, (op > opBinary && op < opClose || op > opPong) && !p.has("any opcode"):
		return 0, 0, failing(1002)
	case op >= opClose && first&finBit == 0 && !p.has("control frames in fragments"):
		return 0, 0, failing(1002)
	case op == opContinuation && p.first == 0 && !p.has("a continuation of nothing"):
		return 0, 0, failing(1002)
	case (op == opText || op == opBinary) && p.first != 0 && !p.has("a message within a message"):
		return 0, 0, failing(1002)
	}
	second, err := p.in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	length = uint64(second & 0x7F)
	switch {
	case second&maskBit == 0 && !p.has("unmasked frames"):
		return 0, 0, failing(1002)
	case op >= opClose && length > 125 && !p.has("long control frames"):
		return 0, 0, failing(1002)
	}
	least, size := uint64(0), 0
	switch length {
	case 126:
		least, size = 126, 2
	case 127:
		least, size = 1<<16, 8
	}
	if size > 0 {
		if _, err := io.ReadFull(p.in, b[8-size:]); err != nil {
			return 0, 0, err
		}
		length = binary.BigEndian.Uint64(b[:])
	}
	if (length < least || length >= 1<<63) && !p.has("lengths that aren't minimal") {
		return 0, 0, failing(1002)
	}
	if op < opClose && (length > uint64(p.limit) || int64(length)+int64(len(p.data)) > p.limit) {
		if p.has("1002 for too large") {
			return 0, 0, failing(1002)
		}
		return 0, 0, failing(1009)
	}
	if second&maskBit != 0 {
		_, err = io.ReadFull(p.in, p.mask[:])
	} else {
		p.mask = [4]byte{}
	}
	return first, length, err
}
