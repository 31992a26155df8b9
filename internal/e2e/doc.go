// Package e2e holds the tests of whole calls: real WebSockets against a real node, as an embedder
// starts it. It has no code of its own.
//
// Most tests run in bubbles of fake time over pipes of this process, so that the timers of the
// contract are tested at their real length and exactly. What the kernel has a part in (a reader that
// stops, connections that are abandoned) runs over loopback.
//
// Where a client of the SDK would behave too well, a device of the tests' own speaks the protocol and
// keeps silent when told to.
package e2e
