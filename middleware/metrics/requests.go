package metrics

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
)

// requests are the metrics of requests that were answered.
type requests struct {
	count    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	inFlight prometheus.Gauge
}

func newRequests(buckets []float64) requests {
	return requests{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "celeris_http_requests_total", Help: "Requests answered, streams not included.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "celeris_http_request_duration_seconds", Help: "Seconds from the request to the end of its response, streams not included.",
			Buckets: buckets,
		}, []string{"method", "route"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "celeris_http_response_bytes_total", Help: "Bytes of the bodies of responses as they were sent, streams not included.",
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "celeris_http_requests_in_flight", Help: "Requests that are being answered now, streams not included.",
		}),
	}
}

func (m *requests) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.count, m.duration, m.bytes, m.inFlight}
}

// streams are the metrics of streams, by their route.
type streams struct {
	open     *prometheus.GaugeVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	ends     *prometheus.CounterVec
}

func newStreams(buckets []float64) streams {
	route := []string{"route"}
	return streams{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "celeris_route_streams", Help: "Streams that are open now.",
		}, route),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "celeris_stream_duration_seconds", Help: "Seconds from the acceptance of a stream to its end, of streams that have ended.",
			Buckets: buckets,
		}, route),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "celeris_stream_bytes_total", Help: "Bytes sent on streams that have ended.",
		}, route),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "celeris_stream_ends_total", Help: "Streams that have ended, by reason.",
		}, []string{"route", "reason"}),
	}
}

func (m *streams) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.open, m.duration, m.bytes, m.ends}
}

// Middleware counts requests and streams.
func (m *Metrics) Middleware() celeris.Middleware {
	return func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			x := exchange.From(c.Context())
			if x == nil { // a middleware outside has lost it
				return next(c)
			}
			v := &visit{m: m, method: method(c.Request().Method), route: cmp.Or(c.Route(), "(no route)"), born: time.Now()}
			m.requests.inFlight.Inc()
			x.OnUnwound(v.answered)
			x.OnStreamStart(func() {
				m.requests.inFlight.Dec()
				m.streams.open.WithLabelValues(v.route).Inc()
				x.OnStreamEnd(v.ended)
			})
			return next(c)
		}
	}
}

// visit is one request, and what became of it.
type visit struct {
	m             *Metrics
	method, route string
	born          time.Time
}

func (v *visit) answered(o exchange.Outcome) {
	if o.Stream {
		return
	}
	r := &v.m.requests
	r.inFlight.Dec()
	r.count.WithLabelValues(v.method, v.route, class(o)).Inc()
	r.duration.WithLabelValues(v.method, v.route).Observe(time.Since(v.born).Seconds())
	r.bytes.WithLabelValues(v.method, v.route).Add(float64(o.Bytes))
}

func (v *visit) ended(end celeris.StreamEnd) {
	s := &v.m.streams
	s.open.WithLabelValues(v.route).Dec()
	s.duration.WithLabelValues(v.route).Observe(end.Duration.Seconds())
	s.bytes.WithLabelValues(v.route).Add(float64(end.Bytes))
	s.ends.WithLabelValues(v.route, string(end.Kind())).Inc()
}

func class(o exchange.Outcome) string {
	switch {
	case o.Aborted:
		return "aborted"
	case o.Status == 0:
		return "hijacked"
	}
	return strconv.Itoa(o.Status/100) + "xx"
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

// method bounds what clients can make a label of.
func method(name string) string {
	if slices.Contains(methods, name) {
		return name
	}
	return "other"
}
