// Package gotest is what the build targets know about testing this repository: which modules it has
// ([Modules]), what its tests need besides Go ([Prepare]), and what go test reported ([Report]).
//
// Nothing that is shipped imports it.
package gotest
