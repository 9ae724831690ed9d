package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// post sends JSON and returns the status, the headers and the body of the answer.
func post(t *testing.T, url, body string) (int, http.Header, string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(answer)
}

func getWall(t *testing.T, url string) (state wallState) {
	t.Helper()
	response, err := http.Get(url + "/wall")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&state); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET /wall: status %d, %v", response.StatusCode, err)
	}
	return state
}

// nextWall returns the next event of the wall.
func (e *events) nextWall() (w wallEvent) {
	e.t.Helper()
	for b, _ := e.payload(); b != nil; b, _ = e.payload() {
		if b["event"] != "wall" {
			continue
		}
		if err := json.Unmarshal([]byte(b["data"]), &w); err != nil {
			e.t.Fatalf("data %q: %v", b["data"], err)
		}
		return w
	}
	e.t.Fatal("the stream ended without an event of the wall")
	return w
}

func TestPaint_ReachesTheStreamAndTheState(t *testing.T) {
	url := startDemo(t)
	stream := openEvents(t, url+"/events", "")
	for i, points := range []string{"[0,0,960,600]", "[480,300]"} {
		status, _, answer := post(t, url+"/paint", fmt.Sprintf(`{"tab":"a","color":%d,"points":%s}`, i+4, points))
		if want := fmt.Sprintf(`{"rev":%d}`, i+1); status != http.StatusOK || strings.TrimSpace(answer) != want {
			t.Errorf("stroke %d: status %d, %q, want 200, %s", i, status, answer, want)
		}
		got := stream.nextWall()
		if got.N == 0 || got.Rev != uint64(i+1) || got.First != 1 || got.Color != i+4 || fmt.Sprint(got.Points) != strings.ReplaceAll(points, ",", " ") {
			t.Errorf("stroke %d came as %+v", i, got)
		}
	}
	if got := getWall(t, url); got.Rev != 2 || len(got.Strokes) != 2 || got.Strokes[1].Color != 5 || got.Run == "" {
		t.Errorf("the wall is %+v, want both strokes", got)
	}

	if status, _, answer := post(t, url+"/clear", `{"tab":"b"}`); status != http.StatusOK {
		t.Errorf("clearing: status %d, %q", status, answer)
	}
	if got := stream.nextWall(); got.Rev != 3 || got.First != 4 || got.Points != nil {
		t.Errorf("the clearing came as %+v, want revision 3 that leaves nothing before 4", got)
	}
	if got := getWall(t, url); got.Rev != 3 || got.Strokes == nil || len(got.Strokes) != 0 {
		t.Errorf("the cleared wall is %+v, want revision 3 and a list of no strokes", got)
	}
}

func TestPaint_RefusesWhatIsOutOfBounds(t *testing.T) {
	url := startDemo(t)
	points := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,2,", n), ",") + "]" }
	for _, test := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"no JSON", "/paint", `{`, 400, "not the expected JSON"},
		{"empty", "/paint", ``, 400, "empty"},
		{"no tab", "/paint", `{"color":0,"points":[1,2]}`, 400, "tab is a random name"},
		{"a long tab", "/paint", `{"tab":"` + strings.Repeat("a", maxTabBytes+1) + `","color":0,"points":[1,2]}`, 400, "tab is a random name"},
		{"no points", "/paint", `{"tab":"a","color":0}`, 400, "at least one point"},
		{"half a point", "/paint", `{"tab":"a","color":0,"points":[1,2,3]}`, 400, "x and y by turns"},
		{"a fraction", "/paint", `{"tab":"a","color":0,"points":[1.5,2]}`, 400, "not the expected JSON"},
		{"left of it", "/paint", `{"tab":"a","color":0,"points":[-1,2]}`, 400, "point 1 has x -1: it is one of 0 to 960"},
		{"right of it", "/paint", `{"tab":"a","color":0,"points":[1,2,961,2]}`, 400, "point 2 has x 961"},
		{"below it", "/paint", `{"tab":"a","color":0,"points":[1,601]}`, 400, "point 1 has y 601: it is one of 0 to 600"},
		{"a foreign colour", "/paint", `{"tab":"a","color":6,"points":[1,2]}`, 400, "color is 6: it is one of 0 to 5"},
		{"a negative colour", "/paint", `{"tab":"a","color":-1,"points":[1,2]}`, 400, "color is -1"},
		{"a point too many", "/paint", `{"tab":"a","color":0,"points":` + points(maxStrokePoints+1) + `}`, 413, "at most 64 points"},
		{"a large body", "/paint", `{"tab":"a","color":0,"points":` + points(1000) + `}`, 413, "longer than 2048 bytes"},
		{"clear without tab", "/clear", `{}`, 400, "tab is a random name"},
		{"slow without on", "/slow", `{}`, 400, `{"on":true}`},
	} {
		status, _, answer := post(t, url+test.path, test.body)
		if status != test.status || !strings.Contains(answer, test.says) {
			t.Errorf("%s: status %d, %q, want %d with %q", test.name, status, answer, test.status, test.says)
		}
	}
	if response, err := http.Post(url+"/paint", "text/plain", strings.NewReader(`{"tab":"a","color":0,"points":[1,2]}`)); err != nil {
		t.Error(err)
	} else if response.Body.Close(); response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a body that a foreign page could send: status %d, want 415", response.StatusCode)
	}
	if status, _, answer := post(t, url+"/paint", `{"tab":"a","color":5,"points":`+points(maxStrokePoints)+`}`); status != http.StatusOK {
		t.Errorf("the longest stroke: status %d, %q", status, answer)
	}
	if got := getWall(t, url); got.Rev != 1 {
		t.Errorf("revision %d: what is refused changes nothing", got.Rev)
	}
}

func TestPaint_HoldsATabToItsRate(t *testing.T) {
	url := startDemo(t)
	body := `{"tab":"flood","color":0,"points":[1,2]}`
	for range 3 * tabBurst {
		status, header, answer := post(t, url+"/paint", body)
		if status == http.StatusOK {
			continue
		}
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" || !strings.Contains(answer, "try again in 1 s") {
			t.Errorf("status %d, Retry-After %q, %q", status, header.Get("Retry-After"), answer)
		}
		if status, _, answer := post(t, url+"/paint", strings.Replace(body, "flood", "calm", 1)); status != http.StatusOK {
			t.Errorf("another tab: status %d, %q, want 200", status, answer)
		}
		return
	}
	t.Errorf("%d strokes at once were not too many", 3*tabBurst)
}

// testWall returns a wall without a server, and its broker.
func testWall(t *testing.T) (*wall, *sse.Broker) {
	t.Helper()
	broker, err := sse.NewBroker(sse.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close(context.Background()) })
	return newWall(&feed{broker: broker, run: "r", started: time.Now()}), broker
}

// A page that applies the events must end with the wall of the server, also when old strokes have to go.
func TestWall_IsBoundedTheSameForEveryone(t *testing.T) {
	w, broker := testWall(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin, err := publish(ctx, broker, "before", 0)
	if err != nil {
		t.Fatal(err)
	}
	const strokes = maxWallPoints/maxStrokePoints + 20
	for range strokes {
		if _, err := w.add(ctx, stroke{Points: make([]int, 2*maxStrokePoints)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.add(ctx, stroke{Points: []int{1, 2}}); err != nil {
		t.Fatal(err)
	}

	page := make(map[uint64]bool)
	for p, err := range broker.Events(ctx, begin.ID(), "wall") {
		var e wallEvent
		if err == nil {
			err = json.Unmarshal([]byte(p.Event().Data), &e)
		}
		if err != nil {
			t.Fatal(err)
		}
		page[e.Rev] = true
		maps.DeleteFunc(page, func(rev uint64, _ bool) bool { return rev < e.First })
		if e.Rev == strokes+1 {
			break
		}
	}
	points := 0
	for _, s := range w.strokes {
		if points += s.size(); !page[s.Rev] {
			t.Errorf("the page lacks stroke %d", s.Rev)
		}
	}
	if points != w.points || points > maxWallPoints || points < maxWallPoints-maxStrokePoints {
		t.Errorf("the wall holds %d points and counts %d, want at most %d and hardly less", points, w.points, maxWallPoints)
	}
	if len(page) != len(w.strokes) {
		t.Errorf("the page shows %d strokes, the server has %d", len(page), len(w.strokes))
	}
}

func TestWall_KeepsOnlyWhatWasPublished(t *testing.T) {
	w, broker := testWall(t)
	if err := broker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rev, err := w.add(t.Context(), stroke{Points: []int{1, 2}}); err == nil {
		t.Errorf("revision %d, want an error", rev)
	}
	if w.rev != 0 || w.points != 0 || len(w.strokes) != 0 || w.feed.n != 0 {
		t.Errorf("after a failed publish the wall is %+v", w)
	}
}
