package wire_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden files of samples that have none")

var goldenDir = filepath.Join("..", "..", "messages", "testdata", "golden")

var extensions = map[wire.Codec]string{wire.Binary: ".binpb", wire.JSON: ".json"}

// golden returns the content of a sample's golden file.
func golden(t testing.TB, name string, codec wire.Codec, sample func() ([]byte, error)) []byte {
	t.Helper()
	file := filepath.Join(goldenDir, name+extensions[codec])
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && *writeGolden {
		if data, err = sample(); err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestGolden decodes what was written once and encodes it again: what clients in the field say keeps
// its meaning, and what they are told keeps its form.
func TestGolden(t *testing.T) {
	for _, codec := range codecs {
		for name, want := range clientSamples {
			t.Run(name+extensions[codec], func(t *testing.T) {
				again := func() ([]byte, error) { return wire.EncodeUp(nil, codec, want) }
				data := golden(t, name, codec, again)
				if got, err := wire.DecodeUp(codec, data); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("decoded %+v, %v; want %+v", got, err, want)
				}
				sameForm(t, codec, data, again, new(clientpb.ClientFrame))
			})
		}
		for name, want := range serverSamples {
			t.Run(name+extensions[codec], func(t *testing.T) {
				again := func() ([]byte, error) { return wire.EncodeDown(nil, codec, want) }
				data := golden(t, name, codec, again)
				if got, err := wire.DecodeDown(codec, data); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("decoded %+v, %v; want %+v", got, err, want)
				}
				sameForm(t, codec, data, again, new(clientpb.ServerFrame))
			})
		}
	}
}

// sameForm compares an encoding with a golden file, apart from what protobuf leaves open: the order
// of fields in binary, white space in JSON. The file may hold nothing that m does not know.
func sameForm(t *testing.T, codec wire.Codec, data []byte, encode func() ([]byte, error), m proto.Message) {
	t.Helper()
	encoded, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	if codec == wire.Binary {
		other := m.ProtoReflect().New().Interface()
		if err := errors.Join(proto.Unmarshal(data, m), proto.Unmarshal(encoded, other)); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m, other) || len(data) != len(encoded) {
			t.Errorf("encoded as\n%x; the golden file is\n%x", encoded, data)
		}
		return
	}
	if err := protojson.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := errors.Join(json.Unmarshal(encoded, &got), json.Unmarshal(data, &want)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("encoded as\n%s; the golden file is\n%s", encoded, data)
	}
}

// TestGoldenIsComplete asks for a sample of each kind of frame and word, and for a sample behind each
// file.
func TestGoldenIsComplete(t *testing.T) {
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[protoreflect.FullName]bool{}
	for _, file := range files {
		name, extension, _ := strings.Cut(file.Name(), ".")
		_, client := clientSamples[name]
		_, server := serverSamples[name]
		if !client && !server {
			t.Errorf("%s has no sample", file.Name())
		}
		if "."+extension != extensions[wire.Binary] {
			continue
		}
		var m proto.Message = new(clientpb.ClientFrame)
		if server {
			m = new(clientpb.ServerFrame)
		}
		data, err := os.ReadFile(filepath.Join(goldenDir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(data, m); err != nil {
			t.Fatal(err)
		}
		markFields(m.ProtoReflect(), seen)
	}
	unseen(t, (*clientpb.ClientFrame)(nil).ProtoReflect().Descriptor(), seen)
	unseen(t, (*clientpb.ServerFrame)(nil).ProtoReflect().Descriptor(), seen)
}

// markFields marks each field that m or a message in it sets.
func markFields(m protoreflect.Message, seen map[protoreflect.FullName]bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		seen[field.FullName()] = true
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				markFields(value.List().Get(i).Message(), seen)
			}
		case field.Message() != nil:
			markFields(value.Message(), seen)
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
