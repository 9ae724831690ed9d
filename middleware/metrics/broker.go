package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goceleris/celeris/middleware/sse"
)

// brokerCollector exports the Stats of brokers by name.
type brokerCollector struct {
	brokers map[string]*sse.Broker
	lag     bool
}

var _ prometheus.Collector = (*brokerCollector)(nil)

func brokerDesc(name, help string, labels ...string) *prometheus.Desc {
	return desc("broker_"+name, help, append([]string{"broker"}, labels...)...)
}

var brokerDescs = descs{
	"subscribers": brokerDesc("subscribers", "Clients whose streams follow topics of the broker now."),
	"topics":      brokerDesc("topics", "Topics that have a history or subscribers."),
	"events":      brokerDesc("history_events", "Events in the history of all topics."),
	"bytes":       brokerDesc("history_bytes", "Bytes of memory of the history of all topics."),
	"callbacks":   brokerDesc("callbacks", "Callbacks of the broker that run now."),
	"published":   brokerDesc("published_events_total", "Events published."),
	"throttled":   brokerDesc("throttled_publishes_total", "Publishes that waited for the delivery of earlier events."),
	"delivered":   brokerDesc("delivered_events_total", "Events handed to subscribers' connections, once for each."),
	"sent":        brokerDesc("delivered_bytes_total", "Bytes of the events handed to subscribers' connections."),
	"dropped":     brokerDesc("dropped_events_total", "Events that subscribers lost, as far as they could be counted; each was told."),
	"superseded":  brokerDesc("superseded_events_total", "Events skipped because a newer one of their key was due."),
	"resyncs":     brokerDesc("resyncs_total", "Resync events and snapshots sent for a loss."),
	"evicted":     brokerDesc("evicted_subscribers_total", "Slow subscribers whose topics (remove) or stream (close) a policy took.", "policy"),
	"panics":      brokerDesc("callback_panics_total", "Panics of user code that ran for the broker's clients."),
	"behind":      brokerDesc("subscribers_behind", "Subscribers by how many events they are behind now.", "events"),
	"max":         brokerDesc("lag_max_events", "Events that the slowest of the subscribers is behind now."),
}

// Describe implements [prometheus.Collector].
func (c *brokerCollector) Describe(ch chan<- *prometheus.Desc) { brokerDescs.Describe(ch) }

// Collect implements [prometheus.Collector].
func (c *brokerCollector) Collect(ch chan<- prometheus.Metric) {
	for name, b := range c.brokers {
		gauge := func(metric string, v int, labels ...string) {
			ch <- prometheus.MustNewConstMetric(brokerDescs[metric], prometheus.GaugeValue, float64(v), append([]string{name}, labels...)...)
		}
		count := func(metric string, v int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(brokerDescs[metric], prometheus.CounterValue, float64(v), append([]string{name}, labels...)...)
		}
		s := b.Stats()
		gauge("subscribers", s.Subscribers)
		gauge("topics", s.Topics)
		gauge("events", s.HistoryEvents)
		gauge("bytes", s.HistoryBytes)
		gauge("callbacks", s.Callbacks)
		count("published", s.Published)
		count("throttled", s.ThrottledEvents)
		count("delivered", s.Delivered)
		count("sent", s.DeliveredBytes)
		count("dropped", s.Dropped)
		count("superseded", s.Superseded)
		count("resyncs", s.Resyncs)
		count("evicted", s.Removed, "remove")
		count("evicted", s.Closed, "close")
		count("panics", s.CallbackPanics)
		if c.lag {
			lag := b.Lag()
			gauge("behind", lag.Current, "0")
			gauge("behind", lag.UpTo10, "1-10")
			gauge("behind", lag.UpTo100, "11-100")
			gauge("behind", lag.UpTo1000, "101-1000")
			gauge("behind", lag.UpTo10000, "1001-10000")
			gauge("behind", lag.More, "more")
			gauge("behind", lag.Unknown, "unknown")
			gauge("max", lag.Max)
		}
	}
}
