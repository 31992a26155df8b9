//go:build !linux

package rawio

import "net"

// Conn returns c as it is: on this system the package does nothing.
func Conn(c net.Conn) net.Conn { return c }
