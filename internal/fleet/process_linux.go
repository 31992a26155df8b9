package fleet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes make a process end with this one, and keep the signals of the terminal from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// onProcessor calls start, on a thread of its own, with what it starts bound to one processor, from 1 on; 0: to none.
func onProcessor(cpu int, start func() error) error {
	if cpu == 0 {
		return start()
	}
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	one.Set(cpu - 1)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	return errors.Join(start(), os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// canTell reports why owner cannot know.
func canTell() error {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		return fmt.Errorf("fleet: the proxy needs /proc to know who connects: %w", err)
	}
	return nil
}

// socketOf returns the inode of a TCP socket, given its two ends. The error says that it is not there.
func socketOf(local, remote netip.AddrPort) (string, error) {
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	defer table.Close()
	ends := inTable(local) + " " + inTable(remote) + " "
	for s := bufio.NewScanner(table); s.Scan(); {
		if _, rest, ok := strings.Cut(s.Text(), ends); ok {
			// st, the queues, the timer, retransmissions, uid, timeout, inode
			if fields := strings.Fields(rest); len(fields) > 6 {
				return fields[6], nil
			}
		}
	}
	return "", errors.New("fleet: no such socket")
}

// inTable writes an address as the kernel's table does: an IPv4 address as a number of this machine, and the port.
func inTable(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	if !ip.Is4() {
		return "-" // is in no line
	}
	four := ip.As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(four[:]), a.Port())
}

// has reports whether a process has a socket.
func has(pid int, inode string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	open, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer open.Close()
	names, err := open.Readdirnames(-1)
	if err != nil {
		return false
	}
	want := "socket:[" + inode + "]"
	for _, name := range names {
		if link, err := os.Readlink(dir + "/" + name); err == nil && link == want {
			return true
		}
	}
	return false
}

// standsStill reports whether a process is stopped.
func standsStill(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	at := strings.LastIndex(string(stat), ") ") // the end of its name
	return err != nil || at >= 0 && at+2 < len(stat) && stat[at+2] == 'T'
}
