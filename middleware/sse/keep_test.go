package sse_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/logger"
	"github.com/goceleris/celeris/middleware/sse"
)

type tenantKey struct{}

// A parked stream lives long: what it was asked with must not live on with it because middleware was around.
func TestPark_MiddlewareKeepsNoRequest(t *testing.T) {
	for name, around := range map[string]celeris.Middleware{
		"logger": logger.New(logger.Config{}),
		"net/http": celeris.FromHTTPMiddleware(func(h http.Handler) http.Handler {
			return h
		}),
		"net/http with a value": celeris.FromHTTPMiddleware(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, "acme")))
			})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var inside, outside weak.Pointer[http.Request]
				var client *sse.Client
				b := newBroker(t, sse.BrokerConfig{})
				stream := sse.New(tame(sse.Config{Broker: b, OnConnect: func(c *sse.Client) error {
					client = c
					return nil
				}}))
				handler := around(func(c *celeris.Context) error {
					inside = weak.Make(c.Request())
					return stream(c)
				})
				s := newSite(t, parked, celeris.Config{}, func(c *celeris.Context) error {
					outside = weak.Make(c.Request())
					return handler(c)
				})
				s.visit("X-Name", "value")
				synctest.Wait()
				if got := s.app.Stats().ParkedStreams; got != 1 {
					t.Fatalf("%d streams are parked", got)
				}
				runtime.GC()
				if inside.Value() != nil || outside.Value() != nil {
					t.Error("a request is kept")
				}
				if got := client.Request().Header.Get("X-Name"); got != "value" {
					t.Errorf("X-Name is %q", got)
				}
				if want := name == "net/http with a value"; (client.Context().Value(tenantKey{}) == "acme") != want {
					t.Errorf("the context's value is %v", client.Context().Value(tenantKey{}))
				}
			})
		})
	}
}
