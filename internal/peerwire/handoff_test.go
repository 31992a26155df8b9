package peerwire_test

import (
	"errors"
	"testing"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// TestHandoffRefuses: sets of shards have one size, and chunks a largest.
func TestHandoffRefuses(t *testing.T) {
	for name, m := range map[string]*peerpb.Handoff{
		"few shards":  {Message: &peerpb.Handoff_Claim{Claim: &peerpb.HandoffClaim{Id: 1, Shards: make([]byte, 511)}}},
		"many shards": {Message: &peerpb.Handoff_Offer{Offer: &peerpb.HandoffOffer{Shards: make([]byte, 520)}}},
		"later":       {Message: &peerpb.Handoff_Grant{Grant: &peerpb.HandoffGrant{Id: 1, Later: []byte{1}}}},
		"given":       {Message: &peerpb.Handoff_Grant{Grant: &peerpb.HandoffGrant{Id: 1, Given: []byte{1}}}},
		"lost":        {Message: &peerpb.Handoff_Lost{Lost: &peerpb.HandoffLost{Id: 1, Shards: []byte{1}}}},
		"chunk":       {Message: &peerpb.Handoff_Chunk{Chunk: &peerpb.HandoffChunk{Id: 1, Data: make([]byte, 4<<20+1)}}},
	} {
		if got, err := codecAt(now).Decode(peerwire.KindHandoff, "", marshal(t, m)); !errors.Is(err, peerwire.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := codecAt(now).Decode(peerwire.KindHandoff, "", nil); !errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := codecAt(now).Append(nil, peerwire.KindHandoff, &handoff.Message{}); err == nil {
		t.Error("a message of no kind is encoded")
	}
}
