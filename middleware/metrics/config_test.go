package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/metrics"
	"github.com/goceleris/celeris/middleware/sse"
)

// expand puts numbers in the place of words.
func expand(text string, numbers map[string]int64) string {
	for word, n := range numbers {
		text = strings.ReplaceAll(text, " "+word+"\n", fmt.Sprintf(" %d\n", n))
	}
	return text
}

// names are those of the metrics of server and brokers.
func names(w *world) (list []string) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); !strings.HasPrefix(name, "celeris_http_") && !strings.HasPrefix(name, "celeris_stream_") && name != "celeris_route_streams" {
			list = append(list, name)
		}
	}
	return list
}

func TestNames_FollowTheConventionsAndAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("`(celeris_[a-z_]+)").FindAllStringSubmatch(string(page), -1)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, celeristest.Options{}, sse.BrokerConfig{})
		w.site.Stream(t, "/events/a", nil).Close()
		w.do(t.Context(), http.MethodGet, "/rooms/1")
		problems, err := testutil.GatherAndLint(w.registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		families, err := w.registry.Gather()
		if err != nil || len(families) < 30 {
			t.Fatalf("%d metrics, %v", len(families), err)
		}
		var exported []string
		for _, f := range families {
			exported = append(exported, f.GetName())
			if !slices.ContainsFunc(documented, func(m []string) bool { return m[1] == f.GetName() }) {
				t.Errorf("docs/observability.md says nothing of %s", f.GetName())
			}
		}
		for _, m := range documented {
			if !slices.Contains(exported, m[1]) {
				t.Errorf("docs/observability.md tells of %s, which there isn't", m[1])
			}
		}
	})
}

func TestNew_Refuses(t *testing.T) {
	registry := prometheus.NewRegistry()
	of := func(server string) metrics.Config {
		return metrics.Config{
			Server:     celeris.New(celeris.Config{}),
			Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"server": server}, registry), Gatherer: registry,
		}
	}
	for _, server := range []string{"public", "admin"} { // two in one registry
		if _, err := metrics.New(of(server)); err != nil {
			t.Fatal(err)
		}
	}
	for name, row := range map[string]struct {
		cfg  metrics.Config
		want string
	}{
		"twice":       {of("admin"), "WrapRegistererWith"},
		"nil broker":  {metrics.Config{Brokers: map[string]*sse.Broker{"x": nil}}, `Brokers["x"]`},
		"no gatherer": {metrics.Config{Registerer: prometheus.WrapRegistererWithPrefix("x_", registry)}, "Config.Gatherer"},
	} {
		if m, err := metrics.New(row.cfg); m != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, %v, want an error with %s", name, m, err, row.want)
		}
	}
}

func TestNew_LeavesNothingBehindWhenItFails(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "celeris_streams", Help: "Somebody else's."}))
	if _, err := metrics.New(metrics.Config{Registerer: registry, Server: celeris.New(celeris.Config{})}); err == nil {
		t.Fatal("a name that is taken was not refused")
	}
	if _, err := metrics.New(metrics.Config{Registerer: registry}); err != nil {
		t.Errorf("without what was taken: %v", err)
	}
}

func TestHandler_OfTheZeroConfig(t *testing.T) {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	app := celeris.New(celeris.Config{})
	app.Use(m.Middleware())
	app.GET("/metrics", m.Handler())
	get := func() string {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, "text/plain; version=0.0.4") {
			t.Errorf("status %d, type %q", w.Code, got)
		}
		return w.Body.String()
	}
	get()
	body := get()
	for _, want := range []string{"\ngo_goroutines ", `celeris_http_requests_total{method="GET",route="GET /metrics",status="2xx"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if strings.Contains(body, "celeris_engine") || strings.Contains(body, "celeris_broker") {
		t.Errorf("metrics of what was not given:\n%s", body)
	}
}

func TestSkipLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := sse.NewBroker(sse.BrokerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close(t.Context())
		for _, skip := range []bool{false, true} {
			registry := prometheus.NewPedanticRegistry()
			if _, err := metrics.New(metrics.Config{Brokers: map[string]*sse.Broker{"b": b}, SkipLag: skip, Registerer: registry}); err != nil {
				t.Fatal(err)
			}
			n, err := testutil.GatherAndCount(registry, "celeris_broker_subscribers_behind", "celeris_broker_lag_max_events")
			if want := map[bool]int{false: 8, true: 0}[skip]; n != want || err != nil {
				t.Errorf("SkipLag %v: %d metrics of lag, %v, want %d", skip, n, err, want)
			}
		}
	})
}
