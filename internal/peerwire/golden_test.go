package peerwire_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden files of samples that have none")

var goldenDir = filepath.Join("..", "..", "messages", "testdata", "peer")

func golden(t testing.TB, name string) []byte {
	t.Helper()
	file := filepath.Join(goldenDir, name+".binpb")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && *writeGolden {
		s := samples[name]
		if data, err = codecAt(now).Append(nil, s.kind, s.payload); err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func protoOf(kind cluster.Kind) proto.Message {
	switch kind {
	case peerwire.KindSession:
		return new(peerpb.SessionInput)
	case peerwire.KindArbiter:
		return new(peerpb.ArbiterMessage)
	case peerwire.KindHandoff:
		return new(peerpb.Handoff)
	case peerwire.KindEvents:
		return new(peerpb.Events)
	case peerwire.KindRequest:
		return new(peerpb.NodeRequest)
	case peerwire.KindResponse:
		return new(peerpb.NodeResponse)
	}
	return new(peerpb.DeviceMessage)
}

// TestGolden decodes what a node wrote once and encodes it again: nodes of two versions understand each
// other.
func TestGolden(t *testing.T) {
	for name, want := range samples {
		t.Run(name, func(t *testing.T) {
			data := golden(t, name)
			got, err := codecAt(now).Decode(want.kind, "", data)
			if err != nil || !reflect.DeepEqual(got, want.payload) {
				t.Errorf("decoded %+v, %v; want %+v", got, err, want.payload)
			}
			again, err := codecAt(now).Append(nil, want.kind, want.payload)
			if err != nil {
				t.Fatal(err)
			}
			one, other := protoOf(want.kind), protoOf(want.kind)
			if err := errors.Join(proto.Unmarshal(data, one), proto.Unmarshal(again, other)); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(one, other) || len(data) != len(again) {
				t.Errorf("encoded as\n%x; the golden file is\n%x", again, data)
			}
		})
	}
}

// retired are the golden files of what nodes do not say any more. An older one still may.
var retired = map[string]cluster.Kind{
	"events_question": peerwire.KindEvents,
	"events_answer":   peerwire.KindEvents,
}

// TestRetired: what only an older node says is not known, as what only a newer one says: it is counted and dropped. It is
// no fault of that node's.
func TestRetired(t *testing.T) {
	for name, kind := range retired {
		got, err := codecAt(now).Decode(kind, "", golden(t, name))
		if !errors.Is(err, cluster.ErrUnknown) || errors.Is(err, peerwire.ErrMalformed) {
			t.Errorf("%s: decoded %+v, %v; want ErrUnknown", name, got, err)
		}
	}
}

// TestGoldenIsComplete asks for a golden file that sets each field, and for a sample behind each file.
func TestGoldenIsComplete(t *testing.T) {
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[protoreflect.FullName]bool{}
	for _, file := range files {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(file.Name(), ".binpb"), "record_"); ok {
			if _, ok := records[name]; !ok {
				t.Errorf("%s has no sample", file.Name())
				continue
			}
			m := new(peerpb.Record)
			if err := proto.Unmarshal(goldenRecord(t, name), m); err != nil {
				t.Fatal(err)
			}
			mark(m.ProtoReflect(), seen)
			continue
		}
		if _, ok := retired[strings.TrimSuffix(file.Name(), ".binpb")]; ok {
			continue
		}
		s, ok := samples[strings.TrimSuffix(file.Name(), ".binpb")]
		if !ok {
			t.Errorf("%s has no sample", file.Name())
			continue
		}
		m := protoOf(s.kind)
		if err := proto.Unmarshal(golden(t, strings.TrimSuffix(file.Name(), ".binpb")), m); err != nil {
			t.Fatal(err)
		}
		mark(m.ProtoReflect(), seen)
	}
	for _, kind := range []cluster.Kind{
		peerwire.KindSession, peerwire.KindArbiter, peerwire.KindDevice, peerwire.KindHandoff, peerwire.KindEvents,
		peerwire.KindRequest, peerwire.KindResponse,
	} {
		unseen(t, protoOf(kind).ProtoReflect().Descriptor(), seen)
	}
	unseen(t, new(peerpb.Record).ProtoReflect().Descriptor(), seen)
}

// mark notes each field that m or a message in it sets.
func mark(m protoreflect.Message, seen map[protoreflect.FullName]bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		seen[field.FullName()] = true
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				mark(value.List().Get(i).Message(), seen)
			}
		case field.Message() != nil:
			mark(value.Message(), seen)
		}
		return true
	})
}

// unseen reports the fields of a message, and of the messages in it, that no golden file sets.
func unseen(t *testing.T, m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) {
	t.Helper()
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if !seen[field.FullName()] {
			t.Errorf("no golden file sets %s", field.FullName())
		}
		if field.Message() != nil {
			unseen(t, field.Message(), seen)
		}
	}
}
