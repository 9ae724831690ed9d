package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
)

// serverCollector exports a server's Stats.
type serverCollector struct{ server *celeris.Server }

var _ prometheus.Collector = serverCollector{}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("celeris_"+name, help, labels, nil)
}

var serverDescs = descs{
	"info":     desc("engine_info", "1, for the engine that parks streams; std means that each has a goroutine.", "engine"),
	"shards":   desc("engine_shards", "Goroutines that drive parked streams."),
	"passes":   desc("engine_passes_total", "Passes over the parked streams that had something to send."),
	"sends":    desc("engine_sends_total", "Offers to the connections of parked streams."),
	"refusals": desc("engine_refusals_total", "Offers of which the connection of a parked stream did not take all."),
	"refused":  desc("engine_refused_streams", "Parked streams whose connection takes no bytes now."),
	"streams":  desc("streams", "Streams that are open now: parked, or portable with a goroutine each.", "kind"),
	"opened":   desc("server_streams_opened_total", "Streams that were ever accepted."),
	"ended":    desc("server_streams_ended_total", "Streams that have ended, by reason.", "reason"),
	"bytes":    desc("server_stream_bytes_total", "Bytes that connections took from streams, open ones included."),
	"requests": desc("server_requests_in_flight", "Requests that the server is answering now, streams not included."),
	"away":     desc("server_streams_turned_away_total", "Streams that were not accepted, by reason.", "reason"),
	"calls":    desc("server_callbacks", "Callbacks about the ends of parked streams: running now, or waiting.", "state"),
	"handlers": desc("server_handlers", "Handlers of streams that run now, on goroutines of their own."),
}

// Describe implements [prometheus.Collector].
func (serverCollector) Describe(ch chan<- *prometheus.Desc) { serverDescs.Describe(ch) }

// Collect implements [prometheus.Collector].
func (c serverCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.server.Stats()
	gauge := func(name string, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(serverDescs[name], prometheus.GaugeValue, float64(v), labels...)
	}
	count := func(name string, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(serverDescs[name], prometheus.CounterValue, float64(v), labels...)
	}
	gauge("info", 1, s.Engine)
	gauge("shards", s.Shards)
	count("passes", s.Passes)
	count("sends", s.Sends)
	count("refusals", s.Refusals)
	gauge("refused", s.RefusedStreams)
	gauge("streams", s.ParkedStreams, "parked")
	gauge("streams", s.PortableStreams, "portable")
	count("opened", s.OpenedStreams)
	for _, kind := range engine.EndKinds() {
		count("ended", s.Ends[kind], string(kind))
	}
	count("bytes", s.StreamBytes)
	gauge("requests", s.Requests)
	count("away", s.TurnedAway.Draining, "draining")
	count("away", s.TurnedAway.ServerFull, "server_full")
	count("away", s.TurnedAway.ClientFull, "client_full")
	gauge("calls", s.Callbacks, "running")
	gauge("calls", s.CallbacksWaiting, "waiting")
	gauge("handlers", s.Handlers)
}
