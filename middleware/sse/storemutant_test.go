package sse_test

import (
	"testing"

	"github.com/goceleris/celeris/internal/mutant"
)

const storeTests = "TestStoreModel$|TestStore_|TestStoreOptional_|TestAppend_"

// TestStoreMutants shows that the tests see the rules of a broker on a store.
func TestStoreMutants(t *testing.T) {
	suite := mutant.Suite{
		Switch: "SSE_STORE_MUTANTS", Dir: ".", Run: storeTests, Env: "SSE_SEEDS=400", Timeout: "3m", MayHang: true,
		Mutants: storeMutants,
	}
	suite.Test(t)
}

// TestStoreMutants_OfTheCore is TestStoreMutants for what the core does for it.
func TestStoreMutants_OfTheCore(t *testing.T) {
	suite := mutant.Suite{
		Switch: "SSE_STORE_MUTANTS", Dir: "../../internal/fanout", Run: storeTests, Env: "SSE_SEEDS=400", Timeout: "3m", MayHang: true,
		Mutants: coreMutants,
	}
	suite.Test(t)
}

// storeMutants are rules of this package, switched off one at a time.
var storeMutants = []mutant.Mutant{
	{Name: "answers go into the log as they come", Edits: []mutant.Edit{
		{"mirrorappend.go", "		if old := m.early[p]; old != nil {", "		p = m.head\n		if old := m.early[p]; old != nil {"}}},
	{Name: "nobody follows the store", Edits: []mutant.Edit{
		{"keeper.go", "	if m.follower == nil {\n		<-ctx.Done()", "	if true {\n		<-ctx.Done()"}}},
	{Name: "every process has its epoch", Edits: []mutant.Edit{
		{"mirror.go", "fc.Epoch, fc.Floor, fc.Source = epoch, m.head", "fc.Epoch, fc.Floor, fc.Source = fanout.NewEpoch(), m.head"}}},
	{Name: "the past of a process begins with it", Edits: []mutant.Edit{
		{"mirror.go", "fc.Epoch, fc.Floor, fc.Source = epoch, m.head", "fc.Epoch, fc.Floor, fc.Source = epoch, 0"}}},
	{Name: "a store that went back is not noticed", Edits: []mutant.Edit{
		{"compare.go", "case replaced, was.lost, was.fell && head == was.head:", "case false:"}}},
	{Name: "a store is not looked at again", Edits: []mutant.Edit{
		{"compare.go", "if replaced || !p.known || p.epoch != epoch {", "if true {"}}},
	{Name: "new appends hide what was lost", Env: "SSE_SEEDS=3000", Edits: []mutant.Edit{
		{"compare.go", "range []place{mark, was}", "range []place{was}"}}},
	{Name: "a position that is given twice is taken", Env: "SSE_SEEDS=1500", Edits: []mutant.Edit{
		{"mirrorappend.go", "		if known && d == entry.digest {", "		if known || d != 1 {"}}},
	{Name: "memory forgets what is not stored", Edits: []mutant.Edit{
		{"mirrorappend.go", "	m.core.Keep(stored)", "	m.core.Keep(1 << 63)"}}},
	{Name: "a lost answer is lost", Edits: []mutant.Edit{
		{"mirrorappend.go", "		m.unknown++\n		m.fill()\n	} else if", "		m.unknown++\n	} else if"}}},
	{Name: "a gap waits for ever", Edits: []mutant.Edit{
		{"mirrormerge.go", "		if m.waiting = false; len(m.early) > 0 {", "		if m.waiting = false; false {"}}},
	{Name: "a gap is read at once", Edits: []mutant.Edit{
		{"mirrormerge.go", "case m.inflight == 0 && m.follower == nil:", "case true:"}}},
	{Name: "what went out without the store leaves no mark", Edits: []mutant.Edit{
		{"mirrorappend.go", "		m.missed = true\n		return true, nil", "		return true, nil"}, {"mirrorappend.go", "m.missed = m.missed || live", ""}}},
	{Name: "a backlog has no bound", Edits: []mutant.Edit{
		{"mirrorappend.go", "m.bytes > 0 && m.bytes+size > m.cfg.backlog", "false"}}},
	{Name: "a store is not flushed", Edits: []mutant.Edit{
		{"brokerstore.go", "if err = f.Flush(ctx); err != nil {", "if false {"}}},
	{Name: "a newer epoch is taken for an old one", Run: "TestStore_AClient", Edits: []mutant.Edit{
		{"meet.go", "	if m.storesEpoch(ctx) != epoch {", "	if true {"}}},
}

// coreMutants are rules of the core.
var coreMutants = []mutant.Mutant{
	{Name: "a hole is read over", Edits: []mutant.Edit{
		{"feeder.go", "			ch.end = Hole\n			return ch, nil", "			ch.upTo = rec.Position\n			continue"}}},
	{Name: "an id ahead of the process is refused", Edits: []mutant.Edit{
		{"member.go", "p > head && c.feeder == nil)", "p > head)"}}},
	{Name: "an id ahead of the store waits for ever", Edits: []mutant.Edit{
		{"feeder.go", "if err == nil && !known {", "if false && !known {"}}},
	{Name: "what left memory is lost", Edits: []mutant.Edit{
		{"feed.go", "if m.core.feeder == nil || m.closing {", "if true {"}}},
	{Name: "what memory had no room for is forgotten", Env: "SSE_SEEDS=3000", Edits: []mutant.Edit{
		{"core.go", "		default:\n			c.floors.raise(name, p)\n", "		default:\n"}}},
	{Name: "members are not told of a new epoch", Edits: []mutant.Edit{
		{"era.go", "		m.loss = loss{reason: Restarted, unknown: true}", ""}}},
	{Name: "logs outlive a hole", Edits: []mutant.Edit{
		{"insert.go", "		t.clear()\n", ""}}},
	{Name: "chunks go to everybody", Edits: []mutant.Edit{
		{"feed.go", "			if p := ch.list[of[k]].pos; p > max(s.from, m.cursor) && p <= min(upTo, s.until) {", "			if p := ch.list[of[k]].pos; p > m.cursor {"}}},
	{Name: "everybody reads alone", Run: "TestStore_Many", Edits: []mutant.Edit{
		{"feeder.go", "			if ch.covers(p) {", "			if false {"}, {"feeder.go", "	if best == nil {\n", "	if true {\n"}}},
	{Name: "a replay from the store is a lag", Run: "TestStore_ASlowReplay", Edits: []mutant.Edit{
		{"loss.go", "	case !ok && !m.armed: // it replays", "	case false: // it replays"}, {"loss.go", "	case !m.armed || m.deciding:", "	case m.deciding:"}}},
	{Name: "a chunk hides what is between it and the next", Edits: []mutant.Edit{
		{"feeder.go", "			ch.upTo = r.stop\n", ""}}},
}
