package stats

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a histogram tells apart: from 1 µs to 10 min. Less counts as the least, more as the most.
const (
	Least = time.Microsecond
	Most  = 10 * time.Minute
)

// The significant digits of a histogram.
const (
	fine   = 3
	Coarse = 2 // for histograms of which there are many
)

// Histogram counts latencies. Its zero value is empty, of three significant digits. It must not be copied.
type Histogram struct {
	// Digits are the significant digits, 1 to 5; zero: 3. They are set before the first use.
	Digits int

	mu   sync.Mutex
	hdr  *hdrhistogram.Histogram // nil: nothing was counted, or it is packed
	text []byte                  // of one that is packed, in a thirtieth of the memory; nil: it is not
}

// counted returns the counts, nil: nothing was counted. It is called with the mutex.
func (h *Histogram) counted() *hdrhistogram.Histogram {
	if h.text != nil {
		h.hdr, h.text = unpacked(h.text), nil
	}
	return h.hdr
}

// unpacked returns the counts that are in a text which pack has made or UnmarshalText has taken.
func unpacked(text []byte) *hdrhistogram.Histogram {
	if len(text) == 0 {
		return nil
	}
	hdr, _ := hdrhistogram.Decode(slices.Clone(text)) // cannot fail
	return hdr
}

// packed returns the text of the counts. It is called with the mutex.
func (h *Histogram) packed() ([]byte, error) {
	if h.text != nil {
		return h.text, nil
	}
	if h.hdr == nil || h.hdr.TotalCount() == 0 {
		return []byte{}, nil
	}
	text, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode a histogram: %w", err)
	}
	return text, nil
}

// Packed returns a copy that takes little memory until something but MarshalText or Merge is asked of it.
func (h *Histogram) Packed() *Histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, _ := h.packed() // of a histogram of ours it cannot fail
	return &Histogram{Digits: h.Digits, text: text}
}

// made returns the counts. It is called with the mutex.
func (h *Histogram) made() *hdrhistogram.Histogram {
	if h.counted() == nil {
		if h.Digits == 0 {
			h.Digits = fine
		}
		h.hdr = hdrhistogram.New(Least.Microseconds(), Most.Microseconds(), h.Digits)
	}
	return h.hdr
}

// Record counts a latency.
func (h *Histogram) Record(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.made().RecordValue(min(max(d, Least), Most).Microseconds()) // is in its range
}

// Merge adds what another counted. The other must not be the same. Those that are packed stay so.
func (h *Histogram) Merge(other *Histogram) {
	other.mu.Lock()
	defer other.mu.Unlock()
	more := other.hdr
	if other.text != nil {
		more = unpacked(other.text)
	}
	if more == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	wasPacked := h.text != nil
	h.made().Merge(more) // drops nothing: the ranges are the same
	if wasPacked {
		h.text, _ = h.packed() // of a histogram of ours it cannot fail
		h.hdr = nil
	}
}

// Reset forgets everything that was counted.
func (h *Histogram) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = nil
	if h.hdr != nil {
		h.hdr.Reset()
	}
}

// Count returns how many were counted.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counted() == nil {
		return 0
	}
	return h.hdr.TotalCount()
}

// At returns the latency that a share of all, 0 to 1, did not pass; 0 when nothing was counted.
func (h *Histogram) At(quantile float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counted() == nil {
		return 0
	}
	return time.Duration(h.hdr.ValueAtQuantile(100*quantile)) * time.Microsecond
}

// Max returns the longest latency, to the histogram's precision.
func (h *Histogram) Max() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counted() == nil {
		return 0
	}
	return time.Duration(h.hdr.Max()) * time.Microsecond
}

// MarshalText implements encoding.TextMarshaler. An empty histogram is the empty text.
func (h *Histogram) MarshalText() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.packed()
}

// UnmarshalText implements encoding.TextUnmarshaler: it takes what MarshalText has made of a histogram of this
// package, and replaces what was counted. The histogram is packed then.
func (h *Histogram) UnmarshalText(text []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hdr, h.text = nil, []byte{}
	if len(text) == 0 {
		return nil
	}
	hdr, err := hdrhistogram.Decode(slices.Clone(text))
	if err != nil {
		return fmt.Errorf("decode a histogram: %w", err)
	}
	if hdr.LowestTrackableValue() != Least.Microseconds() || hdr.HighestTrackableValue() != Most.Microseconds() {
		return fmt.Errorf("decode a histogram: it is of %d to %d, not of %d to %d", hdr.LowestTrackableValue(), hdr.HighestTrackableValue(),
			Least.Microseconds(), Most.Microseconds())
	}
	h.text, h.Digits = slices.Clone(text), int(hdr.SignificantFigures())
	return nil
}
