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

	mu        sync.Mutex
	addresses map[netip.Prefix]int // only with maxPerAddress; as many entries as connections at most

	loginRate, addressRate int // per second; of an address 0: no bound

	loginMu  sync.Mutex
	logins   bucket
	attempts map[netip.Prefix]bucket // of addresses; with addressRate only; at most maxAttempts
	others   bucket                  // of the addresses that did not fit
	swept    invitation.Time         // when those that had rested were forgotten last
}

// maxAttempts bounds the addresses whose logins are counted apart. When there are more, those that have rested for
// long enough are forgotten; if that is not enough the rest share one count.
const maxAttempts = 1 << 16

// addressBurst is how many logins of an address may come at once, in seconds of its rate.
const addressBurst = 10

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
	full := a.addresses[key] >= a.maxPerAddress
	if !full {
		a.addresses[key]++
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
	if a.addresses[key]--; a.addresses[key] <= 0 {
		delete(a.addresses, key)
	}
}

// login counts a login, and returns how long to wait when there are too many. Who waits and comes back is not to wait
// for those who were refused: these are not counted.
func (a *admission) login(now invitation.Time, from netip.Addr) time.Duration {
	a.loginMu.Lock()
	defer a.loginMu.Unlock()
	if a.addressRate > 0 && from.IsValid() {
		key := addressKey(from)
		b, known := a.attempts[key]
		if !known && !a.roomLocked(now) {
			b = a.others
		}
		if over := b.take(now, a.addressRate, a.addressRate*addressBurst); over > 0 {
			return over
		}
		if _, fits := a.attempts[key]; fits || a.roomLocked(now) {
			a.attempts[key] = b
		} else {
			a.others = b
		}
	}
	over := a.logins.take(now, a.loginRate, a.loginRate)
	if over > 0 {
		a.logins -= bucket(time.Second / time.Duration(a.loginRate))
	}
	return over
}

// roomLocked reports whether another address can be counted apart. An address that has rested counts as new.
func (a *admission) roomLocked(now invitation.Time) bool {
	if len(a.attempts) < maxAttempts {
		return true
	}
	if now < a.swept.Add(time.Second) {
		return false
	}
	a.swept = now
	for key, b := range a.attempts {
		if invitation.Time(b) <= now {
			delete(a.attempts, key)
		}
	}
	return len(a.attempts) < maxAttempts
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
