package native

import (
	"math"
	"testing"
	"time"
)

func TestUserTimeout_FitsTheKernel(t *testing.T) {
	for maxStall, want := range map[time.Duration]int{
		time.Minute: 65_000, 1 << 32 * time.Millisecond: math.MaxInt32, math.MaxInt64: math.MaxInt32,
	} {
		if got := userTimeout(maxStall); got != want {
			t.Errorf("MaxStall %v: %d ms, want %d", maxStall, got, want)
		}
	}
}
