package wire_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// seed adds the golden files of one direction, and each of them cut short.
func seed(f *testing.F, prefix string, codec wire.Codec) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, prefix+"_*"+extensions[codec]))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte(strings.Repeat("\xff", 64)))
}

func FuzzDecodeUpBinary(f *testing.F) {
	seed(f, "client", wire.Binary)
	f.Fuzz(func(t *testing.T, data []byte) { checkUp(t, wire.Binary, data) })
}

func FuzzDecodeUpJSON(f *testing.F) {
	seed(f, "client", wire.JSON)
	f.Fuzz(func(t *testing.T, data []byte) { checkUp(t, wire.JSON, data) })
}

func FuzzDecodeDownBinary(f *testing.F) {
	seed(f, "server", wire.Binary)
	f.Fuzz(func(t *testing.T, data []byte) { checkDown(t, wire.Binary, data) })
}

func FuzzDecodeDownJSON(f *testing.F) {
	seed(f, "server", wire.JSON)
	f.Fuzz(func(t *testing.T, data []byte) { checkDown(t, wire.JSON, data) })
}

// checkUp wants either a typed error or a frame that means the same after another trip.
func checkUp(t *testing.T, codec wire.Codec, data []byte) {
	frame, err := wire.DecodeUp(codec, data)
	if err != nil {
		if !errors.Is(err, wire.ErrBadFrame) {
			t.Fatalf("an untyped error: %v", err)
		}
		checkReason(t, err)
		return
	}
	if call := frame.Up.Call; call != nil && call.RequestID == 0 {
		t.Fatal("a call that cannot be answered")
	}
	again, err := wire.EncodeUp(nil, codec, frame)
	if errors.Is(err, invitation.InvalidArgument) {
		if codec != wire.Binary || frame.Up.Call == nil {
			t.Fatalf("only a binary call may have a text that is not UTF-8: %+v", frame)
		}
		return
	}
	if err != nil {
		t.Fatalf("a frame that does not encode: %+v: %v", frame, err)
	}
	if got, err := wire.DecodeUp(codec, again); err != nil || !reflect.DeepEqual(got, frame) {
		t.Fatalf("%+v arrives as %+v, %v", frame, got, err)
	}
}

// checkDown is the same for the client's decoder.
func checkDown(t *testing.T, codec wire.Codec, data []byte) {
	frame, err := wire.DecodeDown(codec, data)
	if err != nil {
		if !errors.Is(err, wire.ErrBadFrame) && !errors.Is(err, wire.ErrUnknownFrame) {
			t.Fatalf("an untyped error: %v", err)
		}
		if errors.Is(err, wire.ErrBadFrame) {
			checkReason(t, err)
		}
		return
	}
	again, err := wire.EncodeDown(nil, codec, frame)
	if err != nil {
		t.Fatalf("a frame that does not encode: %+v: %v", frame, err)
	}
	got, err := wire.DecodeDown(codec, again)
	if frame.Down.Ending != nil && frame.Text == "" {
		got.Text = "" // filled in from the table of ends
	}
	if err != nil || !reflect.DeepEqual(got, frame) {
		t.Fatalf("%+v arrives as %+v, %v", frame, got, err)
	}
}
