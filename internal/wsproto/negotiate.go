package wsproto

import (
	"slices"
	"strconv"
)

// Names of RFC 7692 7.
const (
	permessageDeflate       = "permessage-deflate"
	serverNoContextTakeover = "server_no_context_takeover"
	clientNoContextTakeover = "client_no_context_takeover"
	serverMaxWindowBits     = "server_max_window_bits"
	clientMaxWindowBits     = "client_max_window_bits"
)

// Windows of deflate, as base-2 logarithms of bytes.
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// Deflate is permessage-deflate as two endpoints have agreed on it, or as one of them wants it.
type Deflate struct {
	// ServerTakeover and ClientTakeover say that the server, or the client, refers to earlier messages when it compresses.
	ServerTakeover, ClientTakeover bool
	// ServerBits and ClientBits bound how far back they refer: 8 to 15.
	ServerBits, ClientBits int
}

// Negotiate answers the offers in the lines of Sec-WebSocket-Extensions. The first offer of permessage-deflate that is
// well-formed to the letter of RFC 7692 7.1 is accepted, with no more than want says; others are declined. It is not ok
// if all are, or if the header breaks the grammar, which RFC 6455 9.1 lets a server answer like that.
func Negotiate(lines []string, want Deflate) (d Deflate, answer string, ok bool) {
	list, ok := parseExtensions(lines)
	if !ok {
		return Deflate{}, "", false
	}
	for _, e := range list {
		if e.name != permessageDeflate {
			continue
		}
		if o, ok := parseOffer(e.params, true); ok {
			d, answer = o.answer(want)
			return d, answer, true
		}
	}
	return Deflate{}, "", false
}

// offer is the parameters of one element; bits are 0 if the parameter is not there, and -1 if it has no value.
type offer struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
}

// parseOffer is not ok if a parameter is unknown, is there twice, is quoted or has a value that it can't have. Only an
// offer may have client_max_window_bits without a value.
func parseOffer(params []param, offered bool) (o offer, ok bool) {
	seen := make([]string, 0, 4)
	for _, p := range params {
		if slices.Contains(seen, p.name) || p.quoted {
			return o, false
		}
		seen = append(seen, p.name)
		ok := false
		switch p.name {
		case serverNoContextTakeover:
			o.serverNoTakeover, ok = true, !p.hasValue
		case clientNoContextTakeover:
			o.clientNoTakeover, ok = true, !p.hasValue
		case serverMaxWindowBits:
			o.serverBits, ok = windowBits(p.value)
		case clientMaxWindowBits:
			if o.clientBits, ok = windowBits(p.value); !p.hasValue {
				o.clientBits, ok = -1, offered
			}
		}
		if !ok {
			return o, false
		}
	}
	return o, true
}

// windowBits parses a value of 8 to 15, which has no leading zeros.
func windowBits(s string) (n int, ok bool) {
	switch s {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		n, _ = strconv.Atoi(s)
		return n, true
	}
	return 0, false
}

// answer accepts an offer.
func (o offer) answer(want Deflate) (Deflate, string) {
	d := want
	s := permessageDeflate
	if d.ServerTakeover = want.ServerTakeover && !o.serverNoTakeover; !d.ServerTakeover {
		s += "; " + serverNoContextTakeover
	}
	if d.ClientTakeover = want.ClientTakeover && !o.clientNoTakeover; !d.ClientTakeover {
		s += "; " + clientNoContextTakeover
	}
	if o.serverBits > 0 {
		d.ServerBits = min(want.ServerBits, o.serverBits)
		s += "; " + serverMaxWindowBits + "=" + strconv.Itoa(d.ServerBits)
	}
	switch {
	case o.clientBits == 0: // RFC 7692 7.1.2.2: the server must not say it then
		d.ClientBits = MaxWindowBits
	default:
		if o.clientBits > 0 {
			d.ClientBits = min(want.ClientBits, o.clientBits)
		}
		if d.ClientBits < MaxWindowBits {
			s += "; " + clientMaxWindowBits + "=" + strconv.Itoa(d.ClientBits)
		}
	}
	return d, s
}

// Offer is what a client says that wants d.
func (d Deflate) Offer() string {
	s := permessageDeflate
	if !d.ServerTakeover {
		s += "; " + serverNoContextTakeover
	}
	if !d.ClientTakeover {
		s += "; " + clientNoContextTakeover
	}
	if d.ServerBits < MaxWindowBits {
		s += "; " + serverMaxWindowBits + "=" + strconv.Itoa(d.ServerBits)
	}
	s += "; " + clientMaxWindowBits
	if d.ClientBits < MaxWindowBits {
		s += "=" + strconv.Itoa(d.ClientBits)
	}
	return s
}

// ParseAnswer takes the answer to the offer of d, or to none if d is nil, apart. deflate is false if the server
// declined. RFC 7692 7.1 makes everything else that was not offered an error.
func ParseAnswer(lines []string, d *Deflate) (got Deflate, deflate bool, err error) {
	bad := refuse(101, "the server's answer about extensions is not one to what was offered")
	list, ok := parseExtensions(lines)
	switch {
	case !ok, len(list) > 1, len(list) == 1 && (d == nil || list[0].name != permessageDeflate):
		return got, false, bad
	case len(list) == 0:
		return got, false, nil
	}
	a, ok := parseOffer(list[0].params, false)
	if !ok || !d.ServerTakeover && !a.serverNoTakeover || a.clientBits > d.ClientBits ||
		d.ServerBits < MaxWindowBits && (a.serverBits == 0 || a.serverBits > d.ServerBits) {
		return got, false, bad
	}
	got = Deflate{
		ServerTakeover: !a.serverNoTakeover, ClientTakeover: d.ClientTakeover && !a.clientNoTakeover,
		ServerBits: MaxWindowBits, ClientBits: d.ClientBits,
	}
	if a.serverBits > 0 {
		got.ServerBits = a.serverBits
	}
	if a.clientBits > 0 {
		got.ClientBits = a.clientBits
	}
	return got, true, nil
}
