package wsproto

import "strings"

// param is a parameter of an extension.
type param struct {
	name, value string
	hasValue    bool
	quoted      bool
}

// extension is an element of Sec-WebSocket-Extensions.
type extension struct {
	name   string
	params []param
}

// parseExtensions parses the lines of a header by the grammar of RFC 6455 9.1. It is not ok if they break it.
func parseExtensions(lines []string) (list []extension, ok bool) {
	for _, line := range lines {
		s := scanner{line}
		for {
			s.space()
			if s.s == "" {
				break
			}
			if s.take(',') { // an empty element
				continue
			}
			e := extension{name: s.token()}
			if e.name == "" {
				return nil, false
			}
			for s.space(); s.take(';'); s.space() {
				p, ok := s.param()
				if !ok {
					return nil, false
				}
				e.params = append(e.params, p)
			}
			list = append(list, e)
			if s.s != "" && !s.take(',') {
				return nil, false
			}
		}
	}
	return list, true
}

// scanner takes the front of a header line away.
type scanner struct{ s string }

func (s *scanner) space() { s.s = strings.TrimLeft(s.s, " \t") }

func (s *scanner) take(c byte) bool {
	if s.s == "" || s.s[0] != c {
		return false
	}
	s.s = s.s[1:]
	return true
}

func (s *scanner) token() string {
	n := 0
	for n < len(s.s) && tokenByte(s.s[n]) {
		n++
	}
	t := s.s[:n]
	s.s = s.s[n:]
	return t
}

func (s *scanner) param() (p param, ok bool) {
	s.space()
	if p.name = s.token(); p.name == "" {
		return p, false
	}
	s.space()
	if !s.take('=') {
		return p, true
	}
	s.space()
	p.hasValue = true
	if !s.take('"') {
		p.value = s.token()
		return p, p.value != ""
	}
	p.quoted = true
	var b strings.Builder
	for {
		switch {
		case s.s == "":
			return p, false
		case s.take('"'):
			p.value = b.String()
			return p, isToken(p.value) // RFC 6455 9.1: after unescaping it is a token
		case s.take('\\') && s.s == "":
			return p, false
		}
		b.WriteByte(s.s[0])
		s.s = s.s[1:]
	}
}
