package wsspec

import (
	"fmt"
	"net/http"
)

func accepts(name string, steps ...step) Case {
	return Case{Name: "4.2.1/" + name, raw: true, steps: steps}
}

func refuses(name string, edit map[string]string, check func(http.Header) error, statuses ...int) Case {
	return Case{Name: "4.2.1/" + name, raw: true, steps: []step{ask(edit), answer(check, statuses...)}}
}

const switching = http.StatusSwitchingProtocols

// handshakes are those that succeed: RFC 6455 sections 4.2.1 and 4.2.2.
func handshakes() []Case {
	hello := whole(opText, []byte("Hello"))
	echoed := echo(opText, []byte("Hello"))
	good := answer(accepted(sampleKey), switching)
	cases := []Case{
		accepts("the sample request", ask(nil), good, say(hello), echoed, (*conn).leave),
		accepts("another key", ask(map[string]string{"Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw=="}),
			answer(accepted("x3JJHMbDL1EzLkh9GBhXDw=="), switching), (*conn).leave),
		accepts("a request byte by byte", func(c *conn) error { return chop(1, request(c.path, nil))(c) }, good,
			say(hello), echoed, (*conn).leave),
		accepts("frames right behind the request are not lost",
			func(c *conn) error {
				return c.write(join(request(c.path, nil), hello, whole(opPing, []byte("p")), hello))
			},
			good, mixed([]string{"p"}, "Hello", "Hello"), (*conn).leave),
		accepts("half a frame right behind the request",
			func(c *conn) error { return c.write(join(request(c.path, nil), hello[:7])) },
			good, say(hello[7:]), echoed, (*conn).leave),
		accepts("a large message right behind the request", func(c *conn) error {
			data := filler(70_000)
			return aside(join(request(c.path, nil), whole(opText, data)), good, echo(opText, data))(c)
		}, (*conn).leave),
	}
	for name, edit := range inOrder(map[string]map[string]string{
		"Upgrade in other case":          {"Upgrade": "WebSocket"},
		"Connection in other case":       {"Connection": "UPGRADE"},
		"Connection with more tokens":    {"Connection": "keep-alive, Upgrade"},
		"Connection with tabs":           {"Connection": "keep-alive\t,\tupgrade"},
		"Upgrade with more tokens":       {"Upgrade": "h2c, websocket"},
		"white space around the version": {"Sec-WebSocket-Version": "  13  "},
		"white space around the key":     {"Sec-WebSocket-Key": "  " + sampleKey + "\t"},
		"the origin of the host":         {"Host": "server.example\r\nOrigin: http://server.example"},
		"the origin in other case":       {"Host": "server.example\r\nOrigin: http://SERVER.example"},
		"the origin with a port":         {"Host": "server.example:8443\r\nOrigin: https://server.example:8443"},
		"a subprotocol nobody speaks":    {"Upgrade": "websocket\r\nSec-WebSocket-Protocol: never, heard-of"},
		"an extension nobody knows":      {"Upgrade": "websocket\r\nSec-WebSocket-Extensions: x-unknown; a=1; b=\"2\""},
		"an unknown field":               {"Upgrade": "websocket\r\nX-Unknown: 1"},
		"two Connection fields":          {"Connection": "keep-alive\r\nConnection: Upgrade"},
		"fields in lower case":           {"Upgrade": "-", "Connection": "Upgrade\r\nupgrade: websocket"},
	}) {
		cases = append(cases, accepts(name, ask(edit), good, (*conn).leave))
	}
	return cases
}

// refusals are what section 4.2.1 has a server refuse, with the status that says why.
func refusals() []Case {
	const (
		bad       = http.StatusBadRequest
		upgrade   = http.StatusUpgradeRequired
		forbidden = http.StatusForbidden
		method    = http.StatusMethodNotAllowed
	)
	versions := func(h http.Header) error {
		if got := h.Get("Sec-WebSocket-Version"); got != "13" {
			return fmt.Errorf("version %q in Sec-WebSocket-Version, want 13: section 4.4", got)
		}
		return nil
	}
	one := func(name, value string) map[string]string { return map[string]string{name: value} }
	return []Case{
		{Name: "4.2.1/HEAD", raw: true, steps: []step{ask(one("line", "HEAD {path} HTTP/1.1")), answerTo(http.MethodHead, nil, method, bad)}},
		refuses("no Upgrade", one("Upgrade", "-"), nil, upgrade, bad),
		refuses("Upgrade to something else", one("Upgrade", "h2c"), nil, upgrade, bad),
		refuses("Upgrade of a longer word", one("Upgrade", "websocketx"), nil, upgrade, bad),
		refuses("no Connection", one("Connection", "-"), nil, upgrade, bad),
		refuses("Connection without upgrade", one("Connection", "keep-alive"), nil, upgrade, bad),
		refuses("Connection of a longer word", one("Connection", "upgraded"), nil, upgrade, bad),
		refuses("no version", one("Sec-WebSocket-Version", "-"), versions, upgrade, bad),
		refuses("an old version", one("Sec-WebSocket-Version", "8"), versions, upgrade),
		refuses("a future version", one("Sec-WebSocket-Version", "14"), versions, upgrade),
		refuses("a version that is no number", one("Sec-WebSocket-Version", "13a"), versions, upgrade, bad),
		refuses("no key", one("Sec-WebSocket-Key", "-"), nil, bad),
		refuses("an empty key", one("Sec-WebSocket-Key", ""), nil, bad),
		refuses("a key of 15 bytes", one("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA"), nil, bad),
		refuses("a key of 17 bytes", one("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), nil, bad),
		refuses("a key that is no base64", one("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j!!=="), nil, bad),
		refuses("a key without padding", one("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"), nil, bad),
		refuses("two keys", one("Sec-WebSocket-Key", sampleKey+"\r\nSec-WebSocket-Key: "+sampleKey), nil, bad),
		refuses("no Host", one("Host", "-"), nil, bad),
		refuses("POST", one("line", "POST {path} HTTP/1.1"), nil, method, bad),
		refuses("HTTP/1.0", one("line", "GET {path} HTTP/1.0"), nil, bad, upgrade, http.StatusHTTPVersionNotSupported),
		refuses("another origin", one("Host", "server.example\r\nOrigin: http://evil.example"), nil, forbidden),
		refuses("an origin that ends like the host", one("Host", "server.example\r\nOrigin: http://evilserver.example"), nil, forbidden),
		refuses("an origin that begins like the host", one("Host", "server.example\r\nOrigin: http://server.example.evil.example"), nil, forbidden),
		refuses("a subdomain of the host", one("Host", "server.example\r\nOrigin: http://a.server.example"), nil, forbidden),
		refuses("another port of the host", one("Host", "server.example\r\nOrigin: http://server.example:8080"), nil, forbidden),
		refuses("the origin null", one("Host", "server.example\r\nOrigin: null"), nil, forbidden),
		refuses("an origin that is none", one("Host", "server.example\r\nOrigin: ://"), nil, forbidden),
		refuses("the host as user of another origin", one("Host", "server.example\r\nOrigin: http://server.example@evil.example"), nil, forbidden),
	}
}
