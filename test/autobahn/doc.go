// Autobahn has the fuzzing client of the Autobahn|Testsuite try the WebSocket server: an echo server on a loopback port,
// on each engine, without and with compression.
//
// It needs "wstest" in the path, or Docker with the image crossbario/autobahn-testsuite; without either it says so and
// succeeds. All cases have to end as OK, NON-STRICT or INFORMATIONAL. The reports stay in the directory that it names.
//
// The suite of test/spec/websocket covers the same ground and needs neither.
package main
