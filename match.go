package celeris

import "net/http"

// endpoint is what stands for a route in the ServeMux, which is only asked and never writes a response.
type endpoint Route

func (e *endpoint) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.(*match).route = (*Route)(e)
}

// match is the answer of the ServeMux: a route, or a response of its own that says there is none.
type match struct {
	route  *Route
	header http.Header
	status int
}

func (m *match) Header() http.Header {
	if m.header == nil {
		m.header = make(http.Header)
	}
	return m.header
}

func (m *match) WriteHeader(status int)      { m.status = status }
func (m *match) Write(p []byte) (int, error) { return len(p), nil }

// match finds the route of r, and sets its path values.
func (s *Server) match(c *Context, r *http.Request) *Route {
	s.mux.ServeHTTP(&c.match, r)
	if c.match.route == nil {
		return s.unmatched
	}
	return c.match.route
}

// answerMiss answers a request that has no route: 404, 405 with Allow, or a redirect to the path in its
// canonical form.
func answerMiss(c *Context) error {
	m := &c.match
	if to := m.header.Get("Location"); to != "" && m.status >= 300 && m.status < 400 {
		return c.Redirect(m.status, to)
	}
	if allow := m.header.Get("Allow"); allow != "" {
		c.w.Header().Set("Allow", allow)
	}
	return &HTTPError{Code: m.status}
}

// register puts r into mux and returns what that panicked with, or nil.
func register(mux *http.ServeMux, r *Route) (refusal any) {
	defer func() { refusal = recover() }()
	mux.Handle(r.mux, (*endpoint)(r))
	return nil
}
