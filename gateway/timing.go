package gateway

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/invitation"
)

// timing measures for how long requests wait for their answers. What waits is noted in a table of fixed size, as an
// answer may never come: a request finds one of the few slots that its number leads to, and takes that of the oldest when
// none is free. That one is not measured, and neither is what is said again after its answer was lost.
//
// Nothing in it locks or allocates. Two requests that meet in a slot at the same moment lose a measurement, not a count
// of [stats].
type timing struct {
	seed  uint64
	slots []slot
	took  [invitation.Requests][results]distribution // a login's where none's would be
}

// slot is a request that waits.
type slot struct {
	tag   atomic.Uint64 // which one; slotFree, or slotTaken while since is being set
	since atomic.Int64  // when it came, an invitation.Time
}

const (
	slotFree  = 0
	slotTaken = 1
	slotTags  = 2 // the first tag of a request

	ways      = 4                // slots that a request may take
	slotCount = ways * (1 << 12) // 256 KiB: 16,384 requests at once
)

// aLogin is the request that a login is in the metrics, and loginID the id of the one that a connection has: no call's.
const (
	aLogin  = invitation.NoRequest
	loginID = 0
)

// result is what a request came to, as far as an operator's nights are concerned.
type result uint8

const (
	resultOK      result = iota
	resultRefused        // for good: it was wrong, or too late
	resultRetry          // the client tries again: UNAVAILABLE, LIMIT_EXCEEDED, an end after which it reconnects
	results
)

func (r result) String() string { return [...]string{"ok", "refused", "retry"}[r] }

// resultOf is the result of a call.
func resultOf(code invitation.CallError) result {
	switch code {
	case invitation.OK:
		return resultOK
	case invitation.Unavailable, invitation.LimitExceeded:
		return resultRetry
	default:
		return resultRefused
	}
}

// resultOfLogin is that of a login which an end refused; 0: it was taken.
func resultOfLogin(end invitation.End) result {
	switch {
	case end == 0:
		return resultOK
	case end.Reconnect():
		return resultRetry
	}
	return resultRefused
}

func newTiming() timing { return timing{seed: rand.Uint64(), slots: make([]slot, slotCount)} }

// find returns the slots that a request may be in, and its tag.
func (t *timing) find(conn, request uint64) (near []slot, tag uint64) {
	tag = mixed(mixed(conn^t.seed) + request)
	at := tag % (slotCount / ways) * ways
	return t.slots[at : at+ways : at+ways], max(tag, slotTags)
}

// mixed spreads a number over all bits (the last step of SplitMix64).
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// begin notes that a request has come. One that is said again has come when it came first.
func (t *timing) begin(conn, request uint64, now invitation.Time) {
	near, tag := t.find(conn, request)
	var take *slot
	var had uint64
	oldest := int64(now)
	for i := range near {
		s := &near[i]
		has := s.tag.Load()
		if has == tag {
			return
		}
		since := s.since.Load()
		if has == slotFree {
			since = -1
		}
		if has != slotTaken && (take == nil || since < oldest) {
			take, had, oldest = s, has, since
		}
	}
	if take != nil && take.tag.CompareAndSwap(had, slotTaken) {
		take.since.Store(int64(now))
		take.tag.Store(tag)
	}
}

// end measures a request that is answered.
func (t *timing) end(conn, id uint64, request invitation.Request, r result, now func() invitation.Time) {
	near, tag := t.find(conn, id)
	for i := range near {
		s := &near[i]
		if s.tag.Load() != tag {
			continue
		}
		since := invitation.Time(s.since.Load())
		if s.tag.CompareAndSwap(tag, slotFree) && int(request) < len(t.took) {
			t.took[request][r].observe(now().Sub(since))
		}
		return
	}
}

// answered takes the answer to a call.
func (g *Gateway) answered(conn uint64, a *invitation.Answer) {
	g.stats.answer(a)
	if a.Request != aLogin {
		g.timing.end(conn, a.RequestID, a.Request, resultOf(a.Error), g.now)
	}
}

// loggedIn takes the answer to a login: 0, or the end that it was refused with.
func (g *Gateway) loggedIn(conn uint64, end invitation.End) {
	g.timing.end(conn, loginID, aLogin, resultOfLogin(end), g.now)
}

// bounds are the upper bounds of the buckets of a distribution. A send to a device that does not acknowledge is answered
// after 0.3 s.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// distribution counts durations.
type distribution struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (d *distribution) observe(took time.Duration) {
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(took))
}

var durationDesc = prometheus.NewDesc("ringfleet_gateway_request_seconds",
	"From the gateway's receipt of a request, or login, to its answer, by request and result: ok, refused (for good), retry (the client tries again).",
	[]string{"request", "result"}, nil)

// collect sends what was measured; a request shows with the result ok at least.
func (t *timing) collect(ch chan<- prometheus.Metric) {
	for request := range t.took {
		name := invitation.Request(request).String()
		if invitation.Request(request) == aLogin {
			name = "login"
		}
		for r := range results {
			d := &t.took[request][r]
			total, buckets := uint64(0), make(map[float64]uint64, len(bounds))
			for i := range bounds {
				total += d.counts[i].Load()
				buckets[bounds[i].Seconds()] = total
			}
			total += d.counts[len(bounds)].Load()
			if total > 0 || r == resultOK {
				ch <- prometheus.MustNewConstHistogram(durationDesc, total, time.Duration(d.sum.Load()).Seconds(), buckets, name, r.String())
			}
		}
	}
}
