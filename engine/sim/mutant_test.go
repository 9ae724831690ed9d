package sim_test

import (
	"testing"

	"github.com/goceleris/celeris/internal/mutant"
)

// TestMutants shows that the tests see every rule of package shard.
func TestMutants(t *testing.T) {
	suite := mutant.Suite{
		Switch: "ENGINE_MUTANTS", Dir: "../internal/shard", Run: "TestModel$", Env: "ENGINE_SCHEDULES=400", Timeout: "30s",
		MayHang: true, Mutants: mutants,
	}
	suite.Test(t)
}

// mutants are rules of package shard, switched off one at a time.
var mutants = []mutant.Mutant{
	{Name: "forgets to arm", Edits: []mutant.Edit{
		{"stream.go", "\ts.conn.Arm()\n", ""}}},
	{Name: "sends past a boundary", Edits: []mutant.Edit{
		{"shard.go", "st.rest, idle = st.member.Commit(p, op.N)", "_, idle = st.member.Commit(p, op.N)"}}},
	{Name: "eats a byte of the rest", Edits: []mutant.Edit{
		{"shard.go", "st.rest = st.rest[op.N:]", "st.rest = st.rest[min(op.N+1, len(st.rest)):]"}}},
	{Name: "passes an id over a hole", Edits: []mutant.Edit{
		{"shard.go", "st.member.Commit(p, op.N)", "st.member.Commit(p, p.Size)"}}},
	{Name: "beats within an event", Edits: []mutant.Edit{
		{"stream.go", "case s.full:\n\t\tif queued", "case s.full && now.sub(s.sent) < s.pace.Heartbeat:\n\t\tif queued"},
		{"stream.go", "s.pace.Heartbeat && len(s.rest) == 0 && !s.finished:", "s.pace.Heartbeat:"}}},
	{Name: "beats while data flows", Run: "TestEngine/NoHeartbeatWhileDataFlows", Edits: []mutant.Edit{
		{"shard.go", "st.sent, st.moved = now, now", "st.moved = now"}}},
	{Name: "beats without a position", Edits: []mutant.Edit{
		{"stream.go", "s.rest = s.member.Heartbeat(); s.rest == nil", "s.rest = nil; true"}}},
	{Name: "ends twice", Edits: []mutant.Edit{
		{"shard.go", "if st.state == closed || st.state != streaming && !st.cut.Load() {", "if st.state == lingering && !st.cut.Load() {"}}},
	{Name: "refused for ever", Edits: []mutant.Edit{
		{"stream.go", "\t\ts.refused = false\n", ""}}},
	{Name: "says refused when it is not", Run: "TestEngine", Edits: []mutant.Edit{
		{"stream.go", "\t\ts.member.Blocked(0)\n", ""}}},
	{Name: "does not say that it is refused", Run: "TestEngine/Policy", Edits: []mutant.Edit{
		{"stream.go", "\t\ts.member.Refused(s.shard.at(now).UnixNano())\n", ""}}},
	{Name: "hangs its timer once", Run: "TestEngine/HeartbeatsInSilence", Edits: []mutant.Edit{
		{"stream.go", "\t\ts.shard.ready(s)\n\t}\n\ts.shard.wheel.hang(&s.timer, s.next(now))", "\t\ts.shard.ready(s)\n\t}"}}},
	{Name: "beats late after a refusal", Run: "TestEngine/HeartbeatsInSilence", Edits: []mutant.Edit{
		{"stream.go", "min(s.pace.MaxStall/4, s.pace.Heartbeat)", "s.pace.MaxStall / 4"}}},
	{Name: "hangs no timer when refused", Run: "TestEngine/MaxStall", Edits: []mutant.Edit{
		{"stream.go", "s.conn.Arm()\n\ts.shard.wheel.hang(&s.timer, s.next(now))", "s.conn.Arm()"}}},
	{Name: "never stalls", Run: "TestEngine/MaxStall", Edits: []mutant.Edit{
		{"stream.go", "now.sub(s.moved) >= s.pace.MaxStall {", "false {"}}},
	{Name: "stalls though it moves", Run: "TestEngine/MaxStall", Edits: []mutant.Edit{
		{"shard.go", "st.sent, st.moved = now, now", "st.sent = now"},
		{"stream.go", "if !s.full || queued < s.waiting {", "if s.moved == 0 {"},
		{"stream.go", "s.full, s.waiting = true, queued", "_ = queued\n\ts.full, s.waiting = true, 0"}}},
	{Name: "does not age", Run: "TestEngine/MaxAge", Edits: []mutant.Edit{
		{"stream.go", "\t\ts.owner.OnAge()\n", ""}}},
	{Name: "does not linger", Run: "TestEngine/LingerIsBounded", Edits: []mutant.Edit{
		{"stream.go", "s.shard.wheel.hang(&s.timer, s.moved)\n\ts.drain(now)", "s.close()"}}},
	{Name: "lingers for ever", Run: "TestEngine/LingerIsBounded", Edits: []mutant.Edit{
		{"stream.go", "s.conn.CloseWrite()\n\ts.shard.wheel.hang(&s.timer, s.moved)\n", "s.conn.CloseWrite()\n\ts.shard.wheel.drop(&s.timer)\n"}}},
	{Name: "forgets to count down", Edits: []mutant.Edit{
		{"stream.go", "\ts.shard.live.Add(-1)\n", ""}}},
	{Name: "ignores what the peer says", Run: "TestEngine/.*(Departure|Stray)", Edits: []mutant.Edit{
		{"stream.go", "case !over && s.read <= lingerBytes:", "case !over || s.read <= lingerBytes:"}}},
	{Name: "reads without a limit", Run: "TestEngine/StrayBytes", Edits: []mutant.Edit{
		{"stream.go", "s.read += int32(n)", "s.read = int32(n)"}}},
	{Name: "loses the farewell", Edits: []mutant.Edit{
		{"shard.go", "\t\tst.finish(now)\n\t\treturn\n\t} else if", "\t\tst.end(nil)\n\t\treturn\n\t} else if"},
		{"shard.go", "if len(st.rest) > 0 {\n\t\tp.Bufs, p.Size =", "if len(st.rest) > 0 && !st.finished {\n\t\tp.Bufs, p.Size ="}}},
	{Name: "cuts when it comes round to it", Run: "TestEngine/CutIsAtOnce", Edits: []mutant.Edit{
		{"shard.go", "if st.cut.Load() {\n\t\tst.end", "if st.cut.Load() && !st.refused {\n\t\tst.end"}}},
	{Name: "looks once for each wake", Edits: []mutant.Edit{
		{"shard.go", "\t\t\ts.ready(st) // until", "\t\t\t// until"}}},
	{Name: "drops what was not taken", Run: "TestEngine/PauseHolds", Edits: []mutant.Edit{
		{"inbound.go", "in.rest = bytes.Clone(p[k:])", "_ = bytes.Clone(p[k:])"}}},
	{Name: "never pauses", Run: "TestEngine/PauseHolds", Edits: []mutant.Edit{
		{"inbound.go", "if in.paused = !in.resumed.Swap(false);", "if in.paused = false;"}}},
	{Name: "loses a resume that comes first", Run: "TestEngine/ResumeMayComeFirst", Edits: []mutant.Edit{
		{"inbound.go", "if in.paused = !in.resumed.Swap(false);", "in.resumed.Store(false)\n\t\t\tif in.paused = true;"}}},
	{Name: "takes no turns", Run: "TestEngine/InboundTakesTurns", Edits: []mutant.Edit{
		{"inbound.go", "for n := 0; n < turn;", "for n := 0; n < 1<<30;"}}},
	{Name: "forgets what came early", Run: "TestEngine/InboundIsHeard", Edits: []mutant.Edit{
		{"shard.go", "rest: cfg.Early}", "rest: nil}"}}},
	{Name: "takes an end behind the last word for a departure", Run: "TestEngine/EnoughIsNo", Edits: []mutant.Edit{
		{"stream.go", "case over && s.state == streaming && s.in != nil:", "case false:"}}},
	{Name: "does not wait for the peer's farewell", Run: "TestEngine/PartingWaits", Edits: []mutant.Edit{
		{"stream.go", "if s.in == nil || s.in.enough || s.in.sated.Load() || s.pace.Parting <= 0 {", "if true {"}}},
	{Name: "waits for its owner's for ever", Run: "TestEngine/FarewellIsDue", Edits: []mutant.Edit{
		{"inbound.go", "if now >= in.until {", "if false {"}}},
	{Name: "blames a peer that it does not listen to", Run: "TestEngine/SilentPeer", Edits: []mutant.Edit{
		{"inbound.go", "in.asked > 0 && !in.paused &&", "in.asked > 0 &&"}}},
	{Name: "asks who talks", Run: "TestEngine/SilentPeer", Edits: []mutant.Edit{
		{"inbound.go", "in.heard, in.asked = now, 0\n\t\t\ts.shard", "in.asked = 0\n\t\t\ts.shard"}}},
	{Name: "says it amid a frame", Run: "TestEngine/Sayings", Edits: []mutant.Edit{
		{"inbound.go", "if len(s.rest) > 0 || s.finished ||", "if s.finished ||"}}},
	{Name: "forgets those that are just coming when it closes", Run: "TestEngine/CloseEndsWhatIsLeft", Edits: []mutant.Edit{
		{"shard.go", "\tif ended {\n", "\tif ended && false {\n"}}},
}
