package main

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// What clients do to come back, as package client has it, and what a node takes; model_test.go compares the last with the
// gateway's defaults.
const (
	firstBackoff = 250 * time.Millisecond // doubled with each failure; a random part of it is waited
	mostBackoff  = 10 * time.Second
	patience     = 10 * time.Second // for an attempt
	loginRate    = 5_000            // logins per second and node, with as many at once

	// mostSimulated are clients; of more, one stands for several, and the rate is that much lower. roughly is enough to look
	// for how many come back in time.
	mostSimulated, roughly = 8_000, 1_000
)

// comeback is how the clients of a lost node come back to those that are left.
type comeback struct {
	half, most, last time.Duration // until 50 %, 99 % and all are back, from the break of the connections
	attempts         float64       // of each client, on average
	first            float64       // attempts in the first second, per node that is left
}

// endless is what is not over after that.
const endless = 5 * time.Minute

// simulate lets clients come back to nodes that each take loginRate logins a second, of which as many may come at once, and
// whose processors take attempts one after the other, each for so long. A client goes to a random node after a random part of
// a back-off that doubles; who is refused is told when the next login is free, as the gateway tells; who has waited for
// patience goes away, before it costs anything. A refused attempt costs as much as one that is taken.
func simulate(clients, nodes int, each time.Duration, most float64) comeback {
	scale := max(1, float64(clients)/most)
	clients, rate, each := int(float64(clients)/scale), loginRate/scale, time.Duration(float64(each)*scale)
	random := rand.New(rand.NewPCG(1, uint64(clients)))
	due := make(attempts, clients)
	for i := range due {
		due[i].at = rand64(random, firstBackoff)
	}
	heap.Init(&due)
	left := make([]survivor, nodes)
	for i := range left {
		left[i].tokens = rate
	}
	var result comeback
	made, back := 0, 0
	for len(due) > 0 && due[0].at < endless {
		a := &due[0]
		if made++; a.at < time.Second {
			result.first += scale / float64(nodes)
		}
		done, told, taken := left[random.IntN(nodes)].login(a.at, each, rate)
		if !taken {
			a.failures++
			a.at = done + told + rand64(random, backoff(a.failures))
			heap.Fix(&due, 0)
			continue
		}
		back++
		if back == (clients+1)/2 {
			result.half = done
		}
		if back == clients-clients/100 {
			result.most = done
		}
		result.last = max(result.last, done)
		heap.Pop(&due)
	}
	if len(due) > 0 {
		result.most, result.last = endless, endless
	}
	result.attempts = float64(made) / float64(max(clients, 1))
	return result
}

func backoff(failures uint8) time.Duration {
	if failures < 16 {
		return min(mostBackoff, firstBackoff<<failures)
	}
	return mostBackoff
}

// survivor is a node that is left.
type survivor struct {
	busy, seen time.Duration // until when it works; when tokens were counted
	tokens     float64
}

// login returns when a client is answered that comes at a time, how long it is to wait then, and whether it is in.
func (s *survivor) login(at, each time.Duration, rate float64) (done, told time.Duration, taken bool) {
	if s.busy > at+patience {
		return at + patience, 0, false
	}
	s.busy = max(s.busy, at) + each
	s.tokens = min(rate, s.tokens+rate*(s.busy-s.seen).Seconds())
	s.seen = s.busy
	if s.tokens >= 1 {
		s.tokens--
		return s.busy, 0, true
	}
	return s.busy, time.Duration((1 - s.tokens) / rate * float64(time.Second)), false
}

func rand64(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(limit)))
}

// client is when one tries next.
type client struct {
	at       time.Duration
	failures uint8
}

// attempts implements heap.Interface; the first is the earliest.
type attempts []client

func (a attempts) Len() int           { return len(a) }
func (a attempts) Less(i, j int) bool { return a[i].at < a[j].at }
func (a attempts) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *attempts) Push(x any)        { *a = append(*a, x.(client)) }
func (a *attempts) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
