module github.com/goceleris/celeris/test/interop

go 1.26.0

toolchain go1.26.8

replace github.com/goceleris/celeris => ../..

require (
	github.com/goceleris/celeris v0.0.0
	github.com/r3labs/sse/v2 v2.10.0
	github.com/tmaxmax/go-sse v0.12.0
)

require (
	github.com/goccy/go-json v0.12.0 // indirect
	golang.org/x/net v0.0.0-20191116160921-f9c825593386 // indirect
	golang.org/x/sys v0.48.0 // indirect
	gopkg.in/cenkalti/backoff.v1 v1.1.0 // indirect
)
