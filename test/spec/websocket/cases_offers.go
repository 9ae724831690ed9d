package wsspec

import (
	"fmt"
	"net/http"
	"strings"
)

// offers are RFC 7692 sections 5 and 7.1, to the letter.
func offers(deflate bool) []Case {
	var cases []Case
	add := func(name string, check func(a agreement) error, lines ...string) {
		cases = append(cases, offer(name, deflate, check, lines...))
	}
	for _, o := range []string{
		"permessage-deflate",
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; client_max_window_bits=15",
		"permessage-deflate; client_max_window_bits=8",
		"permessage-deflate; client_no_context_takeover",
		"permessage-deflate ; client_no_context_takeover ;client_max_window_bits = 10",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
		"x-unknown, permessage-deflate",
		"x-unknown; permessage-deflate, permessage-deflate",
		`x-unknown; a="b", permessage-deflate`,
		`x-unknown; a="\b", permessage-deflate`,
	} {
		add("accepts "+o, accepted7692, o)
	}
	for _, p := range []string{
		"server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
		"server_max_window_bits=0", "server_max_window_bits=010", "server_max_window_bits=+10", "server_max_window_bits=1e1",
		"server_max_window_bits=99999999999999999999", "server_max_window_bits=abc", `server_max_window_bits="10"`,
		"client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=08", "client_max_window_bits=x",
		`client_max_window_bits="12"`,
		"server_no_context_takeover=1", "client_no_context_takeover=true",
		"unknown", "unknown=1", "server_no_context_takeoverx",
		"server_no_context_takeover; server_no_context_takeover", "client_no_context_takeover; client_no_context_takeover",
		"server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits; client_max_window_bits=10",
	} {
		add("declines "+p, declined, "permessage-deflate; "+p)
		add("declines "+p+" and takes the next", accepted7692, "permessage-deflate; "+p+", permessage-deflate")
	}
	for _, o := range []string{"x-permessage-deflate", "permessage-deflatex", "permessage", "x-webkit-deflate-frame", "permessage-bzip2"} {
		add("declines "+o, declined, o)
	}
	next := func(a agreement) error {
		if !a.on || !a.serverNoTakeover {
			return fmt.Errorf("got %+v, want the second offer", a)
		}
		return nil
	}
	add("takes the second of two offers", next, "permessage-deflate; unknown, permessage-deflate; server_no_context_takeover")
	add("takes the offer of a second field", next, "permessage-deflate; unknown", "permessage-deflate; server_no_context_takeover")
	add("answers server_no_context_takeover", next, "permessage-deflate; server_no_context_takeover")
	for bits := 8; bits <= 15; bits++ {
		add(fmt.Sprintf("answers server_max_window_bits=%d with no more, or declines", bits), func(a agreement) error {
			if a.on && (!a.serverBitsNamed || a.serverBits > bits) {
				return fmt.Errorf("got %+v, want server_max_window_bits of at most %d", a, bits)
			}
			if !a.on && bits > 8 { // no deflater in common use can do 8
				return fmt.Errorf("declined server_max_window_bits=%d", bits)
			}
			return nil
		}, fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits))
		add(fmt.Sprintf("answers client_max_window_bits=%d with no more", bits), func(a agreement) error {
			if !a.on || a.clientBitsNamed && a.clientBits > bits {
				return fmt.Errorf("got %+v, want client_max_window_bits of at most %d, if at all", a, bits)
			}
			return nil
		}, fmt.Sprintf("permessage-deflate; client_max_window_bits=%d", bits))
	}
	for _, o := range []string{"permessage-deflate;", ";", ",permessage-deflate; =10", "permessage-deflate; a b", `permessage-deflate; a="b`, "permessage-deflate; a=\x01",
		"permessage-deflate; server_max_window_bits=", `permessage-deflate; client_no_context_takeover=""`, `permessage-deflate; a="b, c; d"`} {
		cases = append(cases, malformed(o))
	}
	return cases
}

func accepted7692(a agreement) error {
	if !a.on {
		return fmt.Errorf("declined")
	}
	return nil
}

func declined(a agreement) error {
	if a.on {
		return fmt.Errorf("accepted as %+v", a)
	}
	return nil
}

// offer is a handshake with lines of offers. What was agreed on is tried.
func offer(name string, deflate bool, check func(agreement) error, lines ...string) Case {
	fields := make([]string, len(lines))
	for i, l := range lines {
		fields[i] = "Sec-WebSocket-Extensions: " + l
	}
	all := strings.Join(lines, ", ")
	if !deflate {
		check = declined
	}
	return Case{Name: "7692.7.1/" + name, raw: true, steps: []step{
		ask(nil, fields...),
		func(c *conn) error { return answer(c.agree(all), switching)(c) },
		func(c *conn) error { return check(c.deflate) },
		func(c *conn) error {
			data := filler(500)
			if !c.deflate.on {
				return then(say(whole(opText, data)), echo(opText, data))(c)
			}
			return repeated(2, then(pressed(opText, data), echo(opText, data)))(c)
		},
		(*conn).leave,
	}}
}

// malformed is an offer that no grammar has: section 9.1 of RFC 6455 has the connection fail, RFC 7692 the offer
// declined; either will do.
func malformed(o string) Case {
	return Case{Name: "9.1/a malformed offer " + fmt.Sprintf("%q", o), raw: true, steps: []step{
		ask(nil, "Sec-WebSocket-Extensions: "+o),
		func(c *conn) error {
			response, err := c.response(http.MethodGet)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			switch got := response.Header.Values("Sec-WebSocket-Extensions"); {
			case response.StatusCode == http.StatusBadRequest:
				return nil
			case response.StatusCode != switching || len(got) > 0:
				return fmt.Errorf("status %d and extensions %q, want 400, or 101 and none", response.StatusCode, got)
			}
			return then(say(whole(opText, []byte("a"))), echo(opText, []byte("a")), (*conn).leave)(c)
		},
	}}
}
