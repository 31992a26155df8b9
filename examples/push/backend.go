package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// maxBody is the largest request that the back-end reads, in bytes.
const maxBody = 1 << 20

// backEnd receives events and sends pushes. It implements http.Handler.
type backEnd struct {
	secrets  []events.Secret
	provider provider

	mu     sync.Mutex
	seen   map[string]time.Time // the events that were handled, and until when that is remembered
	swept  time.Time
	faults int // requests that were refused
}

// remember is for how long an event may come again.
const remember = 20 * time.Minute

// ServeHTTP takes events: a list, as by default. What it answers with 2xx does not come again.
func (b *backEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || events.Verify(b.secrets, r.Header, body, time.Now()) != nil {
		b.refuse(w, http.StatusUnauthorized)
		return
	}
	var batch []events.Message
	if err := json.Unmarshal(body, &batch); err != nil {
		b.refuse(w, http.StatusBadRequest)
		return
	}
	for i := range batch {
		if b.first(batch[i].ID) {
			b.handle(&batch[i])
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *backEnd) refuse(w http.ResponseWriter, status int) {
	b.mu.Lock()
	b.faults++
	b.mu.Unlock()
	w.WriteHeader(status)
}

// first reports whether an event comes for the first time: each may come more than once.
func (b *backEnd) first(id string) bool {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]time.Time{}
	}
	if now.Sub(b.swept) > time.Minute {
		for id, until := range b.seen {
			if until.Before(now) {
				delete(b.seen, id)
			}
		}
		b.swept = now
	}
	_, known := b.seen[id]
	b.seen[id] = now.Add(remember)
	return !known
}

// handle does what an event is for.
func (b *backEnd) handle(m *events.Message) {
	d := &m.Data
	switch m.Type {
	case events.Type(invitation.EventCalleeOffline):
		if d.ExpiresAt == nil || time.Now().After(*d.ExpiresAt) {
			return // it comes too late to ring
		}
		b.provider.push(d.Callee, push{Invitation: d.Invitation, Caller: d.Caller, Expires: *d.ExpiresAt, ValidURL: d.ValidURL})
	case events.Type(invitation.EventClose):
		b.provider.push(d.Callee, push{Invitation: d.Invitation, Close: true, Except: d.CalleeDevice, Why: d.Reason})
	}
}

// push is what a phone is woken with.
type push struct {
	Invitation string
	Caller     string
	Expires    time.Time // the provider need not deliver it later
	ValidURL   string

	Close  bool   // take the notification away
	Except string // but not on this device, which has answered
	Why    string
}

// provider delivers pushes, some day.
type provider interface{ push(user string, p push) }

// mock is a provider that delivers after a time. It implements provider.
type mock struct {
	takes   time.Duration
	sending sync.WaitGroup
	gate    sync.RWMutex // write-locked: nothing is delivered

	mu     sync.Mutex
	phones map[string]func(push)
	sent   []push
}

func newMock(takes time.Duration) *mock { return &mock{takes: takes, phones: map[string]func(push){}} }

// register says where the pushes for a user go.
func (m *mock) register(user string, woken func(push)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phones[user] = woken
}

func (m *mock) push(user string, p push) {
	m.mu.Lock()
	m.sent = append(m.sent, p)
	m.mu.Unlock()
	m.sending.Go(func() {
		time.Sleep(m.takes)
		m.gate.RLock()
		defer m.gate.RUnlock()
		m.mu.Lock()
		woken := m.phones[user]
		m.mu.Unlock()
		if woken != nil {
			woken(p)
		}
	})
}

// sentFor reports whether a push for an invitation was sent.
func (m *mock) sentFor(id invitation.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.sent, func(p push) bool { return p.Invitation == id.String() })
}

// wait waits for the pushes that are under way.
func (m *mock) wait() { m.sending.Wait() }
