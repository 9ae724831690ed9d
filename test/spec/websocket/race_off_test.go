//go:build !race

package wsspec_test

const racing = false
