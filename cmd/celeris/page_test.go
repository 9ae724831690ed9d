package main

import (
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPage_IsComplete(t *testing.T) {
	url := startDemo(t)
	stream := openEvents(t, url+"/events", "")
	stream.payload()
	b, _ := stream.payload() // the place of an event is known when the next one comes
	text, header := getPage(t, url)

	if since := regexp.MustCompile(`data-since="([^"]*)"`).FindStringSubmatch(text); since == nil || since[1] == "" {
		t.Errorf("the page does not know where its stream begins, after %v", b)
	}
	// Whatever an element names must be in the document: there is nothing else to fetch.
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "data:") && m[1] != "/stats" { // the worker is no element
			t.Errorf("the page refers to %q", m[1])
		}
	}
	policy := header.Get("Content-Security-Policy")
	inline := regexp.MustCompile(`(?s)<(?:script|style)[^>]*>(.*?)</(?:script|style)>`).FindAllStringSubmatch(text, -1)
	if len(inline) != 3 {
		t.Errorf("the page has %d inline scripts and styles, want 3", len(inline))
	}
	for _, m := range inline {
		if !strings.Contains(policy, hashSource(m[1])) {
			t.Errorf("Content-Security-Policy %q does not allow what begins %.60q", policy, m[1])
		}
	}
	if got := header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
}

// The worker is the only other thing to fetch. Its name tells its version, and it may do nothing but stream.
func TestPage_NamesItsWorker(t *testing.T) {
	url := startDemo(t)
	text, header := getPage(t, url)
	contains(t, "the page's policy", header.Get("Content-Security-Policy"), "worker-src 'self'")
	path := regexp.MustCompile(`data-worker="([^"]*)"`).FindStringSubmatch(text)
	if path == nil || !regexp.MustCompile(`^/worker\.js\?v=[0-9a-f]+$`).MatchString(path[1]) {
		t.Fatalf("the page names the worker %q", path)
	}
	response, err := http.Get(url + path[1])
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	script, _ := io.ReadAll(response.Body)
	for name, want := range map[string]string{
		"Content-Type": "text/javascript", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": workerPolicy,
	} {
		contains(t, name, response.Header.Get(name), want)
	}
	contains(t, "the worker", string(script), "class Stream")
	contains(t, "the worker", string(script), "addEventListener('connect'")
}

// A part that nobody joins, or one that is not there, would only show in a browser.
func TestPage_UsesEveryFile(t *testing.T) {
	used := slices.Concat(scripts, workers, []string{"index.html", "style.css", "theme.js"})
	entries, err := pageFiles.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(used, entry.Name()) {
			t.Errorf("nothing uses page/%s", entry.Name())
		}
		used = slices.DeleteFunc(used, func(name string) bool { return name == entry.Name() })
	}
	if len(used) > 0 {
		t.Errorf("there are no files %v", used)
	}
}

// The source that the page shows must be what runs, letter by letter.
func TestPage_ShowsItsOwnSource(t *testing.T) {
	text, _ := getPage(t, startDemo(t))
	code := regexp.MustCompile(`(?s)<pre[^>]*><code>(.*?)</code></pre>`).FindStringSubmatch(text)
	if code == nil {
		t.Fatal("the page shows no code")
	}
	shown := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(code[1], ""))
	if shown == "" || !strings.Contains(streamSource, shown) {
		t.Errorf("the page shows what is not in stream.go: %q", shown)
	}
	for _, want := range []string{"sse.NewBroker", `app.GET("/events"`, "broker.Publish", "broker.Disconnect"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the shown source lacks %s", want)
		}
	}
}

func TestExcerpt_NeedsBothMarkers(t *testing.T) {
	for _, source := range []string{"", "a\n// page:begin\nb\n", "a\n// page:end\nb\n"} {
		if got, err := excerpt(source); err == nil {
			t.Errorf("excerpt(%q) = %q, want an error", source, got)
		}
	}
	if got, err := excerpt("a\n// page:begin\n\nb\n\n// page:end\nc\n"); got != "b" || err != nil {
		t.Errorf("excerpt = %q, %v, want b", got, err)
	}
}

func TestHighlight(t *testing.T) {
	got := highlight("// a < b\nif s == \"<\" && n > 1 {")
	want := `<span class="comment">// a &lt; b</span>` + "\n" +
		`<span class="keyword">if</span> s == <span class="literal">&#34;&lt;&#34;</span> &amp;&amp; n &gt; <span class="literal">1</span> {`
	if string(got) != want {
		t.Errorf("highlight = %s, want %s", got, want)
	}
}

func getPage(t *testing.T, url string) (string, http.Header) {
	t.Helper()
	client := http.Client{Timeout: patience}
	response, err := client.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/html") {
		t.Fatalf("status %d, Content-Type %q, want 200, text/html", response.StatusCode, got)
	}
	return string(body), response.Header
}
