//go:build !linux

package gateway

import (
	"errors"
	"net"
)

// A poller does not exist here: every connection has a goroutine that reads.
type poller struct{}

var errNoPoller = errors.New("gateway: no poller on this system")

func newPoller(*Gateway) (*poller, error) { return nil, errNoPoller }

func (*poller) adopt(*conn, net.Conn) bool             { return false }
func (*poller) watch(*conn) bool                       { return false }
func (*poller) read(int32, []byte) (int, bool, error)  { return 0, false, errNoPoller }
func (*poller) probe() bool                            { return false }
func (*poller) stop()                                  {}
func (*poller) hangUp(int32)                           {}
func (*poller) close(int32)                            {}
func (*poller) write(int32, []byte) (int, bool, error) { return 0, false, errNoPoller }
