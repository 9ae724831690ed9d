package main

import (
	"fmt"
	"net/http"

	"github.com/goceleris/celeris"
)

const (
	// wallWidth and wallHeight are the wall's own units: whoever shows it scales them.
	wallWidth, wallHeight = 960, 600
	// wallColors is the size of the palette, whose colours are the page's business.
	wallColors = 6
	// maxStrokePoints bounds one stroke. A page sends longer lines in pieces.
	maxStrokePoints = 64
	// maxWallPoints bounds the memory of the wall: above it the oldest strokes go.
	maxWallPoints = 16 << 10
	// maxPaintBytes bounds the body of a request that changes the wall.
	maxPaintBytes = 2 << 10
	// maxTabBytes bounds the name by which a page is held to its rate.
	maxTabBytes = 64
)

// stroke is a line through its points, or a dot if there is only one. It is immutable once it is published.
type stroke struct {
	Rev    uint64 `json:"rev"`
	Color  int    `json:"color"`
	Points []int  `json:"points,omitempty"` // x and y by turns
}

// size is the number of points.
func (s stroke) size() int { return len(s.Points) / 2 }

// paintRequest is the body of POST /paint.
type paintRequest struct {
	Tab    string `json:"tab"` // random, the page's own
	Color  int    `json:"color"`
	Points []int  `json:"points"`
}

// clearRequest is the body of POST /clear.
type clearRequest struct {
	Tab string `json:"tab"`
}

// stroke returns what r paints. Its error is an answer.
func (r paintRequest) stroke() (stroke, error) {
	if err := checkTab(r.Tab); err != nil {
		return stroke{}, err
	}
	bad := func(format string, args ...any) (stroke, error) {
		return stroke{}, celeris.NewHTTPError(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
	switch n := len(r.Points); {
	case n > 2*maxStrokePoints:
		return stroke{}, celeris.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("a stroke has at most %d points: send longer ones in pieces", maxStrokePoints))
	case n == 0:
		return bad("points is empty: a stroke has at least one point")
	case n%2 != 0:
		return bad("points has %d numbers: it holds x and y by turns", n)
	case r.Color < 0 || r.Color >= wallColors:
		return bad("color is %d: it is one of 0 to %d", r.Color, wallColors-1)
	}
	for i, v := range r.Points {
		axis, limit := "x", wallWidth
		if i%2 == 1 {
			axis, limit = "y", wallHeight
		}
		if v < 0 || v > limit {
			return bad("point %d has %s %d: it is one of 0 to %d", i/2+1, axis, v, limit)
		}
	}
	return stroke{Color: r.Color, Points: r.Points}, nil
}

// checkTab tells whether a name can be held to a rate. Its error is an answer.
func checkTab(tab string) error {
	if tab == "" || len(tab) > maxTabBytes {
		return celeris.NewHTTPError(http.StatusBadRequest, fmt.Sprintf("tab is a random name of 1 to %d bytes, the same for all that one page paints", maxTabBytes))
	}
	return nil
}
