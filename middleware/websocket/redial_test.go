package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

func TestRedial_ComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := 0
		s := newSite(celeris.Config{Logger: quiet})
		s.GET("/{name}", websocket.New(websocket.Config{Handler: func(c *websocket.Conn) {
			served++
			_ = c.WriteMessage(c.Context(), websocket.TextMessage, fmt.Append(nil, served))
			if served == 1 {
				_ = c.Close(websocket.StatusServiceRestart, "")
			}
			_, _, _ = c.ReadMessage(c.Context())
		}}), func(next celeris.HandlerFunc) celeris.HandlerFunc {
			return func(c *celeris.Context) error {
				if served == 1 && c.Query("again") == "" {
					served++
					c.Response().Header().Set("Retry-After", "20")
					return &celeris.HTTPError{Code: http.StatusServiceUnavailable}
				}
				return next(c)
			}
		})
		s.start(t)
		var got []string
		begin := time.Now()
		for c, err := range websocket.Redial(t.Context(), "ws://site/a", &websocket.RedialOptions{Dial: s.options()}) {
			if err != nil {
				e, ok := errors.AsType[*websocket.HandshakeError](err)
				if !ok {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(e.Response.StatusCode))
				continue
			}
			_, data, _ := c.ReadMessage(t.Context())
			got = append(got, string(data))
			if len(got) == 3 {
				break
			}
			_, _, err = c.ReadMessage(t.Context())
			got[len(got)-1] += fmt.Sprint(" ", websocket.CloseCode(err))
		}
		if fmt.Sprint(got) != "[1 1012 503 3]" {
			t.Errorf("%q", got)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("in %v, want the server's 20 s and a pause", took)
		}
	})
}

func TestRedial_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, websocket.Config{Handler: echo}, celeris.Config{Logger: quiet})
		s.l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		begin, n, last := time.Now(), 0, time.Duration(0)
		for _, err := range websocket.Redial(ctx, "ws://site/a", &websocket.RedialOptions{Dial: s.options(), MaxPause: 10 * time.Second}) {
			if err == nil {
				t.Fatal("dialed nobody")
			}
			n++
			if gap := time.Since(begin) - last; gap > 10*time.Second {
				t.Errorf("a pause of %v", gap)
			}
			last = time.Since(begin)
		}
		if n < 60 || n > 130 {
			t.Errorf("%d attempts", n)
		}
		if took := time.Since(begin); took != 10*time.Minute {
			t.Errorf("ended after %v", took)
		}
	})
}
