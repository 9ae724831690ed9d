package sim_test

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces old, which a file of package shard holds once, by new.
type edit struct{ file, old, new string }

// mutants are rules of package shard, switched off one at a time.
var mutants = []struct {
	name  string
	run   string // the test that has to object; TestModel if empty
	edits []edit
}{
	{name: "forgets to arm", edits: []edit{
		{"stream.go", "\ts.conn.Arm()\n", ""}}},
	{name: "sends past a boundary", edits: []edit{
		{"shard.go", "st.rest = st.member.Commit(p, op.N)", "st.member.Commit(p, op.N)"}}},
	{name: "eats a byte of the rest", edits: []edit{
		{"shard.go", "st.rest = st.rest[op.N:]", "st.rest = st.rest[min(op.N+1, len(st.rest)):]"}}},
	{name: "passes an id over a hole", edits: []edit{
		{"shard.go", "st.member.Commit(p, op.N)", "st.member.Commit(p, p.Size)"}}},
	{name: "beats within an event", edits: []edit{
		{"stream.go", "case s.refused:\n\t\tif queued", "case s.refused && now.Sub(s.sent) < s.cfg.Heartbeat:\n\t\tif queued"},
		{"stream.go", "s.cfg.Heartbeat && len(s.rest) == 0:", "s.cfg.Heartbeat:"}}},
	{name: "beats while data flows", run: "TestEngine/NoHeartbeatWhileDataFlows", edits: []edit{
		{"shard.go", "st.sent, st.moved = now, now", "st.moved = now"}}},
	{name: "beats without a position", edits: []edit{
		{"stream.go", "s.rest = s.member.Heartbeat(); s.rest == nil", "s.rest = nil; true"}}},
	{name: "ends twice", edits: []edit{
		{"shard.go", "if st.state == closed || st.state == lingering && !st.cut.Load() {", "if st.state == lingering && !st.cut.Load() {"}}},
	{name: "refused for ever", edits: []edit{
		{"stream.go", "\t\ts.refused = false\n", ""}}},
	{name: "says refused when it is not", run: "TestEngine", edits: []edit{
		{"stream.go", "\t\ts.member.Blocked(0)\n", ""}}},
	{name: "does not say that it is refused", run: "TestEngine/Policy", edits: []edit{
		{"stream.go", "s.member.Blocked(now.UnixNano())\n", ""}}},
	{name: "hangs its timer once", run: "TestEngine/HeartbeatsInSilence", edits: []edit{
		{"stream.go", "\t\ts.shard.ready(s)\n\t}\n\ts.shard.wheel.hang(&s.timer, s.next(now))", "\t\ts.shard.ready(s)\n\t}"}}},
	{name: "beats late after a refusal", run: "TestEngine/HeartbeatsInSilence", edits: []edit{
		{"stream.go", "min(s.cfg.MaxStall/4, s.cfg.Heartbeat)", "s.cfg.MaxStall / 4"}}},
	{name: "hangs no timer when refused", run: "TestEngine/MaxStall", edits: []edit{
		{"stream.go", "s.conn.Arm()\n\ts.shard.wheel.hang(&s.timer, s.next(now))", "s.conn.Arm()"}}},
	{name: "never stalls", run: "TestEngine/MaxStall", edits: []edit{
		{"stream.go", "now.Sub(s.moved) >= s.cfg.MaxStall {", "false {"}}},
	{name: "stalls though it moves", run: "TestEngine/MaxStall", edits: []edit{
		{"shard.go", "st.sent, st.moved = now, now", "st.sent = now"},
		{"stream.go", "s.moved, s.waiting = now, s.conn.Queued()", "if s.moved.IsZero() {\n\t\t\ts.moved = now\n\t\t}\n\t\ts.waiting = 0"}}},
	{name: "does not age", run: "TestEngine/MaxAge", edits: []edit{
		{"stream.go", "\t\ts.cfg.OnAge()\n", ""}}},
	{name: "does not linger", run: "TestEngine/LingerIsBounded", edits: []edit{
		{"stream.go", "s.shard.wheel.hang(&s.timer, s.until)\n\ts.drain(now)", "s.close()"}}},
	{name: "lingers for ever", run: "TestEngine/LingerIsBounded", edits: []edit{
		{"stream.go", "s.shard.wheel.hang(&s.timer, s.until)\n", "s.shard.wheel.drop(&s.timer)\n"}}},
	{name: "forgets to count down", edits: []edit{
		{"stream.go", "\ts.shard.live.Add(-1)\n", ""}}},
	{name: "ignores what the peer says", run: "TestEngine/.*(Departure|Stray)", edits: []edit{
		{"stream.go", "case !over && s.read <= lingerBytes:", "case !over || s.read <= lingerBytes:"}}},
	{name: "reads without a limit", run: "TestEngine/StrayBytes", edits: []edit{
		{"stream.go", "s.read += n", "s.read = n"}}},
	{name: "loses the farewell", edits: []edit{
		{"shard.go", "\t\tst.finish(now)\n\t\treturn\n\t} else if", "\t\tst.end(nil)\n\t\treturn\n\t} else if"},
		{"shard.go", "if len(st.rest) > 0 {\n\t\tp.Bufs, p.Size =", "if len(st.rest) > 0 && !st.finished {\n\t\tp.Bufs, p.Size ="}}},
	{name: "cuts when it comes round to it", run: "TestEngine/CutIsAtOnce", edits: []edit{
		{"shard.go", "if st.cut.Load() {\n\t\tst.end", "if st.cut.Load() && !st.refused {\n\t\tst.end"}}},
	{name: "looks once for each wake", edits: []edit{
		{"shard.go", "\t\ts.ready(st) // until", "\t\t// until"}}},
	{name: "forgets those that are just coming when it closes", run: "TestEngine/CloseEndsWhatIsLeft", edits: []edit{
		{"shard.go", "\tif ended {\n", "\tif ended && false {\n"}}},
}

// TestMutants shows that the tests see every rule of package shard: each is switched off in a copy of the source that is
// compiled in its place. It takes a compiler run for each, so it runs only in CI and with ENGINE_MUTANTS set; if that is
// not 1, it picks the mutants whose name holds it.
func TestMutants(t *testing.T) {
	only := os.Getenv("ENGINE_MUTANTS")
	if only == "" && os.Getenv("CI") == "true" {
		only = "1"
	}
	if only == "" {
		t.Skip("minutes of compiling: set ENGINE_MUTANTS=1, or CI=true")
	}
	for _, m := range mutants {
		if only != "1" && !strings.Contains(m.name, only) {
			continue
		}
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			overlay := mutate(t, m.edits)
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-vet=off", "-count=1",
				"-timeout=30s", "-run="+cmp.Or(m.run, "TestModel$"), ".")
			cmd.Env = append(os.Environ(), "ENGINE_SCHEDULES=400", "ENGINE_MUTANTS=", "CI=")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Error("went unnoticed")
			case strings.Contains(string(out), "[build failed]"):
				t.Fatalf("%s", out)
			default:
				t.Logf("%.400s", out)
			}
		})
	}
}

// mutate writes the edited files and returns the name of the overlay that puts them in place.
func mutate(t *testing.T, edits []edit) (overlay string) {
	t.Helper()
	dir, text := t.TempDir(), map[string]string{}
	for _, e := range edits {
		if text[e.file] == "" {
			source, err := os.ReadFile(filepath.Join("..", "internal", "shard", e.file))
			if err != nil {
				t.Fatal(err)
			}
			text[e.file] = string(source)
		}
		if n := strings.Count(text[e.file], e.old); n != 1 {
			t.Fatalf("%s holds %q %d times, want once", e.file, e.old, n)
		}
		text[e.file] = strings.Replace(text[e.file], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, s := range text {
		original, err := filepath.Abs(filepath.Join("..", "internal", "shard", file))
		if err != nil {
			t.Fatal(err)
		}
		replace[original] = filepath.Join(dir, file)
		write(t, replace[original], []byte(s))
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	write(t, overlay, list)
	return overlay
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
