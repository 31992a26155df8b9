//go:build !linux

package fleet

import (
	"errors"
	"net/netip"
	"syscall"
)

// attributes keep the signals of the terminal from a process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// onProcessor calls start.
func onProcessor(_ int, start func() error) error { return start() }

// canTell reports why owner cannot know.
func canTell() error {
	return errors.New("fleet: the proxy must know which process has a socket, and can on Linux only")
}

func socketOf(_, _ netip.AddrPort) (string, error) { return "", canTell() }

func has(int, string) bool { return false }

// standsStill reports whether a process is stopped, which only Linux tells.
func standsStill(int) bool { return true }
