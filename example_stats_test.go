package celeris_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/goceleris/celeris"
)

func ExampleServer_Stats() {
	app := celeris.New(celeris.Config{})
	app.GET("/stats", func(c *celeris.Context) error { return c.JSON(http.StatusOK, app.Stats()) })
	app.GET("/load", func(c *celeris.Context) error {
		s := app.Stats()
		return c.String(http.StatusOK, fmt.Sprintf("%d streams, %d requests", s.Streams, s.Requests))
	})

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/load", nil))
	fmt.Println(w.Body)
	// Output: 0 streams, 1 requests
}
