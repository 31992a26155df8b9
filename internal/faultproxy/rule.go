package faultproxy

import "time"

// Any stands for all nodes in [Proxy.Set]. The most particular rule holds: that of the pair, else that of the
// sender to Any, else that of Any to the receiver, else that of Any to Any.
const Any = "*"

// Pair is a direction: what From sends to To.
type Pair struct{ From, To string }

// Rule says what becomes of what one node sends to another. The zero Rule lets everything pass. Chances go
// from 0, never, to 1, always.
type Rule struct {
	// Only is the kind of doors that the rule binds; through others everything passes. The default is all.
	Only string
	// Cut lets nothing pass, and tells nobody.
	Cut bool
	// Reset ends connections between the two, whoever made them, with a reset: those that stand and each
	// new one.
	Reset bool
	// Delay is how long each thing is under way, with up to Jitter more. Streams stay in order, datagrams
	// overtake each other.
	Delay, Jitter time.Duration
	// Drop, Duplicate and Reorder are the chances of a datagram, or of a frame where the framing is known,
	// to vanish, to come twice, and to come after what was sent later.
	Drop, Duplicate, Reorder float64
}

// late is how much later a datagram comes that is reordered.
const late = 30 * time.Millisecond

// Stats are counts about a direction since the proxy was made: of datagrams, and of frames or pieces of streams.
type Stats struct {
	Passed, Bytes                  uint64
	Dropped, Duplicated, Reordered uint64
	Connections                    uint64 // that From has made to To
	Resets                         uint64 // of them, those that a rule has ended
}

// fate is what becomes of one datagram or frame.
type fate struct {
	drop, twice, reorder bool
	delay                time.Duration
}

// Set makes a rule for what from sends to to, each the name of a node or [Any], in place of the one that was.
func (p *Proxy) Set(from, to string, rule Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rule == (Rule{}) && from != Any && to != Any && !p.general() {
		delete(p.rules, Pair{from, to})
	} else {
		p.rules[Pair{from, to}] = rule
	}
	p.tell()
}

// general reports whether there are rules with Any, from which a zero rule is an exception.
func (p *Proxy) general() bool {
	for pair := range p.rules {
		if pair.From == Any || pair.To == Any {
			return true
		}
	}
	return false
}

// Clear removes all rules.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.rules)
	p.tell()
}

// tell wakes whoever waits for another rule.
func (p *Proxy) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// way is a direction through one kind of doors.
type way struct {
	Pair
	kind string
}

// rule returns the rule of a way, and what is closed when a rule has changed.
func (p *Proxy) rule(w way) (Rule, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(w), p.changed
}

func (p *Proxy) find(w way) Rule {
	for _, key := range []Pair{w.Pair, {w.From, Any}, {Any, w.To}, {Any, Any}} {
		rule, ok := p.rules[key]
		switch {
		case ok && (rule.Only == "" || rule.Only == w.kind):
			return rule
		case ok:
			return Rule{}
		}
	}
	return Rule{}
}

// fate draws what becomes of a datagram or frame, and counts it.
func (p *Proxy) fate(w way, size int) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	rule, stats := p.find(w), p.of(w.Pair)
	draw := func(chance float64) bool { return chance > 0 && p.random.Float64() < chance }
	f := fate{drop: draw(rule.Drop), twice: draw(rule.Duplicate), reorder: draw(rule.Reorder), delay: rule.Delay}
	if rule.Jitter > 0 {
		f.delay += time.Duration(p.random.Int64N(int64(rule.Jitter) + 1))
	}
	if f.drop {
		stats.Dropped++
		return f
	}
	stats.Passed++
	stats.Bytes += uint64(size)
	if f.twice {
		stats.Duplicated++
	}
	if f.reorder {
		stats.Reordered++
	}
	return f
}

// delay draws how long a piece of a stream is under way, and counts it; its end has no size.
func (p *Proxy) delay(w way, size int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rule, stats := p.find(w), p.of(w.Pair)
	if size > 0 {
		stats.Passed++
		stats.Bytes += uint64(size)
	}
	d := rule.Delay
	if rule.Jitter > 0 {
		d += time.Duration(p.random.Int64N(int64(rule.Jitter) + 1))
	}
	return d
}

func (p *Proxy) of(pair Pair) *Stats {
	s := p.stats[pair]
	if s == nil {
		s = new(Stats)
		p.stats[pair] = s
	}
	return s
}

func (p *Proxy) count(pair Pair, change func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.of(pair))
}

// Stats returns the counts of each direction in which anything was sent.
func (p *Proxy) Stats() map[Pair]Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[Pair]Stats, len(p.stats))
	for pair, s := range p.stats {
		all[pair] = *s
	}
	return all
}
