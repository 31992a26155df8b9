// Package faultproxy is a network between processes on one machine that can be broken: a proxy in user space
// for TCP and UDP, which needs neither root nor a firewall.
//
// # Usage
//
// Each node listens where nobody is told, and tells the others the address of a door of the proxy instead,
// which [Proxy.Open] made for it. So whatever reaches a node has come through the proxy, and [Proxy.Set] says
// what becomes of it, for each pair of nodes and each direction apart: a cut in one direction only is one
// call. Rules may change at any time, and bind what is under way.
//
// # Who has sent it
//
// A door has one address for all, so the proxy must find out who sends. A datagram comes from the socket
// behind one of its own doors, as a node of memberlist sends from the socket on which it receives; that is its
// sender. A TCP connection comes from any port; [Config].Who is asked for its sender (package fleet looks for the
// process that has the socket). Who is unknown is "", for which there may be rules, too.
//
// A datagram is passed on from the door of its sender, so that an answer to where it came from goes through
// the proxy again.
//
// # What is like a real network, and what is not
//
// A cut is silent: datagrams vanish, streams stand still, connections are not closed, and no end of one passes
// either. When the cut ends, streams go on where they stood, as repeated segments would, if both ends still
// have them. A new connection is accepted during a cut, which a real one would not be, but nothing comes
// back on it; if its maker gives up during the cut, nobody learns of it. [Rule].Reset is the other way that
// connections die.
//
// A stream loses nothing in its middle. Where its [Framing] is known, whole frames can be lost, doubled and
// reordered instead; what the framing does not know, such as TLS, passes as it is.
//
// Everything that waits is bounded: what does not fit of datagrams is dropped, streams are read no further.
package faultproxy
