package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// phone is an app that is asleep until a push wakes it.
type phone struct {
	user    invitation.User
	carrier client.Carrier
	http    *http.Client
	out     io.Writer

	dialing sync.Mutex // held while it connects

	mu     sync.Mutex
	client *client.Client // nil while it is asleep
	rang   int
	shown  map[string]bool // the invitations whose notification is shown
	log    []string
}

// device is the phone's.
const device = "phone"

// woken is called with a push.
func (p *phone) woken(m push) {
	if m.Close && m.Except == device {
		return // it has answered, and shows the call
	}
	if m.Close {
		p.mu.Lock()
		delete(p.shown, m.Invitation)
		p.mu.Unlock()
		p.say("the notification is taken away: %s", m.Why)
		return
	}
	v, err := p.valid(m.ValidURL)
	switch {
	case err != nil:
		p.say("the push could not be checked: %v", err)
	case !v.Valid:
		p.say("a push of %s came too late: the invitation is %s", m.Caller, v.State)
	default:
		p.say("woken: %s calls, %d ms are left", m.Caller, v.RemainingMs)
		if err := p.connect(); err != nil {
			p.say("it could not connect: %v", err)
		}
	}
}

// valid asks a signed link whether the invitation still waits.
func (p *phone) valid(link string) (v events.Validity, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return v, err
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return v, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return v, fmt.Errorf("the link answers %s", answer.Status)
	}
	return v, json.NewDecoder(io.LimitReader(answer.Body, 1<<10)).Decode(&v)
}

// connect logs in. The invitations that wait follow by themselves.
func (p *phone) connect() error {
	p.dialing.Lock()
	defer p.dialing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, p.carrier, client.Options{User: p.user, Device: device, OnRemoteInvitation: p.ring})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.client = c
	return nil
}

// ring shows the invitation, and somebody answers a second later.
func (p *phone) ring(r *client.RemoteInvitation) {
	p.mu.Lock()
	p.rang++
	if p.shown == nil {
		p.shown = map[string]bool{}
	}
	p.shown[r.ID().String()] = true
	p.mu.Unlock()
	p.say("it rings: %s", r.Caller())
	go func() {
		time.Sleep(time.Second)
		if err := r.Accept(context.Background(), "just woke up"); err != nil {
			p.say("it could not accept: %v", err)
		}
	}()
}

// rings returns how often it has rung.
func (p *phone) rings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rang
}

// sleep disconnects.
func (p *phone) sleep() {
	p.dialing.Lock()
	defer p.dialing.Unlock()
	p.mu.Lock()
	c := p.client
	p.client = nil
	p.mu.Unlock()
	if c != nil {
		_ = c.Close() // it is gone either way
	}
}

func (p *phone) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("%s's phone: ", p.user) + fmt.Sprintf(format, args...)
	p.log = append(p.log, line)
	fmt.Fprintln(p.out, line)
}
