package gateway

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// A bucket counts events against a rate: the generic cell rate algorithm (ITU-T I.371), the token
// bucket in one number. It is the time at which everything so far would have been in order.
type bucket invitation.Time

// take counts one event at now and returns by how long it is too early under rate events per second
// and burst at once; 0 or less is in order. Events that are too early count too.
func (b *bucket) take(now invitation.Time, rate, burst int) time.Duration {
	cell := time.Second / time.Duration(rate)
	at := max(invitation.Time(*b), now).Add(cell)
	*b = bucket(at)
	return at.Sub(now) - time.Duration(burst)*cell
}

// admission counts the connections against their bounds.
type admission struct {
	sockets atomic.Int64 // all WebSocket connections
	pending atomic.Int64 // those that have yet to log in
	local   atomic.Int64

	maxSockets, maxPending, maxPerAddress int

	mu      sync.Mutex
	sources map[netip.Prefix]int // of connections; only with maxPerAddress; as many entries as connections at most

	loginRate int // per second

	loginMu   sync.Mutex
	logins    bucket
	addresses rates[netip.Prefix]
	users     rates[invitation.User]
}

// rates count what comes from each of many sources.
type rates[K comparable] struct {
	rate   int             // per second; 0: no bound
	by     map[K]bucket    // at most maxAttempts; nil: there are none yet
	others bucket          // of those that did not fit
	swept  invitation.Time // when those that had rested were forgotten last
}

// maxAttempts bounds the sources that are counted apart. When there are more, those that have rested for
// long enough are forgotten; if that is not enough the rest share one count.
const maxAttempts = 1 << 16

// sourceBurst is how much may come at once from one source, in seconds of its rate.
const sourceBurst = 10

// take counts one event, and returns by how long it is too early. One that is too early is not counted.
func (r *rates[K]) take(now invitation.Time, from K) time.Duration {
	if r.rate == 0 {
		return 0
	}
	b, known := r.by[from]
	apart := known || r.room(now)
	if !apart {
		b = r.others
	}
	if over := b.take(now, r.rate, r.rate*sourceBurst); over > 0 {
		return over
	}
	if !apart {
		r.others = b
		return 0
	}
	if r.by == nil {
		r.by = map[K]bucket{}
	}
	r.by[from] = b
	return 0
}

// room reports whether another source can be counted apart. One that has rested counts as new.
func (r *rates[K]) room(now invitation.Time) bool {
	if len(r.by) < maxAttempts {
		return true
	}
	if now < r.swept.Add(time.Second) {
		return false
	}
	r.swept = now
	for key, b := range r.by {
		if invitation.Time(b) <= now {
			delete(r.by, key)
		}
	}
	return len(r.by) < maxAttempts
}

// enter admits a connection, or returns the refusal.
func (a *admission) enter(from netip.Addr) *upgradeRefusal {
	if a.sockets.Add(1) > int64(a.maxSockets) {
		a.sockets.Add(-1)
		return &refusedFull
	}
	if a.pending.Add(1) > int64(a.maxPending) {
		a.pending.Add(-1)
		a.sockets.Add(-1)
		return &refusedPending
	}
	if a.maxPerAddress == 0 || !from.IsValid() {
		return nil
	}
	key := addressKey(from)
	a.mu.Lock()
	full := a.sources[key] >= a.maxPerAddress
	if !full {
		a.sources[key]++
	}
	a.mu.Unlock()
	if full {
		a.pending.Add(-1)
		a.sockets.Add(-1)
		return &refusedAddress
	}
	return nil
}

// leave takes back enter.
func (a *admission) leave(from netip.Addr, pending bool) {
	if pending {
		a.pending.Add(-1)
	}
	a.sockets.Add(-1)
	if a.maxPerAddress == 0 || !from.IsValid() {
		return
	}
	key := addressKey(from)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sources[key]--; a.sources[key] <= 0 {
		delete(a.sources, key)
	}
}

// login counts a login, and returns how long to wait when there are too many. Who waits and comes back is not to wait
// for those who were refused: these are not counted.
func (a *admission) login(now invitation.Time, from netip.Addr) time.Duration {
	a.loginMu.Lock()
	defer a.loginMu.Unlock()
	if from.IsValid() {
		if over := a.addresses.take(now, addressKey(from)); over > 0 {
			return over
		}
	}
	over := a.logins.take(now, a.loginRate, a.loginRate)
	if over > 0 {
		a.logins -= bucket(time.Second / time.Duration(a.loginRate))
	}
	return over
}

// user counts a login of a user who was authenticated, and returns how long to wait when there are too many.
func (a *admission) user(now invitation.Time, user invitation.User) time.Duration {
	a.loginMu.Lock()
	defer a.loginMu.Unlock()
	return a.users.take(now, user)
}

// addressKey groups what one host can choose from: an IPv4 address, an IPv6 /64.
func addressKey(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // both lengths are valid
	return p
}

// remoteAddress is the default of Config.ClientAddress.
func remoteAddress(r *http.Request) netip.Addr {
	p, _ := netip.ParseAddrPort(r.RemoteAddr) // a pipe has none
	return p.Addr().Unmap()
}
