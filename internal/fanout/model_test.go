package fanout

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

var quiet = slog.New(slog.DiscardHandler)

// fault is a way in which a driver breaks the rules, for the oracle to find.
type fault string

const (
	faultNone           fault = ""
	faultSkip           fault = "skips an event"
	faultRepeat         fault = "repeats an event"
	faultSwap           fault = "swaps two events"
	faultEatByte        fault = "eats a byte"
	faultPrivateFirst   fault = "sends private frames first"
	faultLosePrivate    fault = "loses a private frame"
	faultAlwaysResync   fault = "resyncs for nothing"
	faultSilentLoss     fault = "drops the notice"
	faultWrongCount     fault = "miscounts the loss"
	faultStaleNotice    fault = "gives the notice an old position"
	faultAfterRemove    fault = "carries on after its removal"
	faultNoPreamble     fault = "opens without a position"
	faultNoFarewell     fault = "loses the farewell"
	faultBlindHeartbeat fault = "tells the head while something is due"
	faultStuckBlocked   fault = "says refused when it is not"
	faultLoseWake       fault = "sleeps through a wake"
)

var faults = []fault{
	faultSkip, faultRepeat, faultSwap, faultEatByte, faultPrivateFirst, faultLosePrivate, faultAlwaysResync,
	faultSilentLoss, faultWrongCount, faultStaleNotice, faultAfterRemove, faultNoPreamble, faultNoFarewell,
	faultBlindHeartbeat, faultStuckBlocked, faultLoseWake,
}

// now reports whether the fault is to happen.
func (f fault) now(which fault, w *world) bool { return f == which && w.dice.IntN(4) == 0 }

// spoil returns what the wire gets to see of the frames that the core handed out.
func (f fault) spoil(c *conn, frames [][]byte) [][]byte {
	w := c.w
	if f == faultNone || w.dice.IntN(4) > 0 {
		return frames
	}
	frames = slices.Clone(frames)
	kind := func(frame []byte) block {
		b, _ := parseBlock(string(bytes.TrimSuffix(frame, []byte("\n\n"))))
		return b
	}
	first := func(k string) int {
		return slices.IndexFunc(frames, func(frame []byte) bool { return kind(frame).kind == k })
	}
	e, p, notice := first(kindEvent), first(kindPrivate), first(kindResync)
	switch {
	case f == faultSkip && e >= 0:
		frames = slices.Delete(frames, e, e+1)
	case f == faultRepeat && e >= 0:
		frames = slices.Insert(frames, e, frames[e])
	case f == faultSwap && e >= 0 && e+1 < len(frames):
		frames[e], frames[e+1] = frames[e+1], frames[e]
	case f == faultEatByte && e >= 0:
		frames[e] = slices.Delete(slices.Clone(frames[e]), 3, 4)
	case f == faultPrivateFirst && p > 0:
		frames = append([][]byte{frames[p]}, slices.Delete(frames, p, p+1)...)
	case f == faultLosePrivate && p >= 0:
		frames = slices.Delete(frames, p, p+1)
	case f == faultAlwaysResync && !c.removed && len(frames) == 0:
		n := Notice{Reason: Lagged, Epoch: w.core.Epoch(), Position: c.at, Stamped: true}
		frames = [][]byte{textFraming{}.AppendNotice(nil, n)}
	case f == faultSilentLoss && notice >= 0:
		frames = slices.Delete(frames, notice, notice+1)
	case f == faultWrongCount && notice >= 0:
		if b := kind(frames[notice]); b.n > 0 {
			frames[notice] = textFraming{}.AppendNotice(nil, Notice{Reason: b.reason, Dropped: b.n + 1, Epoch: b.epoch, Position: b.pos, Stamped: b.id != ""})
		}
	case f == faultStaleNotice && notice >= 0:
		if b := kind(frames[notice]); b.id != "" {
			frames[notice] = textFraming{}.AppendNotice(nil, Notice{Reason: b.reason, Dropped: b.n, Epoch: b.epoch, Position: c.at, Stamped: true})
		}
	case f == faultAfterRemove && c.removed:
		frames = append(frames, textFraming{}.AppendPosition(nil, w.core.Epoch(), w.core.Head()))
	case f == faultNoFarewell && first(kindBye) >= 0:
		frames = frames[:first(kindBye)]
	}
	return frames
}

// play runs one schedule in a bubble of its own and returns what the oracle objects to.
func play(t *testing.T, seed uint64, f fault, steps int, trace bool) (w *world) {
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, f, steps)
		w.trace = trace
		w.run()
	})
	return w
}

func envInt(name string, other int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return other
}

const schedule = 250 // steps

// TestModel plays random schedules against the core. FANOUT_SEEDS says how many, FANOUT_SEED plays one and
// prints what happened.
func TestModel(t *testing.T) {
	if seed := envInt("FANOUT_SEED", -1); seed >= 0 {
		w := play(t, uint64(seed), faultNone, schedule, true)
		t.Log(strings.Join(w.lines, "\n"))
		if w.err != "" {
			t.Error(w.err)
		}
		return
	}
	seeds := 1500
	if testing.Short() || raceEnabled {
		seeds = 200
	}
	seeds = envInt("FANOUT_SEEDS", seeds)
	bad, events, delivered := 0, 0, 0
	for seed := range seeds {
		w := play(t, uint64(seed), faultNone, schedule, false)
		events, delivered = events+len(w.events), delivered+w.delivered
		if w.err == "" {
			continue
		}
		t.Errorf("seed %d: %s\n\trun it again: FANOUT_SEED=%d go test -run 'TestModel$' -v ./internal/fanout", seed, w.err, seed)
		if bad++; bad == 10 {
			t.Fatal("and so on")
		}
	}
	t.Logf("%d schedules, %d events published, %d seen", seeds, events, delivered)
}

// TestModel_CatchesFaults shows that the oracle sees every broken driver.
func TestModel_CatchesFaults(t *testing.T) {
	const most = 400
	for _, f := range faults {
		t.Run(strings.ReplaceAll(string(f), " ", "_"), func(t *testing.T) {
			for seed := range uint64(most) {
				if w := play(t, seed, f, schedule, false); w.err != "" {
					t.Logf("seed %d: %s", seed, w.err)
					return
				}
			}
			t.Errorf("a driver that %s went unnoticed in %d schedules", f, most)
		})
	}
}
