package fanout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces old, which the file holds once, by new.
type edit struct{ file, old, new string }

// mutants are rules of this package, switched off one at a time.
var mutants = []struct {
	name  string
	run   string // the test that has to object; TestModel if empty
	seeds int    // how many schedules it takes; 1000 if zero
	edits []edit
}{
	{name: "frames that are gone are passed over", edits: []edit{
		{"next.go", "if v.freed > from {", "if false {"}}},
	{name: "resume ignores History", edits: []edit{
		{"member.go", "if t.expired > m.from && m.loss.reason == \"\" {", "if false {"}}},
	{name: "new topic ignores its floor", edits: []edit{
		{"retain.go", "newTopic(name, c.floors.of(name), now)", "newTopic(name, 0, now)"}}},
	{name: "compacting forgets what it freed", edits: []edit{
		{"topic.go", "freed: before})", "freed: v.freed})"}}},
	{name: "freeing forgets what it freed", edits: []edit{
		{"topic.go", "t.view.Store(&view{segs: segs, freed: freed})", "t.view.Store(&view{segs: segs, freed: v.freed})"}}},
	{name: "frame of several topics goes out several times", edits: []edit{
		{"next.go", "if r.peek() > sent {", "if r.peek() >= sent {"}}},
	{name: "topics are read one behind the other", edits: []edit{
		{"next.go", "if p := rs[j].peek(); p < rs[i].peek() {", "if p := rs[j].peek(); false && p < rs[i].peek() {"}}},
	{name: "contiguous frames ignore other topics", edits: []edit{
		{"next.go", "upTo = min(upTo, max(rs[j].peek(), 1)-1)", ""}}},
	{name: "topic named twice takes the frame twice", edits: []edit{
		{"core.go", "topics = slices.Compact(slices.Sorted(slices.Values(topics)))", "topics = slices.Sorted(slices.Values(topics))"}}},
	{name: "judged before it was sent", edits: []edit{
		{"pump.go", "if m.blockedFrom.Load() != 0 {", "if m.blockedFrom.CompareAndSwap(0, 1); true {"}}},
	{name: "replay counts as lag", edits: []edit{
		{"loss.go", "case !m.armed || m.deciding:", "case m.deciding:"}}},
	{name: "every publish asks again", edits: []edit{
		{"loss.go", "case !m.armed || m.deciding:", "case !m.armed:"}}},
	{name: "a wait for a snapshot counts as lag", edits: []edit{
		{"loss.go", "m.armed = false // what came", "m.armed = true // what came"}}},
	{name: "late verdict is carried out", edits: []edit{
		{"loss.go", "if !ok || m.within(frames, bytes) {", "if !ok || false && m.within(frames, bytes) {"}}},
	{name: "leaves at once", edits: []edit{
		{"member.go", "s.until <= max(m.cursor, s.from) {", "true {"}}},
	{name: "leave does not wake", run: "TestLeave_WakesForWhatIsStillDue", edits: []edit{
		{"member.go", "m.driver.Wake() // the pump may", "// the pump may"}}},
	{name: "leave ends at the head", edits: []edit{
		{"member.go", "s.until = Position(s.topic.last.Load());", "s.until = c.Head();"}}},
	{name: "joins from the past", edits: []edit{
		{"member.go", "c.join(m, t, c.Head())", "c.join(m, t, 0)"}}},
	{name: "private frame has no barrier", edits: []edit{
		{"send.go", "p.barrier = max(m.cursor, m.core.Head())", "p.barrier = m.cursor"}}},
	{name: "private frames wait for the notice", edits: []edit{
		{"loss.go", "if len(m.queue) > 0 && m.precedes(", "if false && m.precedes("}}},
	{name: "private frames wait for a failed snapshot", edits: []edit{
		{"loss.go", "l.snap == snapRunning || answered:", "l.snap != snapNone:"}}},
	{name: "private frames overtake the frames of a new member", edits: []edit{
		{"loss.go", "case l.reason == New:", "case false:"}}},
	{name: "notice has the head of the decision", edits: []edit{
		{"loss.go", "n := m.notice(head)\n\tm.cursor", "n := m.notice(m.cursor)\n\tm.cursor"}}},
	{name: "loss forgets what was dropped before", edits: []edit{
		{"loss.go", "n.Dropped = m.loss.dropped + frames", "n.Dropped = frames + 1"}}},
	{name: "goes on behind a snapshot from the head", edits: []edit{
		{"loss.go", "m.cursor = max(m.cursor, l.notice.Position)", "m.cursor = head"}}},
	{name: "drops while a snapshot waits", seeds: 3000, edits: []edit{
		{"loss.go", "if m.loss.snap != snapNone {", "if m.loss.snap == snapRunning {"}}},
	{name: "drops a new member without a word", run: "TestSnapshot_OfANewClientThatIsSlow", edits: []edit{
		{"loss.go", "m.loss.reason == \"\" || m.loss.reason == New {", "m.loss.reason == \"\" {"}}},
	{name: "snapshot is forgotten", edits: []edit{
		{"loss.go", "out.add(l.frame)", ""}}},
	{name: "late snapshot counts", edits: []edit{
		{"loss.go", "if m.loss.snap == snapRunning && q == m.asked {", "if q > 0 {"}}},
	{name: "position goes on after removal", edits: []edit{
		{"send.go", "c == nil || m.removed ||", "c == nil ||"}}},
	{name: "heartbeat while something is due", edits: []edit{
		{"send.go", "!ok || frames > 0 {", "false && (!ok || frames > 0) {"}}},
	{name: "frames go on after removal", edits: []edit{
		{"next.go", "if m.core == nil || m.removed || bound <= m.cursor {", "if m.core == nil || bound <= m.cursor {"}}},
	{name: "head is visible before the frame", run: "TestStress", edits: []edit{
		{"core.go", "for _, t := range into {\n\t\tc.append(", "c.head.Store(uint64(p))\n\ttime.Sleep(1)\n\tfor _, t := range into {\n\t\tc.append("}}},
	{name: "conflates across topics", edits: []edit{
		{"segment.go", "return a.key == b.key && !slices", "return a.key == b.key || !slices"}}},
	{name: "conflates without saying so", edits: []edit{
		{"latest.go", "m.skipped += n", ""}}},
	{name: "skips what nothing supersedes", edits: []edit{
		{"latest.go", "if !all[i].obsolete {", "if true {\n\t\t\tall[i].obsolete = true"}}},
	{name: "commit repeats what was sent", edits: []edit{
		{"plan.go", "if k > 0 {", "if false {"}}},
	{name: "commit repeats what was begun", edits: []edit{
		{"plan.go", "at = list[k].pos\n\t\t\trest", "rest"}}},
	{name: "commit takes what was not sent", edits: []edit{
		{"plan.go", "m.pass(at, frames)", "m.pass(max(at, p.end), frames)"}}},
	{name: "topics are read to their own ends", run: "TestStress", edits: []edit{
		{"next.go", "from, upTo := max(m.cursor, s.from), min(bound, s.until)", "from, upTo := max(m.cursor, s.from), min(m.core.Head(), s.until)\n\t\tfor range 50_000 {\n\t\t\tm.core.Head()\n\t\t}"}}},
}

// TestMutants shows that the tests see every rule of this package: each is switched off in a copy of the source
// that is compiled in its place. It takes a compiler run for each, so it runs only in CI and with FANOUT_MUTANTS
// set; if that is not 1, it picks the mutants whose name holds it.
func TestMutants(t *testing.T) {
	only := os.Getenv("FANOUT_MUTANTS")
	if only == "" && os.Getenv("CI") == "true" {
		only = "1"
	}
	if only == "" {
		t.Skip("minutes of compiling: set FANOUT_MUTANTS=1, or CI=true")
	}
	for _, m := range mutants {
		if only != "1" && !strings.Contains(m.name, only) {
			continue
		}
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			dir, replace := t.TempDir(), map[string]string{}
			for _, e := range m.edits {
				abs, err := filepath.Abs(e.file)
				if err != nil {
					t.Fatal(err)
				}
				from := replace[abs]
				if from == "" {
					from = e.file
				}
				source, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(string(source), e.old); n != 1 {
					t.Fatalf("%s holds %q %d times, want once", e.file, e.old, n)
				}
				replace[abs] = filepath.Join(dir, e.file)
				write(t, replace[abs], []byte(strings.Replace(string(source), e.old, e.new, 1)))
			}
			text, err := json.Marshal(map[string]any{"Replace": replace})
			if err != nil {
				t.Fatal(err)
			}
			overlay := filepath.Join(dir, "overlay.json")
			write(t, overlay, text)
			run := m.run
			if run == "" {
				run = "TestModel"
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-vet=off", "-count=1", "-timeout=3m", "-run="+run+"$", ".")
			cmd.Env = append(os.Environ(), fmt.Sprintf("FANOUT_SEEDS=%d", cmp.Or(m.seeds, 1000)), "FANOUT_MUTANTS=")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("went unnoticed")
			case strings.Contains(string(out), "[build failed]"), strings.Contains(string(out), "panic: test timed out"):
				t.Fatalf("%s", out)
			default:
				t.Logf("%.300s", out)
			}
		})
	}
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
