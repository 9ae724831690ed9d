package celeris_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// statsSite serves a broker's streams, requests that wait for release, and streams that have a handler. bytes adds up
// those of the streams that have ended.
func statsSite(t *testing.T, o celeristest.Options) (app *celeris.Server, site *celeristest.Site, b *sse.Broker, release chan struct{}, bytes *atomic.Int64) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	b, err := sse.NewBroker(sse.BrokerConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(context.Background()) })
	release, bytes = make(chan struct{}), new(atomic.Int64)
	app = celeris.New(celeris.Config{Logger: quiet})
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			c.OnStreamEnd(func(end celeris.StreamEnd) { bytes.Add(end.Bytes) })
			return next(c)
		}
	})
	app.GET("/events", sse.New(sse.Config{Broker: b, Logger: quiet}))
	app.GET("/old", sse.New(sse.Config{Broker: b, MaxAge: time.Second, Logger: quiet}))
	app.GET("/own", sse.New(sse.Config{Logger: quiet, Handler: func(c *sse.Client) { <-c.Context().Done() }}))
	app.GET("/wait", func(c *celeris.Context) error { <-release; return c.NoContent(204) })
	return app, celeristest.Serve(t, app, &o), b, release, bytes
}

func TestStats_CountsWhatIsOpen(t *testing.T) {
	for name, o := range map[string]celeristest.Options{
		"parked":     {Buffer: 4096},
		"goroutines": {Goroutines: true},
		"h2c":        {H2C: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, site, b, release, _ := statsSite(t, o)
				if got := app.Stats(); got.Streams != 0 || got.SendsPerPass != 0 || got.EndedStreams != 0 {
					t.Errorf("of a server that did nothing: %+v", got)
				}
				one := site.Stream(t, "/events", nil)
				site.Stream(t, "/own", nil)
				go func() {
					if res, err := site.Client().Get(site.URL("/wait")); err == nil {
						res.Body.Close()
					}
				}()
				synctest.Wait()
				got := app.Stats()
				want := celeris.Stats{
					Engine: "sim", Shards: 1, Streams: 2, ParkedStreams: 2, OpenedStreams: 2, Requests: 1, Handlers: 1,
					StreamBytes: int64(len(one.Raw()) + len("retry: 3000\n\n")), Ends: map[engine.EndKind]int64{},
				}
				if name != "parked" {
					want.Engine, want.Shards, want.ParkedStreams, want.PortableStreams = "std", 0, 0, 2
				}
				want.Passes = got.Passes // they are compared below
				if !sameStats(got, want) {
					t.Errorf("got %+v\nwant %+v", got, want)
				}
				close(release)

				before := got
				for range 3 {
					publish(t, b, "hello")
					synctest.Wait()
				}
				got = app.Stats()
				if wire := int64(len(one.Raw())); got.StreamBytes != before.StreamBytes+wire || wire == 0 || got.Requests != 0 {
					t.Errorf("%d bytes, %d requests, want %d more bytes than %d and no request", got.StreamBytes, got.Requests, wire, before.StreamBytes)
				}
				if name == "parked" && (got.Sends-before.Sends != 3 || got.Passes-before.Passes < 3 || got.Refusals != 0 ||
					got.SendsPerPass != float64(got.Sends)/float64(got.Passes)) {
					t.Errorf("%+v\nafter %+v: want three sends in as many passes or more", got, before)
				}
				if name == "parked" {
					one.Hold()
					for range 20 {
						publish(t, b, strings.Repeat("x", 1000))
					}
					synctest.Wait()
					if got = app.Stats(); got.RefusedStreams != 1 || got.Refusals == 0 {
						t.Errorf("of a reader that stands still: %+v", got)
					}
				}
			})
		})
	}
}

func TestStats_CountsEndsByTheirKind(t *testing.T) {
	for name, o := range map[string]celeristest.Options{
		"parked":     {Buffer: 4096},
		"goroutines": {Goroutines: true, Buffer: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, site, b, _, bytes := statsSite(t, o)
				site.Stream(t, "/events", nil).Close()
				site.Stream(t, "/old", nil)
				stuck := site.Stream(t, "/events", nil)
				synctest.Wait()
				stuck.Hold()
				for range 20 {
					publish(t, b, strings.Repeat("x", 1000))
				}
				time.Sleep(3 * time.Minute)
				site.Stream(t, "/events", nil)
				synctest.Wait()
				if got := app.Stats(); got.Streams != 1 || got.OpenedStreams != 4 || got.EndedStreams != 3 {
					t.Errorf("with one stream left: %+v", got)
				}
				if err := site.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				got := app.Stats()
				want := map[engine.EndKind]int64{engine.EndPeerGone: 1, engine.EndMaxAge: 1, engine.EndStalled: 1, engine.EndShutdown: 1}
				if !maps.Equal(got.Ends, want) || got.EndedStreams != 4 || got.Streams != 0 || got.RefusedStreams != 0 {
					t.Errorf("got %+v, want ends %v", got, want)
				}
				if got.StreamBytes != bytes.Load() || got.StreamBytes == 0 {
					t.Errorf("%d bytes, the ends told %d", got.StreamBytes, bytes.Load())
				}
			})
		})
	}
}

func TestStats_InJSON(t *testing.T) {
	app := celeris.New(celeris.Config{})
	b, err := json.Marshal(app.Stats())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"engine":"std","shards":0,"streams":0,"parked_streams":0,"portable_streams":0,"refused_streams":0,` +
		`"opened_streams":0,"ended_streams":0,"ends":{},` +
		`"turned_away":{"draining":0,"server_full":0,"client_full":0},"stream_bytes":0,"passes":0,"sends":0,"sends_per_pass":0,` +
		`"refusals":0,"requests":0,"handlers":0,"callbacks":0,"callbacks_waiting":0}`
	if string(b) != want {
		t.Errorf("got %s\nwant %s", b, want)
	}
}

func sameStats(a, b celeris.Stats) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func publish(t *testing.T, b *sse.Broker, data string) {
	t.Helper()
	if _, err := b.Publish(context.Background(), sse.Event{Data: data}); err != nil {
		t.Error(err)
	}
}
