// Package metrics exports what a server, its streams and its brokers do, for Prometheus.
//
// # Usage
//
//	app := celeris.New(celeris.Config{})
//	m, err := metrics.New(metrics.Config{Server: app, Brokers: map[string]*sse.Broker{"prices": prices}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	app.Use(m.Middleware())
//	app.GET("/metrics", m.Handler())
//
// The middleware stands outermost, so that what other middleware answers is counted too. The route of the metrics should
// not be open to everybody.
//
// # Requests and streams
//
// A stream is not a request that takes long: it is counted apart, with its own duration, from its acceptance to its real
// end, long after its handler has returned. What is sent on it and how it ended is added at that end; what all streams of
// the server have sent so far is celeris_server_stream_bytes_total.
//
// # Labels
//
// The number of series has a bound. A route is the pattern that was registered, "GET /rooms/{id}", never a path, and all
// requests without one are "(no route)". Methods that HTTP doesn't define are "other". A status is its class, "2xx";
// "aborted" is a request that got no complete response, because its client left before that began or because a panic
// broke it off, and "hijacked" one whose connection was taken over without a status. The reasons for which streams end
// are those of [engine.EndKind].
//
// docs/observability.md lists all metrics, and what to alarm on.
package metrics

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// Config says what is exported. With the zero Config that is what passes through the middleware.
type Config struct {
	// Server is whose [celeris.Server.Stats] are exported. Nil means none.
	Server *celeris.Server
	// Brokers are those whose [sse.Broker.Stats] are exported; their names are the label broker. The map is copied.
	Brokers map[string]*sse.Broker
	// SkipLag leaves out how far the brokers' subscribers are behind: the only metric that costs more with more
	// streams, see [sse.Broker.Lag].
	SkipLag bool

	// Registerer is where the metrics are registered. Nil means a registry of its own, with the metrics of the Go runtime
	// and of the process besides. Several servers of one process share one if each has a label of its own, by
	// [prometheus.WrapRegistererWith].
	Registerer prometheus.Registerer
	// Gatherer is what Handler serves. Nil means Registerer, which must be a gatherer then, as a registry is.
	Gatherer prometheus.Gatherer

	// RequestBuckets are the upper bounds of the buckets for the duration of requests, in seconds. Nil means
	// [prometheus.DefBuckets].
	RequestBuckets []float64
	// StreamBuckets are those for streams. Nil means 1 s to a day.
	StreamBuckets []float64
}

// streamBuckets are a second, ten, a minute, five, half an hour, one hour, six and a day.
var streamBuckets = []float64{1, 10, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}

// Metrics counts and exports. Its methods may be called by any goroutine.
type Metrics struct {
	gatherer prometheus.Gatherer
	requests requests
	streams  streams
}

// New registers the metrics. It returns an error if that fails, for instance because they are registered already, or if
// there is nothing that Handler could serve; then nothing stays registered. Buckets that don't rise make it panic, as
// they do in package prometheus.
func New(cfg Config) (*Metrics, error) {
	list := []prometheus.Collector{}
	registerer := cfg.Registerer
	if registerer == nil {
		registerer = prometheus.NewRegistry()
		list = append(list, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	m := &Metrics{gatherer: cfg.Gatherer}
	if m.gatherer == nil {
		own, ok := registerer.(prometheus.Gatherer)
		if !ok {
			return nil, fmt.Errorf("metrics: %T gathers nothing that Handler could serve: set Config.Gatherer", registerer)
		}
		m.gatherer = own
	}
	if cfg.RequestBuckets == nil {
		cfg.RequestBuckets = prometheus.DefBuckets
	}
	if cfg.StreamBuckets == nil {
		cfg.StreamBuckets = streamBuckets
	}
	m.requests, m.streams = newRequests(cfg.RequestBuckets), newStreams(cfg.StreamBuckets)
	list = append(append(list, m.requests.collectors()...), m.streams.collectors()...)
	if cfg.Server != nil {
		list = append(list, serverCollector{cfg.Server})
	}
	if len(cfg.Brokers) > 0 {
		for name, b := range cfg.Brokers {
			if b == nil || !utf8.ValidString(name) {
				return nil, fmt.Errorf("metrics: Config.Brokers[%q] is nil, or its name is not UTF-8", name)
			}
		}
		list = append(list, &brokerCollector{brokers: maps.Clone(cfg.Brokers), lag: !cfg.SkipLag})
	}
	for i, c := range list {
		if err := registerer.Register(c); err != nil {
			for _, done := range list[:i] {
				registerer.Unregister(done)
			}
			if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
				err = fmt.Errorf("%w: give each server a label of its own with prometheus.WrapRegistererWith", err)
			}
			return nil, fmt.Errorf("metrics: register: %w", err)
		}
	}
	return m, nil
}

// Handler serves the metrics in the text format of Prometheus, and in others that a scraper asks for.
func (m *Metrics) Handler() celeris.HandlerFunc {
	return celeris.FromHTTP(promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{}))
}

// descs are the descriptions of a collector's metrics, by what is left of their names.
type descs map[string]*prometheus.Desc

func (d descs) Describe(ch chan<- *prometheus.Desc) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		ch <- d[name]
	}
}
