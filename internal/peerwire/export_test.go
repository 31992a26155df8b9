package peerwire

import "github.com/ringfleet/ringfleet/cluster"

// Generated is Append by the generated code.
func (c Codec) Generated(buf []byte, kind cluster.Kind, payload any) ([]byte, error) {
	return c.generated(buf, kind, payload)
}

// Parse is Decode by the generated code.
func (c Codec) Parse(kind cluster.Kind, data []byte) (any, error) { return c.parse(kind, data) }

// Ours reports whether a payload is written, and data is read, without the generated code.
func (c Codec) Ours(kind cluster.Kind, payload any, data []byte) (writes, reads bool) {
	w, r := writer{now: c.Now()}, newReader(data, c.Now())
	_, reads = r.read(kind)
	return w.payload(kind, payload), reads
}
