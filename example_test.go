package celeris_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/goceleris/celeris"
)

func Example() {
	app := celeris.New(celeris.Config{Addr: "127.0.0.1:0"})
	app.GET("/hello/{name}", func(c *celeris.Context) error {
		return c.String(http.StatusOK, "Hello, "+c.Param("name")+"!")
	})

	// A program says app.Start(); a test can do without a listener.
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/hello/Ada", nil))
	fmt.Println(w.Body)
	// Output: Hello, Ada!
}

func ExampleServer_Serve() {
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.GET("/", func(c *celeris.Context) error { return c.String(http.StatusOK, "hi") })

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	result := make(chan error)
	go func() { result <- app.Serve(ctx, l) }()

	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Println(string(body))

	stop() // drains, then returns
	fmt.Println(<-result)
	// Output:
	// hi
	// <nil>
}

func ExampleServer_Shutdown() {
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.GET("/ready", app.Ready())
	ready := func() int {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
		return w.Code
	}

	fmt.Println(ready())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := app.Shutdown(ctx)
	if stuck, ok := errors.AsType[*celeris.StuckError](err); ok {
		fmt.Println("left running:", stuck.Routes)
	}
	fmt.Println(err, ready())
	// Output:
	// 200
	// <nil> 503
}

func ExampleServer_Mount() {
	app := celeris.New(celeris.Config{})
	app.GET("/", func(c *celeris.Context) error { return c.String(http.StatusOK, "home") })
	files := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "file "+r.URL.Path) })
	app.Mount("/static/", http.StripPrefix("/static", files))

	for _, path := range []string{"/", "/static/a.css"} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Body)
	}
	// Output:
	// home
	// file /a.css
}

func ExampleGroup() {
	app := celeris.New(celeris.Config{})
	api := app.Group("/api", onlyAdmins)
	rooms := api.Group("/rooms")
	route := rooms.GET("/{id}", func(c *celeris.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"room": c.Param("id")})
	})
	fmt.Println(route.Pattern())

	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/api/rooms/7", nil)
	app.ServeHTTP(w, r)
	fmt.Println(w.Code)

	r.Header.Set("X-Admin", "yes")
	w = httptest.NewRecorder()
	app.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// GET /api/rooms/{id}
	// 403
	// {"room":"7"}
}

func onlyAdmins(next celeris.HandlerFunc) celeris.HandlerFunc {
	return func(c *celeris.Context) error {
		if c.Header("X-Admin") == "" {
			return celeris.NewHTTPError(http.StatusForbidden, "admins only")
		}
		return next(c)
	}
}

func ExampleRoute_MaxBody() {
	app := celeris.New(celeris.Config{MaxBody: 64 << 10})
	app.POST("/upload", func(c *celeris.Context) error {
		n, err := io.Copy(io.Discard, c.Request().Body)
		if err != nil {
			return err // longer than that: 413
		}
		return c.String(http.StatusOK, fmt.Sprint(n))
	}).MaxBody(1 << 30)

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("POST", "/upload", strings.NewReader(strings.Repeat("x", 100<<10))))
	fmt.Println(w.Code, w.Body)
	// Output: 200 102400
}

func ExampleHandlerFunc() {
	hello := celeris.HandlerFunc(func(c *celeris.Context) error {
		return c.String(http.StatusOK, "Hello, "+c.Query("name"))
	})
	mux := http.NewServeMux() // a handler is at home on any router
	mux.Handle("GET /hello", hello)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/hello?name=Bob", nil))
	fmt.Println(w.Body)
	// Output: Hello, Bob
}

func ExampleMiddleware() {
	timing := func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			err := next(c)
			fmt.Println(c.Request().Method, c.Route(), err)
			return err
		}
	}
	app := celeris.New(celeris.Config{})
	app.Use(timing)
	app.GET("/rooms/{id}", func(c *celeris.Context) error { return c.NoContent(http.StatusNoContent) })

	for _, path := range []string{"/rooms/7", "/nowhere"} {
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	// Output:
	// GET GET /rooms/{id} <nil>
	// GET  404 Not Found
}

func ExampleFromHTTPMiddleware() {
	frame := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Frame-Options", "DENY")
			next.ServeHTTP(w, r)
		})
	}
	app := celeris.New(celeris.Config{})
	app.Use(celeris.FromHTTPMiddleware(frame))

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/nowhere", nil))
	fmt.Println(w.Code, w.Header().Get("X-Frame-Options"))
	// Output: 404 DENY
}

func ExampleHTTPError() {
	find := celeris.HandlerFunc(func(c *celeris.Context) error {
		cause := errors.New("select: no rows")
		return &celeris.HTTPError{Code: http.StatusNotFound, Message: "no such room", Err: cause}
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "application/json")
	find.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 404 {"code":404,"message":"no such room"}
}

func ExampleConfig() {
	app := celeris.New(celeris.Config{
		MaxBody: 1 << 20,
		Logger:  slog.New(slog.DiscardHandler),
		ErrorHandler: func(c *celeris.Context, err error) {
			e, _ := errors.AsType[*celeris.HTTPError](err) // there always is one
			if c.JSON(e.Code, map[string]int{"error": e.Code}) != nil {
				return // the client went away
			}
		},
	})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/nowhere", nil))
	fmt.Println(w.Body)
	// Output: {"error":404}
}

func ExampleContext_Bind() {
	app := celeris.New(celeris.Config{})
	app.POST("/rooms", func(c *celeris.Context) error {
		var room struct{ Name string }
		if err := c.Bind(&room); err != nil {
			return err
		}
		return c.String(http.StatusCreated, room.Name)
	})
	for _, body := range []string{`{"name":"lobby"}`, `{"name":"lobby"} and more`} {
		r := httptest.NewRequest("POST", "/rooms", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 201 lobby
	// 400 body is not the expected JSON
}

func ExampleContext_OnStreamEnd() {
	app := celeris.New(celeris.Config{})
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			route := c.Route()
			c.OnStreamEnd(func(end celeris.StreamEnd) {
				slog.Info("stream ended", "route", route, "bytes", end.Bytes, "after", end.Duration, "reason", end.Reason)
			})
			return next(c)
		}
	})
}

// A program that serves its pages and its admin interface on sockets that systemd opened for it tells them apart by
// their names.
func ExampleListeners() {
	app, admin := celeris.New(celeris.Config{}), celeris.New(celeris.Config{})
	listeners, err := celeris.Listeners()
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range listeners {
		switch l.Name {
		case "web":
			go app.Serve(context.Background(), l.Listener)
		case "admin":
			go admin.Serve(context.Background(), l.Listener)
		}
	}
	fmt.Println(len(listeners), "sockets were passed to this process")
	// Output: 0 sockets were passed to this process
}

// Behind a proxy that sets X-Real-IP, the address of the connection is the proxy's.
func ExampleConfig_clientIP() {
	app := celeris.New(celeris.Config{
		MaxStreams:          100_000,
		MaxStreamsPerClient: 20,
		ClientIP: func(r *http.Request) netip.Addr {
			ip, err := netip.ParseAddr(r.Header.Get("X-Real-IP"))
			if err != nil {
				return netip.IPv4Unspecified() // all that don't say are one client
			}
			return ip
		},
	})
	app.GET("/", func(c *celeris.Context) error { return c.String(http.StatusOK, "hello") })
}
