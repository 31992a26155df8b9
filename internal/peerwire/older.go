package peerwire

import (
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

var _ cluster.Ager = Codec{}

// DecodeOlder is [Codec.Decode] of what was written for so long ago: deadlines are where they were then, and of times that
// remained, less remains.
func (c Codec) DecodeOlder(kind cluster.Kind, key string, data []byte, age time.Duration) (any, error) {
	written := c.Now().Add(-age)
	payload, err := Codec{Now: func() invitation.Time { return written }}.Decode(kind, key, data)
	if err != nil {
		return nil, err
	}
	switch p := payload.(type) {
	case *session.Input:
		p.Older(age)
	case *invitation.Message:
		p.Older(age)
	case *Delivery:
		p.Down.Notice.Older(age)
		if p.Down.Answer != nil {
			p.Down.Answer.Notice.Older(age)
		}
	case *handoff.Message:
		if p.Kind == handoff.Chunk {
			p.Age += age
		}
	case *Events:
		if p.Copy != nil {
			p.Copy.Age += age
		}
	case *ask.Request:
		p.Remaining = invitation.Older(p.Remaining, age)
	}
	return payload, nil
}
