package wsproto_test

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/wsproto"
)

const hello = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

func request(t *testing.T, s string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(s)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheck_AcceptsTheExampleOfTheRFC(t *testing.T) {
	for name, in := range map[string]string{
		"as it is":     hello,
		"other tokens": strings.NewReplacer("Connection: Upgrade", "Connection: keep-alive , UPGRADE", "Upgrade: websocket", "Upgrade: h2c, WebSocket").Replace(hello),
		"two lines":    strings.Replace(hello, "Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade", 1),
		"HTTP/1.2":     strings.Replace(hello, "HTTP/1.1", "HTTP/1.2", 1),
	} {
		got, refusal := wsproto.Check(request(t, in))
		if refusal != nil || got.Accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || len(got.Protocols) != 0 {
			t.Errorf("%s: %+v, %v", name, got, refusal)
		}
	}
	got, refusal := wsproto.Check(request(t, strings.Replace(hello, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat , v2\r\nSec-WebSocket-Protocol: v1,\r\n\r\n", 1)))
	if refusal != nil || !slices.Equal(got.Protocols, []string{"chat", "v2", "v1"}) {
		t.Errorf("subprotocols: %+v, %v", got, refusal)
	}
}

func TestCheck_Refuses(t *testing.T) {
	for name, row := range map[string]struct {
		old, new string
		status   int
		header   string
	}{
		"another method":           {"GET", "POST", 405, "Allow: GET"},
		"HTTP/1.0":                 {"HTTP/1.1", "HTTP/1.0", 400, ""},
		"no Upgrade":               {"Upgrade: websocket\r\n", "", 426, "Upgrade: websocket"},
		"another Upgrade":          {"Upgrade: websocket", "Upgrade: h2c", 426, "Upgrade: websocket"},
		"no Connection":            {"Connection: Upgrade\r\n", "", 400, ""},
		"another Connection":       {"Connection: Upgrade", "Connection: keep-alive", 400, ""},
		"no Host":                  {"Host: server.example.com\r\n", "", 400, ""},
		"no key":                   {"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400, ""},
		"empty key":                {"dGhlIHNhbXBsZSBub25jZQ==", "", 400, ""},
		"short key":                {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400, ""},
		"long key":                 {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE=", 400, ""},
		"key that isn't base64":    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q==", 400, ""},
		"two keys":                 {"Sec-WebSocket-Version", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version", 400, ""},
		"no version":               {"Sec-WebSocket-Version: 13\r\n", "", 426, "Sec-Websocket-Version: 13"},
		"version 8":                {"Version: 13", "Version: 8", 426, "Sec-Websocket-Version: 13"},
		"two versions":             {"Version: 13", "Version: 13, 8", 426, "Sec-Websocket-Version: 13"},
		"a body":                   {"Connection", "Content-Length: 5\r\nConnection", 400, ""},
		"a chunked body":           {"Connection", "Transfer-Encoding: chunked\r\nConnection", 400, ""},
		"subprotocol with a space": {"Connection", "Sec-WebSocket-Protocol: a b\r\nConnection", 400, ""},
		"subprotocol twice":        {"Connection", "Sec-WebSocket-Protocol: a, a\r\nConnection", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, refusal := wsproto.Check(request(t, strings.Replace(hello, row.old, row.new, 1)))
			if refusal == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if refusal.Status != row.status {
				t.Errorf("%d %v, want %d", refusal.Status, refusal, row.status)
			}
			if n, v, ok := strings.Cut(row.header, ": "); ok && refusal.Header.Get(n) != v {
				t.Errorf("%s: %q, want %q", n, refusal.Header.Get(n), v)
			}
		})
	}
}

func TestCheck_TakesExtendedConnect(t *testing.T) {
	r := func(method string, h http.Header) *http.Request {
		return &http.Request{Method: method, ProtoMajor: 2, Host: "x", Header: h}
	}
	good := http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	if got, refusal := wsproto.Check(r("CONNECT", good)); refusal != nil || got.Accept != "" {
		t.Errorf("%+v, %v", got, refusal)
	}
	for want, bad := range map[int]*http.Request{
		405: r("GET", good),
		400: r("CONNECT", http.Header{"Sec-Websocket-Version": {"13"}}),
		426: r("CONNECT", http.Header{":protocol": {"websocket"}}),
	} {
		if _, refusal := wsproto.Check(bad); refusal == nil || refusal.Status != want {
			t.Errorf("%v, want %d", refusal, want)
		}
	}
}

func want(takeover bool, bits int) wsproto.Deflate {
	return wsproto.Deflate{ServerTakeover: takeover, ClientTakeover: takeover, ServerBits: bits, ClientBits: bits}
}

func TestNegotiate_ToTheLetter(t *testing.T) {
	const none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, row := range []struct {
		offer  string
		want   wsproto.Deflate
		answer string
	}{
		{"permessage-deflate", want(false, 15), none},
		{"permessage-deflate", want(true, 15), "permessage-deflate"},
		{"permessage-deflate; server_no_context_takeover", want(true, 15), "permessage-deflate; server_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover", want(true, 15), "permessage-deflate; client_no_context_takeover"},
		{"permessage-deflate ;client_max_window_bits", want(false, 15), none},
		{"permessage-deflate;client_max_window_bits", want(false, 10), none + "; client_max_window_bits=10"},
		{"permessage-deflate; client_max_window_bits=9", want(false, 10), none + "; client_max_window_bits=9"},
		{"permessage-deflate; client_max_window_bits=12", want(false, 10), none + "; client_max_window_bits=10"},
		{"permessage-deflate", want(false, 10), none}, // a client that doesn't offer it must not be asked
		{"permessage-deflate; server_max_window_bits=15", want(false, 15), none + "; server_max_window_bits=15"},
		{"permessage-deflate; server_max_window_bits=9", want(false, 15), none + "; server_max_window_bits=9"},
		{"permessage-deflate; server_max_window_bits = 8", want(false, 15), none + "; server_max_window_bits=8"},
		{"permessage-deflate; server_max_window_bits=12", want(false, 10), none + "; server_max_window_bits=10"},
		{"x-other, permessage-deflate", want(false, 15), none},
		{"x-other; a=\"b c\"", want(false, 15), ""},
		{"", want(false, 15), ""},
		{"permessage-deflate-2", want(false, 15), ""},
		// Each of these declines the offer.
		{"permessage-deflate; unknown", want(false, 15), ""},
		{"permessage-deflate; server_no_context_takeover=1", want(false, 15), ""},
		{"permessage-deflate; client_no_context_takeover=true", want(false, 15), ""},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=7", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=16", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=09", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=\"9\"", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", want(false, 15), ""},
		{"permessage-deflate; client_max_window_bits=7", want(false, 15), ""},
		{"permessage-deflate; client_max_window_bits=+9", want(false, 15), ""},
		{"permessage-deflate; client_max_window_bits=\"15\"", want(false, 15), ""},
		{"permessage-deflate; Server_No_Context_Takeover", want(false, 15), ""},
		// And the next is tried.
		{"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=99, permessage-deflate; server_max_window_bits=11", want(false, 15), none + "; server_max_window_bits=11"},
		// What breaks the grammar is answered by no extension at all.
		{"permessage-deflate; , permessage-deflate", want(false, 15), ""},
		{"permessage-deflate; server_max_window_bits=", want(false, 15), ""},
		{"permessage deflate", want(false, 15), ""},
		{"permessage-deflate; a=\"b", want(false, 15), ""},
	} {
		d, answer, ok := wsproto.Negotiate([]string{row.offer}, row.want)
		if answer != row.answer || ok != (answer != "") {
			t.Errorf("Negotiate(%q) = %q, %v, want %q", row.offer, answer, ok, row.answer)
		}
		if ok && (d.ServerBits > row.want.ServerBits || d.ServerTakeover && !row.want.ServerTakeover) {
			t.Errorf("Negotiate(%q) = %+v, more than %+v", row.offer, d, row.want)
		}
	}
}

func TestParseAnswer_TakesWhatWasOffered(t *testing.T) {
	offered := want(false, 12)
	for _, row := range []struct {
		answer string
		ok     bool
		got    wsproto.Deflate
	}{
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=12", true, want(false, 12)},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8", true, wsproto.Deflate{ServerBits: 9, ClientBits: 8}},
		{"permessage-deflate; server_no_context_takeover", false, wsproto.Deflate{}},
		{"permessage-deflate; server_max_window_bits=12", false, wsproto.Deflate{}},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=13", false, wsproto.Deflate{}},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits", false, wsproto.Deflate{}},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=13", false, wsproto.Deflate{}},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=12, permessage-deflate", false, wsproto.Deflate{}},
		{"x-other", false, wsproto.Deflate{}},
		{"permessage-deflate; foo", false, wsproto.Deflate{}},
	} {
		got, deflate, err := wsproto.ParseAnswer([]string{row.answer}, &offered)
		if (err == nil) != row.ok || deflate != row.ok || row.ok && got != row.got {
			t.Errorf("ParseAnswer(%q) = %+v, %v, %v, want %+v, %v", row.answer, got, deflate, err, row.got, row.ok)
		}
	}
	if _, _, err := wsproto.ParseAnswer([]string{"permessage-deflate"}, nil); err == nil {
		t.Error("an answer to no offer is taken")
	}
	if _, deflate, err := wsproto.ParseAnswer(nil, &offered); err != nil || deflate {
		t.Errorf("no answer: %v, %v", deflate, err)
	}
}

func FuzzExtensions(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits; server_max_window_bits=10, x; a=\"b\\\"c\"", true, uint8(15))
	f.Add(",, permessage-deflate ; server_no_context_takeover", false, uint8(8))
	f.Fuzz(func(t *testing.T, s string, takeover bool, bits uint8) {
		w := want(takeover, int(8+bits%8))
		d, answer, ok := wsproto.Negotiate([]string{s}, w)
		if !ok {
			return
		}
		if d.ServerBits < 8 || d.ServerBits > w.ServerBits || d.ClientBits < 8 || d.ClientBits > 15 {
			t.Fatalf("%q: %+v", s, d)
		}
		// An answer must be one that the strictest client takes which offered as much.
		most := wsproto.Deflate{ServerTakeover: true, ClientTakeover: true, ServerBits: 15, ClientBits: 15}
		got, deflate, err := wsproto.ParseAnswer([]string{answer}, &most)
		if err != nil || !deflate || got.ServerTakeover != d.ServerTakeover || got.ClientTakeover != d.ClientTakeover || got.ServerBits < d.ServerBits {
			t.Fatalf("%q is answered by %q, which is %+v, %v", s, answer, got, err)
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add(hello)
	f.Add(strings.Replace(hello, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n\r\n", 1))
	f.Fuzz(func(t *testing.T, s string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(s)))
		if err != nil {
			return
		}
		got, refusal := wsproto.Check(r)
		if (got == nil) == (refusal == nil) {
			t.Fatalf("%+v and %v", got, refusal)
		}
		if refusal != nil {
			if refusal.Status < 400 || refusal.Status > 499 {
				t.Fatalf("status %d", refusal.Status)
			}
			return
		}
		if r.Method != "GET" || !r.ProtoAtLeast(1, 1) || len(got.Accept) != 28 {
			t.Fatalf("accepted %q: %+v", s, got)
		}
	})
}

func TestCloseCodes(t *testing.T) {
	for code := range 70_000 {
		want := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		if wsproto.ValidCode(code) != want {
			t.Errorf("ValidCode(%d) = %v", code, !want)
		}
	}
}

func TestClose_RoundTrips(t *testing.T) {
	for _, row := range []struct {
		code         int
		reason, want string
	}{
		{1000, "", ""}, {1005, "", ""}, {4999, "bye", "bye"}, {1000, strings.Repeat("x", 200), strings.Repeat("x", 123)},
		{1000, strings.Repeat("é", 100), strings.Repeat("é", 61)}, {1000, "a\xffb", "a\uFFFDb"},
	} {
		p := wsproto.AppendClosePayload(nil, row.code, row.reason)
		if len(p) > wsproto.MaxControl || !utf8.Valid(p[min(2, len(p)):]) {
			t.Errorf("%d %q: %q", row.code, row.reason, p)
		}
		if code, reason, err := wsproto.ParseClose(p); code != row.code || reason != row.want || err != nil {
			t.Errorf("%d %q came back as %d %q, %v", row.code, row.reason, code, reason, err)
		}
	}
	for p, want := range map[string]int{"\x03": 1002, "\x03\xe7": 1002, "\x03\xed": 1002, "\x03\xee": 1002, "\x00\x00": 1002, "\x03\xe8\xff": 1007, "\x13\x88": 1002} {
		if _, _, err := wsproto.ParseClose([]byte(p)); code(err) != want {
			t.Errorf("%q: %v, want %d", p, err, want)
		}
	}
}
