package cluster

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden files of samples that have none")

// raw is a codec whose payloads are bytes.
type raw struct{}

func (raw) Append(buf []byte, _ Kind, payload any) ([]byte, error) {
	return append(buf, payload.([]byte)...), nil
}

func (raw) Decode(_ Kind, _ string, data []byte) (any, error) { return bytes.Clone(data), nil }

var headers = rapid.Custom(func(t *rapid.T) header {
	h := header{
		version: rapid.Uint64Range(1, 1<<20).Draw(t, "version"), kind: Kind(rapid.Uint8Min(1).Draw(t, "kind")),
		hops:  rapid.Uint8().Draw(t, "hops"),
		shard: invitation.Shard(rapid.IntRange(0, invitation.Shards-1).Draw(t, "shard")),
		key:   string(rapid.SliceOfN(rapid.Byte(), 0, MaxKey).Draw(t, "key")),
	}
	if rapid.Bool().Draw(t, "to a node") {
		h.node = rapid.StringN(1, 20, MaxName).Draw(t, "node")
	}
	if rapid.Bool().Draw(t, "held back") {
		h.age = time.Duration(rapid.Int64Range(1, int64(maxAge/time.Microsecond)).Draw(t, "age")) * time.Microsecond
	}
	return h
})

var payloads = rapid.SliceOfN(rapid.Byte(), 0, 300)

// TestEnvelopeIsTheSchemas: what is written by hand here is what the schema says, both ways.
func TestEnvelopeIsTheSchemas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, payload := headers.Draw(t, "header"), payloads.Draw(t, "payload")
		m := &peerpb.Envelope{
			ProtocolVersion: uint32(h.version), Kind: peerpb.Kind(h.kind), Hops: uint32(h.hops), Shard: uint32(h.shard),
			Key: []byte(h.key), Node: h.node, Payload: payload, AgeUs: uint64(h.age / time.Microsecond),
		}
		ours, _, err := h.encode(nil, raw{}, payload)
		if err != nil {
			t.Fatal(err)
		}
		var theirs peerpb.Envelope
		if err := proto.Unmarshal(ours, &theirs); err != nil {
			t.Fatal(err)
		}
		if len(theirs.GetKey()) == 0 {
			theirs.Key = nil
		}
		if len(m.GetKey()) == 0 {
			m.Key = nil
		}
		if len(m.GetPayload()) == 0 {
			theirs.Payload, m.Payload = nil, nil
		}
		if !proto.Equal(&theirs, m) {
			t.Fatalf("protobuf reads %v, want %v", &theirs, m)
		}
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, body, err := parse(data, "self")
		if err != nil || got != h || !bytes.Equal(body, payload) {
			t.Fatalf("parsed as %+v %x, %v; want %+v %x", got, body, err, h, payload)
		}
	})
}

// TestEncodeReusesBuffers: a buffer that is large enough is used again, and what was in it does not show.
func TestEncodeReusesBuffers(t *testing.T) {
	h := header{version: 1, kind: 1, shard: 4095, key: "alice"}
	_, buf, err := h.encode(nil, raw{}, bytes.Repeat([]byte("x"), 100))
	if err != nil {
		t.Fatal(err)
	}
	first := &buf[:1][0]
	short, again, err := h.encode(buf, raw{}, []byte("y"))
	if err != nil {
		t.Fatal(err)
	}
	if &again[:1][0] != first {
		t.Error("the buffer is not used again")
	}
	if _, body, err := parse(short, "self"); err != nil || string(body) != "y" {
		t.Errorf("parsed %q, %v", body, err)
	}
	var payload any = []byte("y")
	if n := testing.AllocsPerRun(100, func() { _, buf, _ = h.encode(buf, raw{}, payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var envelopeSamples = map[string]struct {
	h       header
	payload string
}{
	"session":   {header{version: 1, kind: 1, shard: 1234, key: "alice"}, "to a session"},
	"arbiter":   {header{version: 1, kind: 2, shard: 4095}, "to an arbiter"},
	"device":    {header{version: 1, kind: 3, node: "node-2"}, "to a device"},
	"passed_on": {header{version: 1, kind: 1, hops: 3, key: "\xff"}, ""},
	"held_back": {header{version: 1, kind: 2, hops: 1, shard: 7, age: 2750 * time.Millisecond}, "late"},
}

// TestGoldenEnvelopes: nodes of two versions read each other's envelopes. The file is added to, never edited.
func TestGoldenEnvelopes(t *testing.T) {
	file := filepath.Join("testdata", "envelopes.txt")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && *writeGolden {
		for name, s := range envelopeSamples {
			b, _, _ := s.h.encode(nil, raw{}, []byte(s.payload))
			text = append(text, name+" "+hex.EncodeToString(b)+"\n"...)
		}
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		s, ok := envelopeSamples[name]
		data, err := hex.DecodeString(digits)
		if !ok || err != nil {
			t.Fatalf("%q: no such sample, or %v", name, err)
		}
		seen++
		if h, body, err := parse(data, "self"); err != nil || h != s.h || string(body) != s.payload {
			t.Errorf("%s is read as %+v %q, %v", name, h, body, err)
		}
		if b, _, err := s.h.encode(nil, raw{}, []byte(s.payload)); err != nil || !bytes.Equal(b, data) {
			t.Errorf("%s is written as %x, %v", name, b, err)
		}
	}
	if seen != len(envelopeSamples) {
		t.Errorf("%s has %d samples of %d", file, seen, len(envelopeSamples))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range envelopeSamples {
		b, _, _ := s.h.encode(nil, raw{}, []byte(s.payload))
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, payload, err := parse(data, "self")
		if err != nil {
			return
		}
		if h.shard >= invitation.Shards || len(h.key) > MaxKey || len(h.node) > MaxName || h.kind == 0 || h.version == 0 {
			t.Fatalf("%+v is taken", h)
		}
		again, _, err := h.encode(nil, raw{}, payload)
		if err != nil {
			t.Fatal(err)
		}
		if h2, payload2, err := parse(again, "self"); err != nil || h2 != h || !bytes.Equal(payload2, payload) {
			t.Fatalf("%+v %x is read as %+v %x, %v", h, payload, h2, payload2, err)
		}
	})
}
