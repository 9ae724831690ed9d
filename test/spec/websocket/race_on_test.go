//go:build race

package wsspec_test

// racing says that the race detector makes everything five times as long.
const racing = true
