//go:build !unix

package testserver

import "os/exec"

func asServerUser(*exec.Cmd) {}

func giveToServerUser(string) error { return nil }
