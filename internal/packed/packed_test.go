package packed

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var someAddr = &net.TCPAddr{IP: net.IPv4(64, 0, 0, 1), Port: 8080}

// same reports how two requests differ in what a handler may look at, or "".
func same(a, b *http.Request) string {
	for what, f := range map[string]func(*http.Request) string{
		"method": func(r *http.Request) string { return r.Method },
		"URL":    func(r *http.Request) string { return r.URL.String() },
		"path":   func(r *http.Request) string { return r.URL.Path + " " + r.URL.RawPath },
		"query":  func(r *http.Request) string { return r.URL.Query().Encode() },
		"URI":    func(r *http.Request) string { return r.RequestURI },
		"host":   func(r *http.Request) string { return r.Host },
		"remote": func(r *http.Request) string { return r.RemoteAddr },
		"proto":  func(r *http.Request) string { return r.Proto },
		"pattern": func(r *http.Request) string {
			values := []string{r.Pattern}
			for name := range wildcards(r.Pattern) {
				values = append(values, name+"="+r.PathValue(name))
			}
			return strings.Join(values, " ")
		},
	} {
		if x, y := f(a), f(b); x != y {
			return what + ": " + x + " and " + y
		}
	}
	if p, ok := Pack(a, someAddr); ok {
		for name := range wildcards(a.Pattern) {
			if got := p.PathValue(name); got != a.PathValue(name) {
				return "packed " + name + ": " + got
			}
		}
		for name := range a.Header {
			if got := p.Header(strings.ToLower(name)); name == http.CanonicalHeaderKey(name) && got != a.Header.Get(name) {
				return "packed " + name + ": " + got
			}
		}
		if p.PathValue("nobody") != "" || p.Header("X-Nobody") != "" {
			return "packed: something of nothing"
		}
	}
	if a.ProtoMajor != b.ProtoMajor || a.ProtoMinor != b.ProtoMinor {
		return "version"
	}
	if !maps.EqualFunc(a.Header, b.Header, func(x, y []string) bool { return slices.Equal(x, y) }) {
		return "header"
	}
	if a.Close != b.Close {
		return "close"
	}
	return ""
}

func TestPack_KeepsTheRequest(t *testing.T) {
	mux := http.NewServeMux()
	var got *http.Request
	for _, pattern := range []string{"GET /{$}", "/rooms/{room}/{rest...}", "GET host.example/x/{a}/{b}"} {
		mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { got = r })
	}
	for _, target := range []string{"/", "/rooms/a%2Fb/c/d?x=1&y=%20", "http://host.example/x/1/2?lastEventId=a-1", "/rooms/ü/é"} {
		r := httptest.NewRequest("GET", target, nil)
		r.Header = http.Header{"Accept": {"text/event-stream", "*/*"}, "Cookie": {"a=b"}, "X-Empty": {""}}
		mux.ServeHTTP(httptest.NewRecorder(), r)
		got.RequestURI, got.Close = target, !got.Close && target == "/"
		p, ok := Pack(got, someAddr)
		if !ok {
			t.Fatalf("%s can't be packed", target)
		}
		back := p.Unpack(context.WithValue(t.Context(), http.ServerContextKey, 7))
		if diff := same(got, back); diff != "" {
			t.Errorf("%s: %s", target, diff)
		}
		if back.Context().Value(http.ServerContextKey) != 7 || back.Body == nil {
			t.Errorf("%s: without its context or body", target)
		}
		if p.RemoteAddr() != got.RemoteAddr {
			t.Errorf("remote address %q", p.RemoteAddr())
		}
	}
}

func TestPack_KeepsRewrittenURLs(t *testing.T) {
	r := httptest.NewRequest("GET", "/api/x?y=1", nil)
	r.RequestURI = "/api/x?y=1"
	r.URL = &url.URL{Path: "/x", RawQuery: "y=1"} // as http.StripPrefix leaves it
	p, ok := Pack(r, someAddr)
	if diff := same(r, p.Unpack(t.Context())); !ok || diff != "" {
		t.Errorf("packed %v, %s", ok, diff)
	}
}

func TestPack_KeepsTheLocalAddress(t *testing.T) {
	for _, want := range []net.Addr{
		someAddr,
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"},
		&net.UnixAddr{Net: "unix", Name: "/run/t/u.sock"},
	} {
		p, _ := Pack(httptest.NewRequest("GET", "/", nil), want)
		got, _ := p.Context(t.Context()).Value(http.LocalAddrContextKey).(net.Addr)
		if got == nil || got.String() != want.String() || got.Network() != want.Network() {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestPack_LeavesOthersAlone(t *testing.T) {
	post := httptest.NewRequest("POST", "/", strings.NewReader("body"))
	parsed := httptest.NewRequest("GET", "/?a=1", nil)
	if err := parsed.ParseForm(); err != nil {
		t.Fatal(err)
	}
	rewritten := func(path string) *http.Request {
		r := httptest.NewRequest("GET", "/api", nil)
		r.RequestURI = "/api"
		r.URL = &url.URL{Path: path}
		return r
	}
	listless := httptest.NewRequest("GET", "/", nil)
	listless.Header["X-None"] = nil
	for name, r := range map[string]*http.Request{
		"a header without values": listless,
		"POST":                    post, "parsed": parsed,
		"without a path": rewritten(""), "path like a host": rewritten("//host/x"), "path like a scheme": rewritten("a:b"),
	} {
		if _, ok := Pack(r, someAddr); ok {
			t.Errorf("%s: packed, though something would be lost", name)
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add("/a?b=c", "host", "X-A", "v")
	f.Add("/", "", "Accept", strings.Repeat("long", 100))
	f.Fuzz(func(t *testing.T, uri, host, name, value string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			t.Skip()
		}
		r := &http.Request{
			Method: "GET", URL: u, RequestURI: uri, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{name: {value, ""}}, RemoteAddr: "1.2.3.4:5",
		}
		p, ok := Pack(r, someAddr)
		if !ok {
			t.Fatal("can't be packed")
		}
		if diff := same(r, p.Unpack(t.Context())); diff != "" {
			t.Error(diff)
		}
	})
}
