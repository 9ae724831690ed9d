package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/goceleris/celeris"
)

// wall is the drawing that all pages share: the newest strokes, up to maxWallPoints. Any goroutine may use it.
//
// A page asks for the whole of it (GET /wall) when it opens and after a resync, and goes on with the events
// of its stream. Both carry the revision, so their order of arrival does not matter: an event up to the
// revision of the state is part of it, and one that leaves a revision out makes the page ask again.
type wall struct {
	feed  *feed
	limit *limiter

	// mu guards what follows. It is held while an event is published, before mu of the feed, so that the
	// revisions come in the order of the log.
	mu      sync.Mutex
	rev     uint64   // counts the strokes and clearings of this run
	strokes []stroke // oldest first
	points  int      // of all strokes
}

// wallState answers GET /wall.
type wallState struct {
	Run     string   `json:"run"`
	Rev     uint64   `json:"rev"` // every event up to this one is part of the state
	Strokes []stroke `json:"strokes"`
}

// wallEvent tells of one stroke, or of a clearing, which has no points.
type wallEvent struct {
	header
	stroke
	First uint64 `json:"first"` // strokes of lower revisions are gone
}

// wallAnswer answers what has changed the wall.
type wallAnswer struct {
	Rev uint64 `json:"rev"`
}

func newWall(f *feed) *wall {
	return &wall{feed: f, limit: newLimiter()}
}

func (w *wall) register(app *celeris.Server) {
	app.GET("/wall", w.serve)
	app.POST("/paint", w.paint).MaxBody(maxPaintBytes)
	app.POST("/clear", w.clear).MaxBody(maxPaintBytes)
}

// serve answers with the whole wall.
func (w *wall) serve(c *celeris.Context) error {
	w.mu.Lock()
	state := wallState{Run: w.feed.run, Rev: w.rev, Strokes: append([]stroke{}, w.strokes...)}
	w.mu.Unlock()
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, state)
}

// paint adds a stroke for everyone.
func (w *wall) paint(c *celeris.Context) error {
	var r paintRequest
	if err := c.Bind(&r); err != nil {
		return err
	}
	s, err := r.stroke()
	if err != nil {
		return err
	}
	return w.change(c, r.Tab, s)
}

// clear wipes the wall for everyone.
func (w *wall) clear(c *celeris.Context) error {
	var r clearRequest
	if err := c.Bind(&r); err != nil {
		return err
	}
	if err := checkTab(r.Tab); err != nil {
		return err
	}
	return w.change(c, r.Tab, stroke{})
}

// change publishes s on behalf of a tab if that has not done so too often, and answers with its revision.
func (w *wall) change(c *celeris.Context, tab string, s stroke) error {
	if wait := w.limit.take(tab, time.Now()); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
		return celeris.NewHTTPError(http.StatusTooManyRequests, fmt.Sprintf("the wall takes no more strokes right now: try again in %d s", seconds))
	}
	rev, err := w.add(c.Context(), s)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, wallAnswer{Rev: rev})
}

// add publishes a stroke, one without points to clear the wall, and makes it part of the state. What is not
// published changes nothing.
func (w *wall) add(ctx context.Context, s stroke) (rev uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Rev = w.rev + 1
	gone, first := w.makeRoom(s)
	if _, err := w.feed.send(ctx, "wall", func(h header) any { return wallEvent{h, s, first} }); err != nil {
		return 0, err
	}
	w.rev = s.Rev
	for _, old := range w.strokes[:gone] {
		w.points -= old.size()
	}
	w.strokes = slices.Delete(w.strokes, 0, gone)
	if s.size() > 0 {
		w.strokes = append(w.strokes, s)
		w.points += s.size()
	}
	return w.rev, nil
}

// makeRoom returns how many strokes go for s, and the revision of the first that stays. All go for a clearing.
func (w *wall) makeRoom(s stroke) (gone int, first uint64) {
	if s.size() == 0 {
		return len(w.strokes), s.Rev + 1
	}
	points := w.points + s.size()
	for points > maxWallPoints {
		points -= w.strokes[gone].size()
		gone++
	}
	if gone < len(w.strokes) {
		return gone, w.strokes[gone].Rev
	}
	return gone, s.Rev
}
