package storetest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// recorder is a testing.TB that notes failures instead of having them.
type recorder struct {
	testing.TB

	mu     sync.Mutex // guards failed
	failed []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// judge runs a check on a store, in a bubble's time, and returns its objections.
func judge(t *testing.T, name string, kv func() store.KV) []string {
	t.Helper()
	var objections []string
	for _, c := range checks {
		if c.name != name {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.run(&test{r, 10 * time.Second}, kv())
			}()
			<-done
			objections = r.failed
		})
		return objections
	}
	t.Fatalf("no check is named %q", name)
	return nil
}

func TestChecks_AcceptTheToyWithoutFault(t *testing.T) {
	for _, c := range checks {
		if failed := judge(t, c.name, func() store.KV { return newToy("") }); failed != nil {
			t.Errorf("%s: %q", c.name, failed)
		}
	}
}

// Each fault is caught by the check that is about it.
func TestChecks_CatchFaults(t *testing.T) {
	for _, m := range []struct{ fault, check string }{
		{"what isn't there has an error of its own", "Values"},
		{"deleting nothing is an error", "Values"},
		{"empty values are none", "EmptyValues"},
		{"keys are case-insensitive", "BinaryKeys"},
		{"keys end at NUL", "BinaryKeys"},
		{"keys are trimmed", "BinaryKeys"},
		{"keys are cut", "BinaryKeys"},
		{"keys are made UTF-8", "BinaryKeys"},
		{"values are made UTF-8", "BinaryValues"},
		{"values are cut", "LargeValues"},
		{"large values have an error of their own", "LargeValues"},
		{"what is too large removes the value", "LargeValues"},
		{"the empty key is one", "InvalidKeys"},
		{"long keys have an error of their own", "InvalidKeys"},
		{"values are kept", "Ownership"},
		{"values are shared", "Ownership"},
		{"MGet shares the values of a key", "Ownership"},
		{"Get ignores its context", "Contexts"},
		{"Set ignores its context", "Contexts"},
		{"Delete ignores its context", "Contexts"},
		{"Increment ignores its context", "Contexts"},
		{"SetNX ignores its context", "Contexts"},
		{"GetAndDelete ignores its context", "Contexts"},
		{"MGet ignores its context", "Contexts"},
		{"Scan ignores its context", "Contexts"},
		{"DeletePrefix ignores its context", "Contexts"},
		{"cancellation has an error of its own", "Contexts"},
		{"ttls are ignored", "TTL"},
		{"ttls are cut to seconds", "TTL"},
		{"no ttl keeps the old one", "TTLReplaced"},
		{"the first ttl stays", "TTLReplaced"},
		{"ttls of a month are moments", "TTLEdges"},
		{"ttls are whole milliseconds", "TTLEdges"},
		{"ttls have 32 bits", "TTLEdges"},
		{"ttls overflow", "TTLEdges"},
		{"negative ttls are none", "TTLEdges"},
		{"values are torn", "Concurrency"},
		{"numbers are binary", "Increment"},
		{"numbers are floats", "Increment"},
		{"increments wrap", "IncrementNoNumber"},
		{"what is no number is zero", "IncrementNoNumber"},
		{"numbers may be written anyhow", "IncrementNoNumber"},
		{"no number has an error of its own", "IncrementNoNumber"},
		{"a failed increment sets the ttl", "IncrementNoNumber"},
		{"increments are not atomic", "IncrementConcurrently"},
		{"increments have no ttl", "IncrementTTL"},
		{"increments keep the ttl", "IncrementTTL"},
		{"increments count on what has expired", "IncrementTTL"},
		{"SetNX replaces what is there", "SetNX"},
		{"SetNX is not atomic", "SetNXConcurrently"},
		{"SetNX has no ttl", "SetNXTTL"},
		{"SetNX sees what has expired", "SetNXTTL"},
		{"SetNX sets the ttl of what is there", "SetNXTTL"},
		{"GetAndDelete removes nothing", "GetAndDelete"},
		{"GetAndDelete of nothing is nil", "GetAndDelete"},
		{"GetAndDelete sees what has expired", "GetAndDelete"},
		{"GetAndDelete is not atomic", "GetAndDeleteConcurrently"},
		{"MGet answers in order of keys", "MGet"},
		{"MGet leaves out what isn't there", "MGet"},
		{"MGet has empty for what isn't there", "MGet"},
		{"MGet has nil for what is empty", "MGet"},
		{"MGet sees what has expired", "MGet"},
		{"Scan lists what has expired", "Scan"},
		{"Scan has one page", "Scan"},
		{"Scan repeats where it goes on", "Scan"},
		{"prefixes are patterns", "ScanPrefixes"},
		{"prefixes end at ranges", "ScanPrefixes"},
		{"prefixes may be anywhere", "ScanPrefixes"},
		{"the prefix itself has no key", "ScanPrefixes"},
		{"the empty prefix is none", "ScanPrefixes"},
		{"Scan ends without its error", "ScanEnds"},
		{"Scan goes on after an error", "ScanEnds"},
		{"Scan goes on by number", "ScanWhileWriting"},
		{"prefixes are patterns", "DeletePrefix"},
		{"prefixes end at ranges", "DeletePrefix"},
		{"the prefix itself has no key", "DeletePrefix"},
		{"the empty prefix is none", "DeletePrefix"},
		{"DeletePrefix has one page", "DeletePrefixOfMany"},
	} {
		t.Run(strings.ReplaceAll(m.fault, " ", "_")+"/"+m.check, func(t *testing.T) {
			for range 20 { // where others interfere it takes luck
				if failed := judge(t, m.check, func() store.KV { return newToy(m.fault) }); failed != nil {
					t.Logf("%.300s", failed[0])
					return
				}
			}
			t.Error("went unnoticed")
		})
	}
}

func TestRun_CatchesLostAndGainedAbilities(t *testing.T) {
	for _, tt := range []struct {
		kv   store.KV
		want store.Abilities
		ok   bool
	}{
		{newToy(""), store.AllAbilities, true},
		{newToy(""), store.AllAbilities &^ store.CanScan, false},
		{struct{ store.KV }{newToy("")}, 0, true},
		{struct{ store.KV }{newToy("")}, store.CanMGet, false},
	} {
		r := &recorder{TB: t}
		abilities(r, tt.kv, tt.want)
		if (r.failed == nil) != tt.ok {
			t.Errorf("a store with %v, where %v is expected: %q", store.AbilitiesOf(tt.kv), tt.want, r.failed)
		}
	}
}

// hanging is a store whose server doesn't answer for an hour. With the fault, it doesn't listen to contexts.
type hanging struct {
	store.KV
	fault bool
}

func (s hanging) Get(ctx context.Context, key string) ([]byte, error) {
	if s.fault {
		time.Sleep(time.Hour)
		return nil, store.ErrNotFound
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s hanging) Set(ctx context.Context, key string, _ []byte, _ time.Duration) error {
	_, err := s.Get(ctx, key)
	return err
}

func (s hanging) Delete(ctx context.Context, key string) error { return s.Set(ctx, key, nil, 0) }

func TestPaused_CatchesWhoWaits(t *testing.T) {
	for _, fault := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{TB: t}
			Paused(r, hanging{fault: fault})
			if want := map[bool]int{false: 0, true: 6}[fault]; len(r.failed) != want {
				t.Errorf("fault %v: %d objections, want %d: %q", fault, len(r.failed), want, r.failed)
			}
		})
	}
}
