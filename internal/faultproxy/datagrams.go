package faultproxy

import (
	"net/netip"
	"slices"
	"time"
)

const (
	maxDatagram = 64 << 10
	// maxWaiting is how many datagrams may be under way in a proxy; further ones that are delayed are dropped.
	maxWaiting = 8_192
)

// pass passes datagrams on until the door is closed.
func (d *door) pass() {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := d.udp.ReadFromUDPAddrPort(buffer)
		if closed(err) {
			return
		}
		if err != nil {
			continue // that an earlier datagram found nobody; the next read tells more if there is more
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		d.proxy.mu.Lock()
		sender := d.proxy.senders[from]
		d.proxy.mu.Unlock()
		d.proxy.post(sender, d, buffer[:n])
	}
}

// post decides about a datagram; sender is nil if it is not known.
func (p *Proxy) post(sender, receiver *door, data []byte) {
	w, out := way{Pair{"", receiver.Node}, receiver.Kind}, receiver
	if sender != nil {
		w.From, out = sender.Node, sender
	}
	f := p.fate(w, len(data))
	if f.drop {
		return
	}
	if f.reorder {
		f.delay += late
	}
	send := func(data []byte) {
		if rule, _ := p.rule(w); rule.Cut {
			p.count(w.Pair, func(s *Stats) { s.Passed, s.Dropped = s.Passed-1, s.Dropped+1 })
			return
		}
		_, _ = out.udp.WriteToUDPAddrPort(data, receiver.target) // nobody there, or closed: lost like any other
		if f.twice {
			_, _ = out.udp.WriteToUDPAddrPort(data, receiver.target)
		}
	}
	if f.delay <= 0 {
		send(data)
		return
	}
	p.mu.Lock()
	full := p.waiting >= maxWaiting
	if !full {
		p.waiting++
	}
	p.mu.Unlock()
	if full {
		p.count(w.Pair, func(s *Stats) { s.Passed, s.Dropped = s.Passed-1, s.Dropped+1 })
		return
	}
	data = slices.Clone(data)
	time.AfterFunc(f.delay, func() {
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
		send(data)
	})
}
