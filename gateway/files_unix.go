//go:build unix

package gateway

import "syscall"

const (
	reservedFiles   = 512 // for listeners, other nodes, logs and what the embedding program opens
	mostConnections = 1_000_000
)

// defaultConnections returns how many sockets the limit of open files leaves room for.
func defaultConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1_024 - reservedFiles
	}
	return int(max(min(limit.Cur, mostConnections+reservedFiles), reservedFiles+64)) - reservedFiles
}
