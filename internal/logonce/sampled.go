package logonce

import (
	"context"
	"log/slog"
)

// Hot is how many lines of one message a sampled logger writes in [Again] before it leaves any out.
const Hot = 100

// Sampled returns a logger that writes what logger does, but of a warning or error that is hot only a sample: [Hot] with
// the same level and message in [Again], then the thousandth, the ten thousandth and so on, each with how many were left
// out (`repeated`). A message is expected to be a constant.
func Sampled(logger *slog.Logger) *slog.Logger {
	if _, is := logger.Handler().(*sampler); is {
		return logger
	}
	return slog.New(&sampler{logger.Handler(), &causes{whole: Hot, tens: true}})
}

// Whole returns the logger that Sampled was given, for what must not be left out, as who did what. Attributes and groups
// that were added since stay.
func Whole(logger *slog.Logger) *slog.Logger {
	if s, is := logger.Handler().(*sampler); is {
		return slog.New(s.Handler)
	}
	return logger
}

// sampler is the handler of a sampled logger.
type sampler struct {
	slog.Handler
	causes *causes // of this one and all that were made of it
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface's
	if r.Level < slog.LevelWarn {
		return s.Handler.Handle(ctx, r)
	}
	left, say := s.causes.count(r.Level.String()+" "+r.Message, r.Time)
	if !say {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(repeated(left))
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{s.Handler.WithAttrs(attrs), s.causes}
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{s.Handler.WithGroup(name), s.causes}
}
