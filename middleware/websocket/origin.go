package websocket

import (
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// allows reports whether the origin of a request may open a connection, RFC 6455 10.2.
func (s *settings) allows(r *http.Request) bool {
	if s.CheckOrigin != nil {
		return s.CheckOrigin(r)
	}
	values := r.Header["Origin"]
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil { // "null" has no host
		return false
	}
	origin := plainHost(u.Scheme, u.Host)
	host := r.Host
	if s.Host != nil {
		host = s.Host(r)
	}
	if origin == plainHost(u.Scheme, host) {
		return true
	}
	for _, p := range s.OriginPatterns {
		if ok, _ := path.Match(strings.ToLower(p), origin); ok { // patterns were checked
			return true
		}
	}
	return false
}

// plainHost is a host in lower case without the default port of its scheme.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	switch s := strings.ToLower(scheme); {
	case port == "80" && (s == "http" || s == "ws"), port == "443" && (s == "https" || s == "wss"):
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return host
}
