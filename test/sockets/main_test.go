package sockets

import (
	"testing"

	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
