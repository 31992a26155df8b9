package rawio

// Writer is a connection that can be written to without waiting. What [Conn] returns is one where it can be.
type Writer interface {
	// TryWrite writes as much of b as the socket takes at once, and returns how much that was. The error is that of
	// a broken connection.
	TryWrite(b []byte) (int, error)
}
