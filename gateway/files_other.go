//go:build !unix

package gateway

// defaultConnections is what a system without a limit of open files is trusted to carry.
func defaultConnections() int { return 16_384 }
