package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/goceleris/celeris/engine"
)

// kinded is an error of another package.
type kinded engine.EndKind

func (k kinded) Error() string           { return string(k) }
func (k kinded) EndKind() engine.EndKind { return engine.EndKind(k) }

func TestEnd_Kind(t *testing.T) {
	for _, row := range []struct {
		reason error
		want   engine.EndKind
	}{
		{nil, engine.EndFinished},
		{engine.ErrPeerGone, engine.EndPeerGone},
		{engine.ErrStalled, engine.EndStalled},
		{engine.ErrShutdown, engine.EndShutdown},
		{engine.ErrCut, engine.EndCut},
		{engine.ErrAbandoned, engine.EndAbandoned},
		{kinded(engine.EndPolicy), engine.EndPolicy},
		{kinded(engine.EndMaxAge), engine.EndMaxAge},
		{kinded(engine.EndClosed), engine.EndClosed},
		{kinded(engine.EndPanicked), engine.EndPanicked},
		{errors.New("logout"), engine.EndOther},
		{kinded("user 4711 left"), engine.EndOther}, // or counters would have no bound
	} {
		for _, reason := range []error{row.reason, fmt.Errorf("wrapped: %w", row.reason)} {
			if row.reason == nil {
				reason = nil
			}
			got := engine.End{Reason: reason}.Kind()
			if got != row.want || !slices.Contains(engine.EndKinds(), got) {
				t.Errorf("Kind of %v = %q, want %q", reason, got, row.want)
			}
		}
	}
	if got := (engine.End{Reason: fmt.Errorf("%w: %w", engine.ErrStalled, engine.ErrPeerGone)}).Kind(); got != engine.EndStalled {
		t.Errorf("Kind of a peer that stalled and is gone = %q, want %q", got, engine.EndStalled)
	}
}
