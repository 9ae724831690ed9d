//go:build !linux

package property

import (
	"testing"

	"github.com/goceleris/celeris/engine"
)

var kinds = []engine.Kind{engine.Std}

func need(*testing.T, engine.Kind) {}
