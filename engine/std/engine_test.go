package std_test

import (
	"testing"

	"github.com/goceleris/celeris/engine/enginetest"
)

func TestEngine(t *testing.T) { enginetest.Run(t, enginetest.Portable) }

func TestModel(t *testing.T) {
	schedules := 300
	if raceEnabled || testing.Short() {
		schedules = 50
	}
	enginetest.Model(t, enginetest.Portable, schedules)
}
