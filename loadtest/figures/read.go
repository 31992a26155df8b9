package figures

import (
	"encoding/json"
	"fmt"
	"os"
)

// Read reads the result of a run from a file. One of a newer version of the schema is refused; one from before there
// were versions lacks what is new since then.
func Read(path string) (*Run, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	r, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Decode is Read of text.
func Decode(text []byte) (*Run, error) {
	r := &Run{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("this is no result of loadtest, as --json writes it: %w", err)
	}
	if r.Version > Version {
		return nil, fmt.Errorf("the result has version %d of its schema, and this program knows %d: use the loadtest that wrote it, or a newer one",
			r.Version, Version)
	}
	if r.Latency == nil {
		return nil, fmt.Errorf("this is no result of loadtest, as --json writes it: it has no latencies")
	}
	return r, nil
}
