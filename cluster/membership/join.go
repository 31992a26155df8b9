package membership

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// maxTargets is how many addresses are tried in one round when there are others already.
	maxTargets = 5
	// lookup bounds the look-up of all seeds.
	lookup = 5 * time.Second
)

// join looks for others, for ever: often while there are none, seldom while there are.
func (m *Membership) join() {
	backoff := time.Duration(0) // 0 while there are others
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.alone:
			if backoff != 0 {
				continue // it is looking already
			}
		case <-timer.C:
		}
		m.joinOnce()
		m.mu.Lock()
		alone := len(m.roster.others) == 0
		m.mu.Unlock()
		wait := m.config.Timing.Rejoin
		if alone {
			backoff = min(max(2*backoff, firstJoin), wait)
			wait = backoff
		} else {
			backoff = 0
		}
		timer.Reset(wait*3/4 + rand.N(wait/2+1))
	}
}

// joinOnce tries the addresses of seeds and lost members that are not in the gossip.
func (m *Membership) joinOnce() {
	ctx, cancel := context.WithTimeout(m.ctx, lookup)
	targets, err := addresses(ctx, m.config.Resolver, m.config.Seeds)
	cancel()
	if err != nil && m.ctx.Err() == nil {
		m.once.Log(slog.LevelWarn, "seeds "+err.Error(), "look up seeds", slog.Any("error", err))
	}
	m.mu.Lock()
	targets = append(targets, m.roster.lookFor(time.Now())...)
	known := map[string]bool{m.roster.self.Gossip: true}
	for _, e := range m.roster.others {
		known[e.member.Gossip] = true
	}
	m.mu.Unlock()
	targets = slices.DeleteFunc(targets, func(address string) bool { return known[address] })
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	if len(known) > 1 {
		targets = targets[:min(len(targets), maxTargets)]
	}
	for _, address := range targets {
		if m.ctx.Err() != nil {
			return
		}
		if _, err := m.list.Join([]string{address}); err != nil {
			m.once.Log(slog.LevelInfo, "join "+address, "a node could not be joined; it is tried again and again",
				slog.String("gossip", address), slog.Any("error", err))
		} else if len(known) == 1 {
			return // its list has the others
		}
	}
}
