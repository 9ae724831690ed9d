package fanout

import (
	"testing"

	"github.com/goceleris/celeris/internal/mutant"
)

// TestMutants shows that the tests see every rule of this package.
func TestMutants(t *testing.T) {
	suite := mutant.Suite{
		Switch: "FANOUT_MUTANTS", Dir: ".", Run: "TestModel$", Env: "FANOUT_SEEDS=1000", Timeout: "3m",
		Mutants: mutants,
	}
	suite.Test(t)
}

// mutants are rules of this package, switched off one at a time.
var mutants = []mutant.Mutant{
	{Name: "frames that are gone are passed over", Edits: []mutant.Edit{
		{"next.go", "if v.freed > from {", "if false {"}}},
	{Name: "resume ignores History", Edits: []mutant.Edit{
		{"member.go", "if t.expired > m.from && m.loss.reason == \"\" && c.feeder == nil {", "if false {"}}},
	{Name: "new topic ignores its floor", Edits: []mutant.Edit{
		{"retain.go", "newTopic(name, c.floors.of(name), now)", "newTopic(name, 0, now)"}}},
	{Name: "compacting forgets what it freed", Edits: []mutant.Edit{
		{"topic.go", "freed: before})", "freed: v.freed})"}}},
	{Name: "freeing forgets what it freed", Edits: []mutant.Edit{
		{"topic.go", "t.view.Store(&view{segs: segs, freed: freed})", "t.view.Store(&view{segs: segs, freed: v.freed})"}}},
	{Name: "frame of several topics goes out several times", Edits: []mutant.Edit{
		{"next.go", "if r.peek() > sent {", "if r.peek() >= sent {"}}},
	{Name: "topics are read one behind the other", Edits: []mutant.Edit{
		{"next.go", "if p := rs[j].peek(); p < rs[i].peek() {", "if p := rs[j].peek(); false && p < rs[i].peek() {"}}},
	{Name: "contiguous frames ignore other topics", Edits: []mutant.Edit{
		{"next.go", "upTo = min(upTo, max(rs[j].peek(), 1)-1)", ""}}},
	{Name: "topic named twice takes the frame twice", Edits: []mutant.Edit{
		{"core.go", "topics = slices.Compact(slices.Sorted(slices.Values(topics)))", "topics = slices.Sorted(slices.Values(topics))"}}},
	{Name: "judged before it was sent", Edits: []mutant.Edit{
		{"pump.go", "\t\t\tm.wake()\n\t\t\tif m.blockedFrom.Load() != 0 {", "\t\t\tm.wake()\n\t\t\tif m.blockedFrom.CompareAndSwap(0, 1); true {"}}},
	{Name: "replay counts as lag", Edits: []mutant.Edit{
		{"loss.go", "case !m.armed || m.deciding:", "case m.deciding:"}}},
	{Name: "every publish asks again", Edits: []mutant.Edit{
		{"loss.go", "case !m.armed || m.deciding:", "case !m.armed:"}}},
	{Name: "a wait for a snapshot counts as lag", Edits: []mutant.Edit{
		{"loss.go", "m.armed = false // what came", "m.armed = true // what came"}}},
	{Name: "late verdict is carried out", Edits: []mutant.Edit{
		{"loss.go", "ok && m.within(frames, bytes) {", "false && m.within(frames, bytes) {"}}},
	{Name: "leaves at once", Edits: []mutant.Edit{
		{"member.go", "s.until <= max(m.cursor, s.from) {", "true {"}}},
	{Name: "leave does not wake", Run: "TestLeave_WakesForWhatIsStillDue", Edits: []mutant.Edit{
		{"member.go", "m.wake() // the pump may", "// the pump may"}}},
	{Name: "leave ends at the head", Edits: []mutant.Edit{
		{"member.go", "s.until = Position(s.topic.last.Load());", "s.until = c.Head();"}}},
	{Name: "joins from the past", Edits: []mutant.Edit{
		{"member.go", "c.join(m, t, max(m.cursor, c.Head()))", "c.join(m, t, 0)"}}},
	{Name: "private frame has no barrier", Edits: []mutant.Edit{
		{"send.go", "p.barrier = max(m.cursor, m.core.Head())", "p.barrier = m.cursor"}}},
	{Name: "private frames wait for the notice", Edits: []mutant.Edit{
		{"loss.go", "if len(m.queue) > 0 && m.precedes(", "if false && m.precedes("}}},
	{Name: "private frames wait for a failed snapshot", Edits: []mutant.Edit{
		{"loss.go", "l.snap != nil && !l.snap.done || answered:", "l.snap != nil:"}}},
	{Name: "private frames overtake the frames of a new member", Edits: []mutant.Edit{
		{"loss.go", "case l.reason == New:", "case false:"}}},
	{Name: "notice has the head of the decision", Edits: []mutant.Edit{
		{"loss.go", "n := m.notice(head)\n\tm.cursor", "n := m.notice(m.cursor)\n\tm.cursor"}}},
	{Name: "loss forgets what was dropped before", Edits: []mutant.Edit{
		{"loss.go", "n.Dropped = int(m.loss.dropped) + frames", "n.Dropped = frames + 1"}}},
	{Name: "goes on behind a snapshot from the head", Edits: []mutant.Edit{
		{"loss.go", "m.cursor = max(m.cursor, l.snap.notice.Position)", "m.cursor = head"}}},
	{Name: "drops while a snapshot waits", Env: "FANOUT_SEEDS=3000", Edits: []mutant.Edit{
		{"loss.go", "if m.loss.snap != nil {", "if m.loss.snap != nil && !m.loss.snap.done {"}}},
	{Name: "drops a new member without a word", Run: "TestSnapshot_OfANewClientThatIsSlow", Edits: []mutant.Edit{
		{"loss.go", "m.loss.reason == \"\" || m.loss.reason == New {", "m.loss.reason == \"\" {"}}},
	{Name: "snapshot is forgotten", Edits: []mutant.Edit{
		{"loss.go", "out.add(l.snap.frame)", ""}}},
	{Name: "late snapshot counts", Edits: []mutant.Edit{
		{"loss.go", "if s := m.loss.snap; s != nil && !s.done && q == m.asked {", "if s := m.loss.snap; s != nil && q > 0 {"}}},
	{Name: "position goes on after removal", Edits: []mutant.Edit{
		{"send.go", "c == nil || m.removed ||", "c == nil ||"}}},
	{Name: "heartbeat while something is due", Edits: []mutant.Edit{
		{"send.go", "!ok || frames > 0 {", "false && (!ok || frames > 0) {"}}},
	{Name: "frames go on after removal", Edits: []mutant.Edit{
		{"next.go", "if m.core == nil || m.removed || bound <= m.cursor {", "if m.core == nil || bound <= m.cursor {"}}},
	{Name: "head is visible before the frame", Run: "TestStress", Tries: 20, Edits: []mutant.Edit{
		{"core.go", "for _, t := range into {\n\t\tc.append(", "e.head.Store(uint64(p))\n\ttime.Sleep(1)\n\tfor _, t := range into {\n\t\tc.append("}}},
	{Name: "conflates across topics", Edits: []mutant.Edit{
		{"segment.go", "return a.key == b.key && !slices", "return a.key == b.key || !slices"}}},
	{Name: "conflates without saying so", Edits: []mutant.Edit{
		{"latest.go", "m.skipped += int32(n)", ""}}},
	{Name: "skips what nothing supersedes", Edits: []mutant.Edit{
		{"latest.go", "if !all[i].obsolete {", "if true {\n\t\t\tall[i].obsolete = true"}}},
	{Name: "a refusal waits for the next event", Run: "TestSlow_IsSeenThoughNothingFollows", Edits: []mutant.Edit{
		{"member.go", "\t\tc.refusing = append(c.refusing, m)\n", ""}}},
	{Name: "a look counts for what came behind it", Run: "TestLatest_IsWithinItsLimitsWheneverAFullCountSaysSo", Edits: []mutant.Edit{
		{"latest.go", "m.within(l.frames+frames, l.bytes+bytes)", "m.within(l.frames+0*frames, l.bytes+0*bytes)"}}},
	{Name: "the pump looks as long as there is somebody", Run: "TestPump_", Edits: []mutant.Edit{
		{"pump.go", "for ; p.owed > 0 && took < lookBudget; p.owed-- {", "for ; p.owed > 0; p.owed-- {"}}},
	{Name: "the pump looks again at once", Run: "TestPump_", Edits: []mutant.Edit{
		{"pump.go", "p.rest = began.Add(took + lookRest*took)", "p.rest = began.Add(took)"}}},
	{Name: "the pump looks at the same again", Run: "TestPump_", Edits: []mutant.Edit{
		{"pump.go", "p.slow.MoveToBack(e)", "p.slow.MoveToFront(e)"}}},
	{Name: "commit repeats what was sent", Edits: []mutant.Edit{
		{"plan.go", "if k > 0 {", "if false {"}}},
	{Name: "commit repeats what was begun", Edits: []mutant.Edit{
		{"plan.go", "at = list[k].pos\n\t\t\trest", "rest"}}},
	{Name: "commit takes what was not sent", Edits: []mutant.Edit{
		{"plan.go", "m.pass(at, frames)", "m.pass(max(at, p.end), frames)"}}},
	{Name: "a twin goes to whoever reads twins", Edits: []mutant.Edit{
		{"twin.go", "if s.twin != nil && window >= s.twin.window {", "if s.twin != nil && window > 0 {"}}},
	{Name: "a twin stands among those for smaller windows", Edits: []mutant.Edit{
		{"twin.go", "s.twin != nil && w.needs <= s.twin.window &&", "s.twin != nil &&"}}},
	{Name: "a frame without a twin is missing among twins", Edits: []mutant.Edit{
		{"core.go", "if s.twin != nil {\n\t\tc.reword", "if s.twin != nil && window > 0 {\n\t\tc.reword"}}},
	{Name: "topics are read to their own ends", Run: "TestStress", Tries: 20, Edits: []mutant.Edit{
		{"next.go", "from, upTo := max(cursor, s.from), min(bound, s.until)", "from, upTo := max(cursor, s.from), min(m.core.Head(), s.until)\n\t\tfor range 50_000 {\n\t\t\tm.core.Head()\n\t\t}"}}},
}
