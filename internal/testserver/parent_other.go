//go:build !linux

package testserver

import "os/exec"

// dieWithParent can't be had here: a test's process that is killed leaves its servers.
func dieWithParent(*exec.Cmd) {}
