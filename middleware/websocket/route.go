package websocket

import "github.com/goceleris/celeris"

// Registrar is where routes are registered: a [celeris.Server] or a [celeris.Group].
type Registrar interface {
	Handle(pattern string, h celeris.HandlerFunc, middleware ...celeris.Middleware) *celeris.Route
}

// Route registers the handler of cfg for a path: GET, and CONNECT, with which a WebSocket begins over HTTP/2 (RFC 8441).
// net/http takes those only if the process runs with GODEBUG=http2xconnect=1; a library can't switch it on.
func Route(r Registrar, path string, cfg Config, middleware ...celeris.Middleware) {
	h := New(cfg)
	r.Handle("GET "+path, h, middleware...)
	r.Handle("CONNECT "+path, h, middleware...)
}
