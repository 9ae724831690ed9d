package celeris_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
)

// shows answers with what the router found out.
func shows(names ...string) celeris.HandlerFunc {
	return func(c *celeris.Context) error {
		parts := []string{c.Route()}
		for _, n := range names {
			parts = append(parts, n+"="+c.Param(n))
		}
		return c.String(http.StatusOK, strings.Join(parts, " "))
	}
}

func TestServer_Routes(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/", shows())
	app.GET("/rooms/{id}", shows("id"))
	app.GET("/rooms/lobby", shows())
	app.POST("/rooms", shows())
	app.PUT("/rooms/{id}", shows("id"))
	app.PATCH("/rooms/{id}", shows("id"))
	app.DELETE("/rooms/{id}", shows("id"))
	app.OPTIONS("/rooms", shows())
	app.HEAD("/only-head", shows())
	app.GET("/files/{path...}", shows("path"))
	app.GET("/tree/", shows())
	app.Handle("REPORT /rooms/{id}", shows("id"))
	app.Handle("GET  example.org/rooms/{id}", shows("id"))
	app.Handle("GET example.org/", shows())
	app.Mount("/api/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "mounted "+r.URL.Path) }))
	app.Mount("/strip", http.StripPrefix("/strip", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "stripped "+r.URL.Path) })))

	tests := []struct {
		method, target string
		code           int
		body           string
	}{
		{"GET", "/", 200, "GET /"},
		{"HEAD", "/", 200, "GET /"}, // a recorder keeps the body
		{"GET", "/nothing", 404, ""},
		{"GET", "/rooms/7", 200, "GET /rooms/{id} id=7"},
		{"GET", "/rooms/a%2Fb%20c", 200, "GET /rooms/{id} id=a/b c"},
		{"GET", "/rooms/lobby", 200, "GET /rooms/lobby"},
		{"GET", "/rooms/", 404, ""},
		{"POST", "/rooms", 200, "POST /rooms"},
		{"OPTIONS", "/rooms", 200, "OPTIONS /rooms"},
		{"PUT", "/rooms/7", 200, "PUT /rooms/{id} id=7"},
		{"PATCH", "/rooms/7", 200, "PATCH /rooms/{id} id=7"},
		{"DELETE", "/rooms/7", 200, "DELETE /rooms/{id} id=7"},
		{"REPORT", "/rooms/7", 200, "REPORT /rooms/{id} id=7"},
		{"HEAD", "/only-head", 200, "HEAD /only-head"},
		{"GET", "/only-head", 405, ""},
		{"GET", "/files/a/b.txt", 200, "GET /files/{path...} path=a/b.txt"},
		{"GET", "/tree/deep/down", 200, "GET /tree/"},
		{"GET", "http://example.org/rooms/7", 200, "GET example.org/rooms/{id} id=7"},
		{"GET", "http://example.org/", 200, "GET example.org/"},
		{"GET", "http://example.org/rooms", 405, ""},
		{"GET", "/api/x/y", 200, "mounted /api/x/y"},
		{"DELETE", "/api/", 200, "mounted /api/"},
		{"GET", "/strip/x", 200, "stripped /x"},
		{"GET", "/api", 307, ""},
		{"GET", "/a/../rooms/7", 307, ""},
	}
	for _, tt := range tests {
		w := record(app, tt.method, tt.target, "")
		if w.Code != tt.code || tt.code == 200 && w.Body.String() != tt.body {
			t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.target, w.Code, w.Body, tt.code, tt.body)
		}
	}
	if got := record(app, "GET", "/api", "").Header().Get("Location"); got != "/api/" {
		t.Errorf("Location of /api = %q, want /api/", got)
	}
	if got := record(app, "GET", "/a/../rooms/7", "").Header().Get("Location"); got != "/rooms/7" {
		t.Errorf("Location of an unclean path = %q, want /rooms/7", got)
	}
}

func TestServer_AnswersAnUnknownMethodWithAllow(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/x", says("x"))
	app.PUT("/x", says("x"))
	for _, method := range []string{"POST", "OPTIONS"} {
		w := record(app, method, "/x", "")
		if got, want := w.Header().Get("Allow"), "GET, HEAD, PUT"; w.Code != 405 || got != want {
			t.Errorf("%s = %d with Allow %q, want 405 with %q", method, w.Code, got, want)
		}
	}
}

func TestServer_PassesEveryRequestThroughMiddleware(t *testing.T) {
	var seen []string
	app := celeris.New(quiet())
	app.GET("/before", says("before"))
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			err := next(c)
			seen = append(seen, fmt.Sprintf("%s|%s|%v", c.Request().URL.Path, c.Route(), err))
			return err
		}
	})
	app.POST("/after", says("after"))
	app.Mount("/m/", http.NotFoundHandler())
	for _, path := range []string{"/before", "/after", "/m/x", "/missing", "/m"} {
		record(app, "GET", path, "")
	}
	want := []string{
		"/before|GET /before|<nil>",
		"/after||405 Method Not Allowed",
		"/m/x|/m/|<nil>",
		"/missing||404 Not Found",
		"/m||<nil>",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("middleware saw %q, want %q", seen, want)
	}
}

func TestServer_OrdersMiddleware(t *testing.T) {
	var order []string
	mark := func(name string) celeris.Middleware {
		return func(next celeris.HandlerFunc) celeris.HandlerFunc {
			return func(c *celeris.Context) error {
				order = append(order, name)
				return next(c)
			}
		}
	}
	app := celeris.New(quiet())
	outer := app.Group("/v1/", mark("group1"), mark("group2"))
	first := outer.Group("/a", mark("a"))
	second := outer.Group("/b", mark("b")) // must not write over the middleware of its sibling
	first.GET("/x", shows(), mark("route1"), mark("route2"))
	second.GET("", shows())
	second.GET("/", shows())
	outer.Group("").Mount("/m", shows())
	app.Use(mark("use1"))
	app.Use(mark("use2"))

	tests := []struct{ path, route, order string }{
		{"/v1/a/x", "GET /v1/a/x", "use1 use2 group1 group2 a route1 route2"},
		{"/v1/b", "GET /v1/b", "use1 use2 group1 group2 b"},
		{"/v1/b/", "GET /v1/b/", "use1 use2 group1 group2 b"},
		{"/v1/b/x", "", "use1 use2"},
		{"/v1/m/x", "/v1/m/", "use1 use2 group1 group2"},
	}
	for _, tt := range tests {
		order = nil
		w := record(app, "GET", tt.path, "")
		if got := strings.Join(order, " "); got != tt.order {
			t.Errorf("order for %s = %q, want %q", tt.path, got, tt.order)
		}
		if tt.route != "" && w.Body.String() != tt.route {
			t.Errorf("route of %s = %q, want %q", tt.path, w.Body, tt.route)
		}
	}
}

func TestServer_TeachesWhenRegistrationIsWrong(t *testing.T) {
	none := func(celeris.HandlerFunc) celeris.HandlerFunc { return nil }
	tests := []struct {
		name string
		do   func(*celeris.Server)
		want []string
	}{
		{"nil handler", func(s *celeris.Server) { s.GET("/x", nil) }, []string{`"GET /x"`, "nil"}},
		{"nil mount", func(s *celeris.Server) { s.Mount("/x/", nil) }, []string{`"/x/"`, "nil"}},
		{"nil middleware", func(s *celeris.Server) { s.GET("/x", says(""), nil) }, []string{`"GET /x"`, "Middleware"}},
		{"nil group middleware", func(s *celeris.Server) { s.Group("/x", nil) }, []string{`"/x"`, "Middleware"}},
		{"nil server middleware", func(s *celeris.Server) { s.Use(nil) }, []string{"Use", "Middleware"}},
		{"middleware returns nil", func(s *celeris.Server) { s.GET("/x", says(""), none) }, []string{`"GET /x"`, "returned a nil"}},
		{"no method", func(s *celeris.Server) { s.Handle("/x", says("")) }, []string{`"/x"`, `write "GET /x"`, "Mount"}},
		{"lower case", func(s *celeris.Server) { s.Handle("get /x", says("")) }, []string{`"get /x"`, "write GET"}},
		{"no slash", func(s *celeris.Server) { s.GET("x", says("")) }, []string{`"GET x"`, "slash"}},
		{"no slash in a group", func(s *celeris.Server) { s.Group("/g").Handle("GET x", says("")) }, []string{`"GET /gx"`, "slash"}},
		{"no slash in a prefix", func(s *celeris.Server) { s.Group("g") }, []string{`"g"`, "slash"}},
		{"empty path", func(s *celeris.Server) { s.GET("", says("")) }, []string{"empty", `"/"`}},
		{"method in a mount", func(s *celeris.Server) { s.Mount("GET /x/", http.NotFoundHandler()) }, []string{`"GET /x/"`, "leave the method out"}},
		{"colon", func(s *celeris.Server) { s.GET("/rooms/:id", says("")) }, []string{`":id"`, "{id}"}},
		{"star", func(s *celeris.Server) { s.Group("/files/*").GET("", says("")) }, []string{`"*"`, "{path...}"}},
		{"malformed", func(s *celeris.Server) { s.GET("/{a", says("")) }, []string{`"GET /{a"`, "wildcard"}},
		{"same name twice", func(s *celeris.Server) { s.GET("/{a}/{a}", says("")) }, []string{`"GET /{a}/{a}"`, "duplicate"}},
		{"negative body", func(s *celeris.Server) { s.GET("/x", says("")).MaxBody(-1) }, []string{`"GET /x"`, "MaxBody(-1)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustPanic(t, func() { tt.do(celeris.New(quiet())) })
			for _, want := range append(tt.want, "celeris: ") {
				if !strings.Contains(got, want) {
					t.Errorf("panic = %q, want %q in it", got, want)
				}
			}
			if tt.name != "negative body" && !strings.Contains(got, "routes_test.go:") {
				t.Errorf("panic = %q, want the place of the call in it", got)
			}
		})
	}
}

func TestServer_TeachesAboutMiddlewareThatReturnsNil(t *testing.T) {
	app := celeris.New(quiet())
	app.Use(func(celeris.HandlerFunc) celeris.HandlerFunc { return nil })
	if got := mustPanic(t, func() { record(app, "GET", "/", "") }); !strings.Contains(got, "Server.Use") {
		t.Errorf("panic = %q, want Server.Use in it", got)
	}
}

func TestServer_NamesBothPlacesOfAConflict(t *testing.T) {
	app := celeris.New(quiet())
	_, file, line, _ := runtime.Caller(0)
	app.GET("/unrelated", says(""))
	old := app.Group("/rooms").GET("/{id}", says(""))
	if got, want := old.Source(), fmt.Sprintf("%s:%d", file, line+2); got != want {
		t.Errorf("Source() = %q, want %q", got, want)
	}
	for name, add := range map[string]func(){
		"same requests":     func() { app.Handle("GET /rooms/{name}", says("")) },
		"some requests":     func() { app.GET("/{kind}/7", says("")) },
		"the same pattern":  func() { app.GET("/rooms/{id}", says("")) },
		"method and prefix": func() { app.Mount("/rooms/{id}/", http.NotFoundHandler()); app.GET("/{x}/{y}/z", says("")) },
	} {
		got := mustPanic(t, add)
		if n := strings.Count(got, filepath.Base(file)+":"); n != 2 || !strings.Contains(got, "conflicts") {
			t.Errorf("%s: panic = %q, want two places in it", name, got)
		}
		if name != "method and prefix" && !strings.Contains(got, fmt.Sprintf(`"GET /rooms/{id}" (%s:%d)`, file, line+2)) {
			t.Errorf("%s: panic = %q, want the older route with its place", name, got)
		}
	}
	if w := record(app, "GET", "/rooms/1", ""); w.Code != 200 {
		t.Errorf("status after refused registrations = %d, want 200", w.Code)
	}
}

func TestServer_IsFixedFromTheFirstRequestOn(t *testing.T) {
	app := celeris.New(quiet())
	route := app.GET("/x", says("x"))
	group := app.Group("/g")
	record(app, "GET", "/x", "")
	for name, late := range map[string]func(){
		"GET":     func() { app.GET("/y", says("y")) },
		"group":   func() { group.GET("/y", says("y")) },
		"Mount":   func() { app.Mount("/m", http.NotFoundHandler()) },
		"Use":     func() { app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc { return next }) },
		"MaxBody": func() { route.MaxBody(1) },
	} {
		if got := mustPanic(t, late); !strings.Contains(got, "begun to serve") || !strings.Contains(got, "routes_test.go:") {
			t.Errorf("%s: panic = %q, want the reason and the place", name, got)
		}
	}
}

func TestServer_WorksInsideAnotherRouter(t *testing.T) {
	inner := celeris.New(quiet())
	inner.GET("/in/x/{id}", shows("id"))
	outer := celeris.New(quiet())
	outer.Mount("/in", inner)
	mux := http.NewServeMux()
	mux.Handle("/in/{rest...}", outer)

	r := httptest.NewRequest("GET", "/in/x/7", nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if got, want := w.Body.String(), "GET /in/x/{id} id=7"; got != want {
		t.Errorf("body = %q, want %q", got, want)
	}
	if got, want := r.Pattern, "/in/{rest...}"; got != want {
		t.Errorf("the outer router's request has the pattern %q, want %q", got, want)
	}
}
