// Package packed keeps requests in few bytes.
package packed

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Request is a request in a few bytes: a parked stream keeps its request for as long as it lives, and few ever look at it.
// It holds fields, each behind its length.
type Request string

// Pack packs a request without a body that was received on a connection with that local address. It is not ok for one
// that has been parsed further than that.
func Pack(r *http.Request, local net.Addr) (_ Request, ok bool) {
	if r.Method != http.MethodGet || r.Form != nil || r.PostForm != nil || r.MultipartForm != nil || r.TLS != nil ||
		r.ContentLength != 0 || len(r.Trailer) > 0 || len(r.TransferEncoding) > 0 {
		return "", false
	}
	var b []byte
	add := func(fields ...string) {
		for _, s := range fields {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	rewritten := ""
	if u, err := url.ParseRequestURI(r.RequestURI); err != nil || !sameURL(u, r.URL) {
		rewritten = r.URL.String()
		if u, err := url.Parse(rewritten); rewritten == "" || err != nil || !sameURL(u, r.URL) {
			return "", false // it would come back as another
		}
	}
	last := ""
	if r.Close {
		last = "close"
	}
	add(r.RemoteAddr, packAddr(local), r.Proto, last, r.RequestURI, rewritten, r.Host, r.Pattern)
	for name := range wildcards(r.Pattern) {
		add(r.PathValue(name))
	}
	for name, values := range r.Header {
		if len(values) == 0 { // middleware did that
			return "", false
		}
		for _, v := range values {
			add(name, v)
		}
	}
	return Request(b), true
}

func sameURL(a, b *url.URL) bool {
	x, y := *a, *b
	x.User, y.User = nil, nil
	return x == y && (a.User == b.User || a.User != nil && b.User != nil && *a.User == *b.User)
}

// field takes the first field off.
func field(p *Request) string {
	var n uint64
	for shift := 0; ; shift += 7 {
		c := (*p)[0]
		*p = (*p)[1:]
		if n |= uint64(c&0x7f) << shift; c < 0x80 {
			break
		}
	}
	s := string((*p)[:n])
	*p = (*p)[n:]
	return s
}

// RemoteAddr is that of the request. It costs little: it is the first field.
func (p Request) RemoteAddr() string { return field(&p) }

// Context is what the request's context had of its connection, on top of origin.
func (p Request) Context(origin context.Context) context.Context {
	field(&p)
	return context.WithValue(origin, http.LocalAddrContextKey, unpackAddr(field(&p)))
}

// Unpack unpacks the request.
func (p Request) Unpack(ctx context.Context) *http.Request {
	r := &http.Request{Method: http.MethodGet, Header: make(http.Header), Body: http.NoBody, RemoteAddr: field(&p)}
	field(&p)
	r.Proto, r.Close, r.RequestURI = field(&p), field(&p) != "", field(&p)
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	if rewritten := field(&p); rewritten != "" {
		r.URL, _ = url.Parse(rewritten) // it was one
	} else {
		r.URL, _ = url.ParseRequestURI(r.RequestURI) // as before
	}
	r.Host, r.Pattern = field(&p), field(&p)
	for name := range wildcards(r.Pattern) {
		r.SetPathValue(name, field(&p))
	}
	for len(p) > 0 {
		name := field(&p)
		r.Header[name] = append(r.Header[name], field(&p))
	}
	return r.WithContext(ctx)
}

// PathValue is that of the request, without unpacking it.
func (p Request) PathValue(name string) string {
	pattern := skip(&p, 7)
	value := ""
	for n := range wildcards(pattern) {
		if v := field(&p); n == name {
			value = v
		}
	}
	return value
}

// Header is the first value of a header of the request, without unpacking it.
func (p Request) Header(name string) string {
	name = http.CanonicalHeaderKey(name)
	for range wildcards(skip(&p, 7)) {
		field(&p)
	}
	for len(p) > 0 {
		if n, v := field(&p), field(&p); n == name {
			return v
		}
	}
	return ""
}

// skip takes n fields off and returns the next.
func skip(p *Request, n int) string {
	for range n {
		field(p)
	}
	return field(p)
}

// What kind of address follows.
const (
	tcpMark  = "t"
	unixMark = "u"
)

// packAddr packs the address of a TCP or Unix socket.
func packAddr(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		b, _ := tcp.AddrPort().MarshalBinary() // it has no error
		return tcpMark + string(b)
	}
	return unixMark + a.String()
}

func unpackAddr(s string) net.Addr {
	if name, ok := strings.CutPrefix(s, unixMark); ok {
		return &net.UnixAddr{Net: "unix", Name: name}
	}
	var at netip.AddrPort
	_ = at.UnmarshalBinary([]byte(s[len(tcpMark):])) // packAddr made it
	return net.TCPAddrFromAddrPort(at)
}

// wildcards yields the names in a pattern of [http.ServeMux].
func wildcards(pattern string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, rest, ok := strings.Cut(pattern, "{")
			if !ok {
				return
			}
			name, after, _ := strings.Cut(rest, "}")
			if name = strings.TrimSuffix(name, "..."); name != "$" && !yield(name) {
				return
			}
			pattern = after
		}
	}
}
