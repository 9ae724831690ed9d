package celeris_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
)

// everywhere runs f in a bubble for each protocol.
func everywhere(t *testing.T, f func(t *testing.T, p protocol)) {
	certificate() // not in a bubble: its server uses a real socket
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p) })
		})
	}
}

func TestServer_SpeaksEveryProtocol(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		type key struct{}
		app := celeris.New(p.config(celeris.Config{}))
		app.POST("/echo", func(c *celeris.Context) error {
			if got := c.Context().Value(key{}); got != "v" {
				t.Errorf("value of Serve's context = %v, want v", got)
			}
			if exchange.From(c.Context()).Conn() == nil {
				t.Error("the connection is unknown to the exchange")
			}
			b, err := io.ReadAll(c.Request().Body)
			if err != nil {
				return err
			}
			return c.String(200, c.Request().Proto+" "+string(b))
		})
		app.GET("/long", says(strings.Repeat("x", 5000)))
		l := newPipes()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		result := make(chan error, 1)
		go func() { result <- app.Serve(ctx, l) }()
		client := p.client(t, l)
		if res, err := client.Head(p.url("/long")); err != nil || res.StatusCode != 200 || res.ContentLength != 5000 {
			t.Errorf("HEAD = %+v, %v, want 200 and the length of GET", res, err)
		}
		res, err := client.Post(p.url("/echo"), "text/plain", strings.NewReader("hi"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if want := p.proto + " hi"; err != nil || string(b) != want {
			t.Errorf("body = %q, %v, want %q", b, err, want)
		}
		if got := app.Addr(); got == nil || got.String() != "pipes" {
			t.Errorf("Addr() = %v, want that of the listener", got)
		}
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Serve = %v, want nil after a shutdown without loss", err)
		}
	})
}

// stream starts a response the way streaming packages do, and runs f on the request's goroutine after the
// middleware has unwound.
func stream(c *celeris.Context, f func(w http.ResponseWriter, control *http.ResponseController)) error {
	x := exchange.From(c.Context())
	start := []byte("start\n")
	x.Expect(start)
	c.Response().Write(start)
	if err := http.NewResponseController(c.Response()).Flush(); err != nil {
		return err
	}
	if !x.Detach(func(bool) {
		control := http.NewResponseController(x.Base())
		control.SetWriteDeadline(time.Time{})
		f(x.Base(), control)
	}) {
		return errors.New("response was not detached")
	}
	return nil
}

func TestServer_WriteTimeoutEndsRequestsAndNoStreams(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := celeris.New(p.config(celeris.Config{WriteTimeout: 5 * time.Second}))
		app.GET("/slow", func(c *celeris.Context) error {
			time.Sleep(6 * time.Second)
			return c.String(200, "late")
		})
		app.GET("/stream", func(c *celeris.Context) error {
			time.Sleep(time.Second)
			return stream(c, func(w http.ResponseWriter, control *http.ResponseController) {
				for i := range 3 {
					time.Sleep(time.Minute)
					fmt.Fprintln(w, i)
					control.Flush()
				}
			})
		})
		l := newPipes()
		serve(t, app, l)
		client := p.client(t, l)
		if res, err := client.Get(p.url("/slow")); err == nil {
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil {
				t.Errorf("a request longer than WriteTimeout was answered: %d %q", res.StatusCode, b)
			}
		}
		if code, body := request(t, client, "GET", p.url("/stream")); code != 200 || body != "start\n0\n1\n2\n" {
			t.Errorf("stream = %d %q, want all of it", code, body)
		}
	})
}

func TestServer_BoundsBodies(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := celeris.New(p.config(celeris.Config{MaxBody: 10}))
		read := func(c *celeris.Context) error {
			b, err := io.ReadAll(c.Request().Body)
			if err != nil {
				return fmt.Errorf("upload: %w", err)
			}
			return c.String(200, fmt.Sprint(len(b)))
		}
		app.POST("/small", read)
		app.POST("/large", read).MaxBody(100)
		l := newPipes()
		serve(t, app, l)
		client := p.client(t, l)
		for _, tt := range []struct {
			path       string
			size, code int
		}{{"/small", 10, 200}, {"/small", 11, 413}, {"/large", 100, 200}, {"/large", 101, 413}} {
			// Without a length, so that it is the bytes that count.
			body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", tt.size))}
			res, err := client.Post(p.url(tt.path), "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tt.code {
				t.Errorf("%d bytes to %s = %d, want %d", tt.size, tt.path, res.StatusCode, tt.code)
			}
		}
	})
}

func TestServer_BoundsHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quiet()
		cfg.MaxHeaderBytes = 1000
		app := celeris.New(cfg)
		app.GET("/", says("x"))
		l := newPipes()
		serve(t, app, l)
		for size, want := range map[int]string{10: "200", 20000: "431"} {
			conn, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n", strings.Repeat("x", size))
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.Contains(line, want) {
				t.Errorf("status line for a header of %d bytes = %q, %v, want %s", size, line, err, want)
			}
			conn.Close()
		}
	})
}

func TestServer_DoesNotWaitForSlowHeadsAndIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(quiet())
		app.GET("/", says("x"))
		l := newPipes()
		serve(t, app, l)
		for name, tt := range map[string]struct {
			send string
			want time.Duration
		}{
			"head": {"GET / HTTP/1.1\r\n", 10 * time.Second},
			"idle": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 120 * time.Second},
		} {
			conn, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			io.WriteString(conn, tt.send)
			io.Copy(io.Discard, conn) // up to the close
			if got := time.Since(start).Round(time.Second); got != tt.want {
				t.Errorf("%s: closed after %v, want %v", name, got, tt.want)
			}
			conn.Close()
		}
	})
}

func TestServer_SurvivesAPanic(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		var l logs
		app := celeris.New(p.config(celeris.Config{Logger: l.logger()}))
		app.GET("/panic", func(*celeris.Context) error { panic("oh no") })
		app.GET("/", says("alive"))
		ln := newPipes()
		serve(t, app, ln)
		client := p.client(t, ln)
		if res, err := client.Get(p.url("/panic")); err == nil {
			res.Body.Close()
			t.Errorf("status = %d, want a broken connection", res.StatusCode)
		}
		if code, body := request(t, client, "GET", p.url("/")); code != 200 || body != "alive" {
			t.Errorf("next request = %d %q, want 200 alive", code, body)
		}
		synctest.Wait() // HTTP/2 resets the stream first and logs then
		if !strings.Contains(l.String(), "oh no") {
			t.Errorf("log = %q, want the panic of net/http's error log", l.String())
		}
	})
}

func TestServer_StartContextListens(t *testing.T) {
	var l logs
	cfg := celeris.Config{Addr: "127.0.0.1:0", Logger: l.logger()}
	app := celeris.New(cfg)
	if app.Addr() != nil {
		t.Errorf("Addr() before the start = %v, want nil", app.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	app.GET("/", func(c *celeris.Context) error {
		defer cancel()
		if _, ok := exchange.From(c.Context()).Conn().(*net.TCPConn); !ok {
			t.Errorf("connection is a %T, want a *net.TCPConn", exchange.From(c.Context()).Conn())
		}
		return c.String(200, "hi")
	})
	go func() { result <- app.StartContext(ctx) }()
	for app.Addr() == nil {
		select {
		case err := <-result:
			t.Fatalf("StartContext = %v before the first request", err)
		default:
		}
	}
	if code, body := request(t, http.DefaultClient, "GET", "http://"+app.Addr().String()+"/"); code != 200 || body != "hi" {
		t.Errorf("response = %d %q, want 200 hi", code, body)
	}
	if err := <-result; err != nil {
		t.Errorf("StartContext = %v, want nil", err)
	}
	if !strings.Contains(l.String(), app.Addr().String()) {
		t.Errorf("log = %q, want the address in it", l.String())
	}
}

func TestServer_ReportsWhatItCanNotListenOn(t *testing.T) {
	cfg := quiet()
	cfg.Addr = "256.0.0.1:x"
	if err := celeris.New(cfg).StartContext(t.Context()); err == nil || !strings.Contains(err.Error(), "256.0.0.1:x") {
		t.Errorf("StartContext = %v, want an error that names the address", err)
	}
}

type brokenListener struct{ *pipes }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of luck") }

func TestServer_ReportsABrokenListener(t *testing.T) {
	app := celeris.New(quiet())
	l := brokenListener{newPipes()}
	if err := app.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("Serve = %v, want the listener's error", err)
	}
	select {
	case <-l.done:
	default:
		t.Error("the listener is still open")
	}
	if err := app.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown = %v, want nil", err)
	}
}

func TestNew_TeachesWhenAValueMakesNoSense(t *testing.T) {
	for field, cfg := range map[string]celeris.Config{
		"ReadHeaderTimeout":   {ReadHeaderTimeout: -1},
		"IdleTimeout":         {IdleTimeout: -1},
		"WriteTimeout":        {WriteTimeout: -1},
		"MaxStall":            {MaxStall: -1},
		"DrainTimeout":        {DrainTimeout: -1},
		"MaxStreams":          {MaxStreams: -1},
		"MaxStreamsPerClient": {MaxStreamsPerClient: -1},
		"MaxBody":             {MaxBody: -1},
		"MaxHeaderBytes":      {MaxHeaderBytes: -1},
		"MaxCallbacks":        {MaxCallbacks: -1},
	} {
		if got := mustPanic(t, func() { celeris.New(cfg) }); !strings.Contains(got, "Config."+field+" is negative (-1)") {
			t.Errorf("panic = %q, want the field %s and its value", got, field)
		}
	}
	cfg := protocols[1].config(celeris.Config{})
	cfg.TLSConfig.Certificates = nil
	if got := mustPanic(t, func() { celeris.New(cfg) }); !strings.Contains(got, "certificate") {
		t.Errorf("panic = %q, want the reason", got)
	}
}

func TestServer_TellsStreamsTheirMaxStall(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: time.Minute, time.Second: time.Second} {
		cfg := quiet()
		cfg.MaxStall = given
		app := celeris.New(cfg)
		app.GET("/", func(c *celeris.Context) error {
			if got := exchange.From(c.Context()).Host().MaxStall; got != want {
				t.Errorf("MaxStall = %v, want %v", got, want)
			}
			return nil
		})
		record(app, "GET", "/", "")
	}
}

func TestServer_BoundsCallbacks(t *testing.T) {
	for given, want := range map[int]int{0: 4096, 1: 1} {
		cfg := quiet()
		cfg.MaxCallbacks = given
		app := celeris.New(cfg)
		app.GET("/", func(c *celeris.Context) error {
			if got := exchange.From(c.Context()).Host().MaxCallbacks; got != want {
				t.Errorf("MaxCallbacks = %d, want %d", got, want)
			}
			return nil
		})
		record(app, "GET", "/", "")
	}
}

func TestServer_KeepsSendfileOpen(t *testing.T) {
	app := celeris.New(quiet())
	var ok bool
	app.GET("/", func(c *celeris.Context) error {
		_, ok = c.Response().(io.ReaderFrom)
		_, err := io.Copy(c.Response(), bytes.NewBufferString("x"))
		return err
	})
	if w := record(app, "GET", "/", ""); !ok || w.Body.String() != "x" {
		t.Errorf("io.ReaderFrom = %v, body = %q, want true and x", ok, w.Body)
	}
}
