package fleet

import (
	"encoding/binary"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
)

// The frames of a link between nodes, as far as the proxy needs to know them: what carries messages may be
// lost, doubled and reordered; hellos, answers and pings may not.
const (
	firstFrame    = 1
	envelopeFrame = 3
	lastFrame     = 5
	frameBytes    = 1<<24 - 1
)

// PeerFraming returns the framing of the links between nodes, unless they use TLS, whose records pass as they
// are.
func PeerFraming() *faultproxy.Framing {
	return &faultproxy.Framing{
		Prefix: []byte("ringpeer"), Header: 4,
		Frame: func(header []byte) (body int, loose, known bool) {
			word := binary.BigEndian.Uint32(header)
			kind := word >> 24
			return int(word & frameBytes), kind == envelopeFrame, kind >= firstFrame && kind <= lastFrame
		},
	}
}
