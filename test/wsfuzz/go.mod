module github.com/goceleris/celeris/test/wsfuzz

go 1.26.0

toolchain go1.26.8

replace github.com/goceleris/celeris => ../..

require (
	github.com/coder/websocket v1.8.15
	github.com/goceleris/celeris v0.0.0
	github.com/gorilla/websocket v1.5.3
)

require github.com/klauspost/compress v1.20.4 // indirect
