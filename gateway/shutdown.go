package gateway

import (
	"context"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// drainStep is the time between two batches of endings.
const drainStep = 50 * time.Millisecond

// StopAccepting takes no more connections; those that there are go on.
func (g *Gateway) StopAccepting() { g.draining.Store(true) }

// StartAccepting undoes StopAccepting. It must not be called once Shutdown has been.
func (g *Gateway) StartAccepting() { g.draining.Store(false) }

// EndAll ends the connections there are, as Shutdown does, and does not wait for the last to be gone.
func (g *Gateway) EndAll(ctx context.Context) error { return g.drain(ctx) }

// Shutdown takes no more connections, ends those there are with invitation.EndShutdown, spread over
// time (Config.DrainTime and DrainRate) so that the other nodes are not stormed, and returns when the last is
// gone. When ctx is done first it cuts the rest off and returns the cause. It uses at most two thirds
// of the time that ctx leaves for sending the endings. A second call waits like the first.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true)
	err := g.drain(ctx)
	if err == nil {
		err = g.waitEmpty(ctx)
	}
	for _, c := range g.conns.all() { // none, unless ctx is done
		c.cut()
	}
	g.reattacher.once.Do(func() { close(g.reattacher.stop) })
	g.pollMu.Lock()
	defer g.pollMu.Unlock()
	for _, p := range g.pollers {
		p.stop()
	}
	g.pollers, g.noPoll = nil, true
	return err
}

// drain ends the connections batch by batch.
func (g *Gateway) drain(ctx context.Context) error {
	list := g.conns.all()
	rate := float64(g.config.DrainRate)
	if spread := g.config.DrainTime.Seconds(); spread > 0 {
		rate = min(rate, float64(len(list))/spread)
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline)*2/3, drainStep)
		rate = max(rate, float64(len(list))/left.Seconds())
	}
	batch := max(int(rate*drainStep.Seconds()), 1)
	ending := g.shutdownEnding()
	ticker := time.NewTicker(drainStep)
	defer ticker.Stop()
	for len(list) > 0 {
		n := min(batch, len(list))
		for _, c := range list[:n] {
			c.deliver(invitation.Down{Ending: &ending})
		}
		if list = list[n:]; len(list) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

func (g *Gateway) shutdownEnding() invitation.Ending {
	return invitation.Ending{End: invitation.EndShutdown, RetryAfter: g.config.RetryAfter}
}

// waitEmpty waits for the last connection to go.
func (g *Gateway) waitEmpty(ctx context.Context) error {
	g.emptyMu.Lock()
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.emptyMu.Unlock()
	g.checkEmpty()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-empty:
		return nil
	}
}

// checkEmpty lets Shutdown go on when the last connection has gone.
func (g *Gateway) checkEmpty() {
	if !g.draining.Load() || g.admission.sockets.Load()+g.admission.local.Load() > 0 {
		return
	}
	g.emptyMu.Lock()
	defer g.emptyMu.Unlock()
	if g.empty != nil {
		select {
		case <-g.empty:
		default:
			close(g.empty)
		}
	}
}
