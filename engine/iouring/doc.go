// Package iouring is the engine of package epoll with sends in batches: one system call for up to 32 connections, which
// saves the way back to the program after each of them. It needs a Linux that has io_uring and allows it.
//
// Every send is made with MSG_DONTWAIT, so that its completion is there when the call returns: nothing is ever under way
// that refers to a log, and a short send is seen by its count. No completion is suppressed, since a suppressed one hides
// short sends; no flag ties the ring to a thread; and nothing polls in the kernel, which on few processors takes time from
// those who send.
package iouring
