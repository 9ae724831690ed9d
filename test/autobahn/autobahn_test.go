package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goceleris/celeris/middleware/websocket"
)

func TestServeAll_EchoesOnEveryAgent(t *testing.T) {
	agents, err := serveAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := agents.stop(); err != nil {
			t.Error(err)
		}
	}()
	if len(agents.list) < 6 {
		t.Errorf("%d agents", len(agents.list))
	}
	for _, a := range agents.list {
		c, err := websocket.Dial(t.Context(), a.URL, nil)
		if err != nil {
			t.Fatalf("%s: %v", a.Agent, err)
		}
		if err := c.WriteMessage(t.Context(), websocket.TextMessage, []byte("hello")); err != nil {
			t.Errorf("%s: %v", a.Agent, err)
		}
		if kind, data, err := c.ReadMessage(t.Context()); kind != websocket.TextMessage || string(data) != "hello" || err != nil {
			t.Errorf("%s: got %v %q, %v", a.Agent, kind, data, err)
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("%s: close: %v", a.Agent, err)
		}
	}
}

// fakeClient is a wstest that leaves the report it is told to.
const fakeClient = `#!/bin/sh
[ "$1 $2 $3" = "-m fuzzingclient -s" ] || exit 2
dir=$(dirname "$4")
cp "$4" "$FAKE_SPEC"
mkdir "$dir/reports" && sed -n 's/.*"agent": "\(.*\)",*/"\1": {"1.1.1": {"behavior": "OK", "behaviorClose": "OK"}, "7.7.1": {"behavior": "'$FAKE_RESULT'", "behaviorClose": "OK"}},/p' "$4" | sed '$s/,$//' > "$dir/lines"
(echo '{'; cat "$dir/lines"; echo '}') > "$dir/reports/index.json"
`

func TestTry_JudgesWhatTheClientReports(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wstest"), []byte(fakeClient), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(dir, "spec.json")
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("FAKE_SPEC", spec)
	for result, ok := range map[string]bool{"OK": true, "INFORMATIONAL": true, "NON-STRICT": true, "FAILED": false, "UNIMPLEMENTED": false} {
		t.Setenv("FAKE_RESULT", result)
		err := try(t.Context())
		if (err == nil) != ok {
			t.Errorf("%s: got %v", result, err)
		}
		if !ok && strings.Count(err.Error(), "case 7.7.1: "+result) < 6 {
			t.Errorf("%s: %v", result, err)
		}
	}
	var got struct {
		Servers []agent
		Cases   []string
	}
	b, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil || len(got.Servers) < 6 || got.Cases[0] != "*" {
		t.Errorf("the client was told %s (%v)", b, err)
	}
}

func TestTry_SaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := try(t.Context())
	if _, ok := errors.AsType[*missingError](err); !ok || !strings.Contains(err.Error(), "wstest") || !strings.Contains(err.Error(), "Docker") {
		t.Errorf("got %v", err)
	}
}

func TestVerdict_MissesNobody(t *testing.T) {
	if err := (verdict{}).judge([]agent{{Agent: "a"}}); err == nil {
		t.Error("an agent that was not tried passes")
	}
}
