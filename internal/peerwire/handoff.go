package peerwire

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// maxHolders bounds the members that a grant names.
const maxHolders = 1_024

// maxChunk bounds a piece of a stream of records, in bytes.
const maxChunk = 4 << 20

func handoffMessage(m *handoff.Message) (*peerpb.Handoff, error) {
	h := new(peerpb.Handoff)
	switch m.Kind {
	case handoff.Claim:
		h.Message = &peerpb.Handoff_Claim{Claim: &peerpb.HandoffClaim{Id: m.ID, Shards: shardBytes(&m.Shards)}}
	case handoff.Grant:
		h.Message = &peerpb.Handoff_Grant{Grant: &peerpb.HandoffGrant{Id: m.ID, Chunks: m.Chunks, Later: shardBytes(&m.Shards), Given: shardBytes(&m.Given), Holders: m.Holders}}
	case handoff.Pull:
		h.Message = &peerpb.Handoff_Pull{Pull: &peerpb.HandoffPull{Id: m.ID, Chunk: m.Chunk}}
	case handoff.Chunk:
		h.Message = &peerpb.Handoff_Chunk{Chunk: &peerpb.HandoffChunk{Id: m.ID, Chunk: m.Chunk, Data: m.Data, AgeUs: uint64(max(m.Age, 0) / time.Microsecond)}}
	case handoff.Done:
		h.Message = &peerpb.Handoff_Done{Done: &peerpb.HandoffDone{Id: m.ID}}
	case handoff.Offer:
		h.Message = &peerpb.Handoff_Offer{Offer: &peerpb.HandoffOffer{Shards: shardBytes(&m.Shards)}}
	case handoff.Lost:
		h.Message = &peerpb.Handoff_Lost{Lost: &peerpb.HandoffLost{Id: m.ID, Shards: shardBytes(&m.Shards)}}
	case handoff.Heard:
		h.Message = &peerpb.Handoff_Heard{Heard: &peerpb.HandoffHeard{Id: m.ID}}
	default:
		return nil, errors.New("a handoff message of no kind")
	}
	return h, nil
}

func handoffOf(p *peerpb.Handoff) (*handoff.Message, error) {
	m := new(handoff.Message)
	var err error
	switch p := p.GetMessage().(type) {
	case *peerpb.Handoff_Claim:
		m.Kind, m.ID = handoff.Claim, p.Claim.GetId()
		err = setShards(&m.Shards, p.Claim.GetShards())
	case *peerpb.Handoff_Grant:
		m.Kind, m.ID, m.Chunks, m.Holders = handoff.Grant, p.Grant.GetId(), p.Grant.GetChunks(), p.Grant.GetHolders()
		if len(m.Holders) > maxHolders {
			return nil, malformed("a grant that names %d holders", len(m.Holders))
		}
		err = errors.Join(setShards(&m.Shards, p.Grant.GetLater()), setShards(&m.Given, p.Grant.GetGiven()))
	case *peerpb.Handoff_Pull:
		m.Kind, m.ID, m.Chunk = handoff.Pull, p.Pull.GetId(), p.Pull.GetChunk()
	case *peerpb.Handoff_Chunk:
		m.Kind, m.ID, m.Chunk, m.Data = handoff.Chunk, p.Chunk.GetId(), p.Chunk.GetChunk(), p.Chunk.GetData()
		m.Age, err = duration(int64(min(p.Chunk.GetAgeUs(), uint64(maxDuration/time.Microsecond))))
		if len(m.Data) > maxChunk {
			err = malformed("a chunk of %d bytes", len(m.Data))
		}
	case *peerpb.Handoff_Done:
		m.Kind, m.ID = handoff.Done, p.Done.GetId()
	case *peerpb.Handoff_Offer:
		m.Kind = handoff.Offer
		err = setShards(&m.Shards, p.Offer.GetShards())
	case *peerpb.Handoff_Lost:
		m.Kind, m.ID = handoff.Lost, p.Lost.GetId()
		err = setShards(&m.Shards, p.Lost.GetShards())
	case *peerpb.Handoff_Heard:
		m.Kind, m.ID = handoff.Heard, p.Heard.GetId()
	default:
		err = unknown("handoff message")
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// shardBytes returns nil for no shards.
func shardBytes(shards *invitation.ShardSet) []byte {
	if shards.Empty() {
		return nil
	}
	b := make([]byte, 0, 8*len(shards))
	for _, word := range shards {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

func setShards(shards *invitation.ShardSet, b []byte) error {
	switch len(b) {
	case 0:
		return nil
	case 8 * len(shards):
		for i := range shards {
			shards[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		return nil
	}
	return malformed("a set of shards of %d bytes", len(b))
}
