package metrics_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/metrics"
	"github.com/goceleris/celeris/middleware/sse"
)

var quiet = slog.New(slog.DiscardHandler)

// world is a server with a broker whose metrics are exported.
type world struct {
	t        *testing.T
	app      *celeris.Server
	broker   *sse.Broker
	registry *prometheus.Registry
	site     *celeristest.Site
}

func newWorld(t *testing.T, o celeristest.Options, bc sse.BrokerConfig, inside ...celeris.Middleware) *world {
	t.Helper()
	bc.Logger = quiet
	w := &world{t: t, registry: prometheus.NewPedanticRegistry(), app: celeris.New(celeris.Config{Logger: quiet})}
	var err error
	if w.broker, err = sse.NewBroker(bc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.broker.Close(context.Background()) })
	m, err := metrics.New(metrics.Config{
		Server: w.app, Brokers: map[string]*sse.Broker{"prices": w.broker}, Registerer: w.registry,
		RequestBuckets: []float64{1, 10}, StreamBuckets: []float64{60, 600},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.app.Use(append([]celeris.Middleware{m.Middleware()}, inside...)...)
	w.app.GET("/rooms/{id}", func(c *celeris.Context) error {
		time.Sleep(2 * time.Second)
		return c.String(http.StatusOK, "hello")
	})
	w.app.GET("/breaks", func(c *celeris.Context) error {
		io.WriteString(c.Response(), "half")
		_ = http.NewResponseController(c.Response()).Flush()
		panic(http.ErrAbortHandler)
	})
	w.app.GET("/hijacks", func(c *celeris.Context) error {
		conn, _, err := http.NewResponseController(c.Response()).Hijack()
		if err == nil {
			conn.Close()
		}
		return err
	})
	w.app.GET("/events/{room}", sse.New(sse.Config{Broker: w.broker, HeartbeatInterval: time.Hour, Logger: quiet}))
	w.app.GET("/metrics", m.Handler())
	w.site = celeristest.Serve(t, w.app, &o)
	return w
}

// do sends a request and returns the body of its response, if there is one.
func (w *world) do(ctx context.Context, method, path string) string {
	r, err := http.NewRequestWithContext(ctx, method, w.site.URL(path), nil)
	if err != nil {
		w.t.Error(err)
		return ""
	}
	res, err := w.site.Client().Do(r)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	synctest.Wait()
	return string(body)
}

func (w *world) publish(n int) {
	w.t.Helper()
	for range n {
		if _, err := w.broker.Publish(context.Background(), sse.Event{Data: "x"}); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
	}
}

// want compares metrics. Comments are left out of what it is given.
func (w *world) want(what, text string, names ...string) {
	w.t.Helper()
	got, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	// The comparison wants the comments that are really there.
	var b strings.Builder
	for _, f := range got {
		b.WriteString("# HELP " + f.GetName() + " " + f.GetHelp() + "\n# TYPE " + f.GetName() + " " + strings.ToLower(f.GetType().String()) + "\n")
		for line := range strings.SplitSeq(text, "\n") {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, _, _ = strings.Cut(name, "{")
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				if name == f.GetName()+suffix {
					b.WriteString(strings.TrimSpace(line) + "\n")
				}
			}
		}
	}
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(b.String()), names...); err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
}

func TestMiddleware_CountsRequestsByRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, celeristest.Options{}, sse.BrokerConfig{})
		ctx := t.Context()
		w.do(ctx, "GET", "/rooms/1")
		w.do(ctx, "GET", "/rooms/2")
		w.do(ctx, "HEAD", "/rooms/2")
		w.do(ctx, "DELETE", "/rooms/1") // 405
		w.do(ctx, "BREW", "/pot")
		w.do(ctx, "GET", "/nowhere?x=1")
		w.do(ctx, "GET", "/breaks")
		w.do(ctx, "GET", "/hijacks")
		early, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		go w.do(early, "GET", "/rooms/3")
		time.Sleep(500 * time.Millisecond)
		w.want("under way", `celeris_http_requests_in_flight 1
			celeris_server_requests_in_flight 1`, "celeris_http_requests_in_flight", "celeris_server_requests_in_flight")
		time.Sleep(5 * time.Second)
		w.want("requests", `
			celeris_http_requests_in_flight 0
			celeris_http_requests_total{method="DELETE",route="(no route)",status="4xx"} 1
			celeris_http_requests_total{method="GET",route="(no route)",status="4xx"} 1
			celeris_http_requests_total{method="GET",route="GET /breaks",status="aborted"} 1
			celeris_http_requests_total{method="GET",route="GET /hijacks",status="hijacked"} 1
			celeris_http_requests_total{method="GET",route="GET /rooms/{id}",status="2xx"} 3
			celeris_http_requests_total{method="HEAD",route="GET /rooms/{id}",status="2xx"} 1
			celeris_http_requests_total{method="other",route="(no route)",status="4xx"} 1
			celeris_http_response_bytes_total{method="DELETE",route="(no route)"} 19
			celeris_http_response_bytes_total{method="GET",route="(no route)"} 10
			celeris_http_response_bytes_total{method="GET",route="GET /breaks"} 4
			celeris_http_response_bytes_total{method="GET",route="GET /hijacks"} 0
			celeris_http_response_bytes_total{method="GET",route="GET /rooms/{id}"} 15
			celeris_http_response_bytes_total{method="HEAD",route="GET /rooms/{id}"} 0
			celeris_http_response_bytes_total{method="other",route="(no route)"} 10`,
			"celeris_http_requests_in_flight", "celeris_http_requests_total", "celeris_http_response_bytes_total")
		body := w.do(ctx, "GET", "/metrics")
		for _, want := range []string{
			`celeris_http_request_duration_seconds_bucket{method="GET",route="GET /rooms/{id}",le="1"} 0`,
			`celeris_http_request_duration_seconds_bucket{method="GET",route="GET /rooms/{id}",le="10"} 3`,
			`celeris_http_request_duration_seconds_sum{method="GET",route="GET /rooms/{id}"} 6`,
			`celeris_http_request_duration_seconds_count{method="HEAD",route="GET /rooms/{id}"} 1`,
			`celeris_http_requests_in_flight 1`, // this one
		} {
			if !strings.Contains(body, want+"\n") {
				t.Errorf("no line %s in\n%s", want, body)
			}
		}
	})
}

func TestMiddleware_CountsStreamsApart(t *testing.T) {
	for name, row := range map[string]struct {
		o      celeristest.Options
		inside []celeris.Middleware
	}{
		"parked":              {},
		"goroutines":          {o: celeristest.Options{Goroutines: true}},
		"h2c":                 {o: celeristest.Options{H2C: true}},
		"behind a middleware": {inside: []celeris.Middleware{cover}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, row.o, sse.BrokerConfig{}, row.inside...)
				stream := w.site.Stream(t, "/events/a", nil)
				w.publish(3)
				w.want("while it is open", `
					celeris_http_requests_in_flight 0
					celeris_route_streams{route="GET /events/{room}"} 1`,
					"celeris_http_requests_in_flight", "celeris_route_streams", "celeris_http_requests_total",
					"celeris_stream_bytes_total", "celeris_stream_ends_total")
				time.Sleep(2 * time.Minute)
				sent := len(stream.Raw())
				stream.Close()
				synctest.Wait()
				if want := len("retry: 3000\nid: xxxxxxxx-0\n\n") + 3*len("id: xxxxxxxx-1\ndata: x\n\n"); sent != want || sent != 100 {
					t.Errorf("%d bytes came, want %d", sent, want)
				}
				w.want("when the client has left", `
					celeris_http_requests_in_flight 0
					celeris_route_streams{route="GET /events/{room}"} 0
					celeris_stream_bytes_total{route="GET /events/{room}"} 100
					celeris_stream_ends_total{reason="peer_gone",route="GET /events/{room}"} 1
					celeris_stream_duration_seconds_bucket{route="GET /events/{room}",le="60"} 0
					celeris_stream_duration_seconds_bucket{route="GET /events/{room}",le="600"} 1
					celeris_stream_duration_seconds_bucket{route="GET /events/{room}",le="+Inf"} 1
					celeris_stream_duration_seconds_sum{route="GET /events/{room}"} 120
					celeris_stream_duration_seconds_count{route="GET /events/{room}"} 1`,
					"celeris_http_requests_in_flight", "celeris_http_requests_total", "celeris_http_request_duration_seconds",
					"celeris_route_streams", "celeris_stream_bytes_total", "celeris_stream_ends_total", "celeris_stream_duration_seconds")
			})
		})
	}
}

// cover is a middleware whose writer stays in the way of streams, since it says that it encodes them.
func cover(next celeris.HandlerFunc) celeris.HandlerFunc {
	return func(c *celeris.Context) error {
		c.SetResponse(covered{c.Response()})
		return next(c)
	}
}

type covered struct{ http.ResponseWriter }

func (w covered) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w covered) WriteHeader(status int) {
	w.Header().Set("Content-Encoding", "identity")
	w.ResponseWriter.WriteHeader(status)
}

func TestExporter_TellsOfServerAndBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, celeristest.Options{Buffer: 4096}, sse.BrokerConfig{
			SubscriberBuffer: 10, History: 500,
			OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { <-release; return sse.BrokerPolicyClose },
		})
		slow := w.site.Stream(t, "/events/a", nil)
		w.site.Stream(t, "/events/b", nil)
		gone := w.site.Stream(t, "/events/c", nil)
		w.publish(3)
		gone.Close()
		synctest.Wait()
		slow.Hold()
		w.publish(400)
		b, s, lag := w.broker.Stats(), w.app.Stats(), w.broker.Lag()
		if lag.Max <= 100 || lag.UpTo1000 != 1 || b.Callbacks != 1 || s.RefusedStreams != 1 {
			t.Errorf("the slow reader is not: %+v, %+v, %+v", b, s, lag)
		}
		w.want("with a slow reader", expand(`
			celeris_engine_info{engine="sim"} 1
			celeris_engine_shards 1
			celeris_engine_passes_total PASSES
			celeris_engine_sends_total SENDS
			celeris_engine_refusals_total REFUSALS
			celeris_engine_refused_streams 1
			celeris_streams{kind="parked"} 2
			celeris_streams{kind="portable"} 0
			celeris_server_streams_opened_total 3
			celeris_server_streams_ended_total{reason="abandoned"} 0
			celeris_server_streams_ended_total{reason="closed"} 0
			celeris_server_streams_ended_total{reason="cut"} 0
			celeris_server_streams_ended_total{reason="finished"} 0
			celeris_server_streams_ended_total{reason="max_age"} 0
			celeris_server_streams_ended_total{reason="other"} 0
			celeris_server_streams_ended_total{reason="panicked"} 0
			celeris_server_streams_ended_total{reason="peer_gone"} 1
			celeris_server_streams_ended_total{reason="policy"} 0
			celeris_server_streams_ended_total{reason="shutdown"} 0
			celeris_server_streams_ended_total{reason="stalled"} 0
			celeris_server_stream_bytes_total BYTES
			celeris_server_requests_in_flight 0
			celeris_server_streams_turned_away_total{reason="client_full"} 0
			celeris_server_streams_turned_away_total{reason="draining"} 0
			celeris_server_streams_turned_away_total{reason="server_full"} 0
			celeris_server_callbacks{state="running"} 0
			celeris_server_callbacks{state="waiting"} 0
			celeris_server_handlers 0
			celeris_broker_subscribers{broker="prices"} 2
			celeris_broker_topics{broker="prices"} 1
			celeris_broker_history_events{broker="prices"} 403
			celeris_broker_history_bytes{broker="prices"} HISTORY
			celeris_broker_callbacks{broker="prices"} 1
			celeris_broker_published_events_total{broker="prices"} 403
			celeris_broker_throttled_publishes_total{broker="prices"} THROTTLED
			celeris_broker_delivered_events_total{broker="prices"} DELIVERED
			celeris_broker_delivered_bytes_total{broker="prices"} SENT
			celeris_broker_dropped_events_total{broker="prices"} 0
			celeris_broker_superseded_events_total{broker="prices"} 0
			celeris_broker_resyncs_total{broker="prices"} 0
			celeris_broker_evicted_subscribers_total{broker="prices",policy="close"} 0
			celeris_broker_evicted_subscribers_total{broker="prices",policy="remove"} 0
			celeris_broker_callback_panics_total{broker="prices"} 0
			celeris_broker_subscribers_behind{broker="prices",events="0"} 1
			celeris_broker_subscribers_behind{broker="prices",events="1-10"} 0
			celeris_broker_subscribers_behind{broker="prices",events="11-100"} 0
			celeris_broker_subscribers_behind{broker="prices",events="101-1000"} 1
			celeris_broker_subscribers_behind{broker="prices",events="1001-10000"} 0
			celeris_broker_subscribers_behind{broker="prices",events="more"} 0
			celeris_broker_subscribers_behind{broker="prices",events="unknown"} 0
			celeris_broker_lag_max_events{broker="prices"} LAG
			`, map[string]int64{
			"PASSES": s.Passes, "SENDS": s.Sends, "REFUSALS": s.Refusals, "BYTES": s.StreamBytes, "HISTORY": int64(b.HistoryBytes),
			"THROTTLED": b.ThrottledEvents, "DELIVERED": b.Delivered, "SENT": b.DeliveredBytes, "LAG": int64(lag.Max),
		}), names(w)...)
		close(release)
		synctest.Wait()
		slow.Release()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.want("when it was closed", `
			celeris_broker_evicted_subscribers_total{broker="prices",policy="close"} 1
			celeris_broker_evicted_subscribers_total{broker="prices",policy="remove"} 0
			celeris_broker_lag_max_events{broker="prices"} 0
			celeris_streams{kind="parked"} 1
			celeris_streams{kind="portable"} 0`,
			"celeris_broker_evicted_subscribers_total", "celeris_broker_lag_max_events", "celeris_streams")
	})
}
