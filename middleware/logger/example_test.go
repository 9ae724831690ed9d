package logger_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/logger"
)

func ExampleNew() {
	lines := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: timeless}))
	app := celeris.New(celeris.Config{})
	app.Use(logger.New(logger.Config{Logger: lines}))
	app.GET("/rooms/{id}", func(c *celeris.Context) error { return c.String(http.StatusOK, "welcome") })

	app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/rooms/7", nil))
	// Output:
	// level=INFO msg=request method=GET route="GET /rooms/{id}" path=/rooms/7 status=200 bytes=7 remote=192.0.2.1:1234
}

// timeless leaves out what differs from run to run.
func timeless(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == "duration" {
		return slog.Attr{}
	}
	return a
}
