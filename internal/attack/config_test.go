package attack

import (
	"context"
	"log/slog"
	"sync"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
)

func gatewayConfig() gateway.Config { return gateway.Config{Authenticator: auth.Development{}} }

// panicLog keeps the records of panics.
type panicLog struct {
	mu   sync.Mutex
	seen []string
}

func (p *panicLog) logger() *slog.Logger { return slog.New(p) }

func (p *panicLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (p *panicLog) Handle(_ context.Context, r slog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := r.Message
	r.Attrs(func(a slog.Attr) bool { s += " " + a.String(); return true })
	p.seen = append(p.seen, s)
	return nil
}

func (p *panicLog) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p *panicLog) WithGroup(string) slog.Handler      { return p }

func (p *panicLog) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

func (p *panicLog) last() string { return p.seen[len(p.seen)-1] }
