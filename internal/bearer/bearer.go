// Package bearer tells operators and back ends apart by bearer tokens (RFC 6750) from a file. Each token has a name,
// for the log, and scopes: what it is good for.
//
//	tokens, err := bearer.Open(bearer.Config{File: "admin-tokens", Scopes: []string{"metrics", "status"}})
//	mux.Handle("GET /status", tokens.Require("status", handler))
//
// # The file
//
// One token a line: name, scopes (comma-separated; * for all), token. Empty lines and those that begin with # are
// skipped. A token has 32 characters or more (openssl rand -hex 32); instead of it the file may have its hash, as
// sha256: and 64 hexadecimal digits, and then holds no secret:
//
//	prometheus  metrics         3f0c…
//	oncall      metrics,status  sha256:9f86…
//
// Names may repeat, so that an old and a new token of one holder count while it changes over. The file is read again
// when it has changed ([reread]); if it is wrong then, the tokens stay as they were.
//
// # What is safe
//
// Of tokens only hashes are kept, and all of them are compared for each request, so that time tells nothing about
// them. No error and no log has a token or a part of one. Whoever can guess 128 random bits gets in; there is no limit
// on attempts.
package bearer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/ringfleet/ringfleet/internal/reread"
)

// The bounds of a file.
const (
	MinToken  = 32       // characters of a token; shorter ones are refused
	MaxTokens = 64       // in a file
	maxFile   = 64 << 10 // bytes
)

// All is the scope that stands for every other one.
const All = "*"

// Why a request is refused.
var (
	ErrMissing = errors.New("a bearer token is needed")           // 401, or UNAUTHENTICATED
	ErrUnknown = errors.New("the bearer token is not known")      // 401, or UNAUTHENTICATED
	ErrScope   = errors.New("the bearer token is not for this")   // 403, or PERMISSION_DENIED
	ErrClosed  = errors.New("this needs a file of bearer tokens") // 403: there is none, so nobody may
)

// Config says which tokens there are.
type Config struct {
	File   string
	Scopes []string     // that tokens can have; a file that names another is refused
	Logger *slog.Logger // gets changes of the file; the default is to discard
}

// Tokens are the tokens of a file. Make them with [Open]; safe for concurrent use. A nil *Tokens knows none, and
// refuses everything with [ErrClosed].
type Tokens struct {
	source *reread.Source[[]entry]
}

// Grant is what is known of whoever brings a token.
type Grant struct {
	Name   string
	Scopes []string
}

// Has reports whether the grant has a scope.
func (g Grant) Has(scope string) bool {
	return slices.Contains(g.Scopes, scope) || slices.Contains(g.Scopes, All)
}

type entry struct {
	hash  [sha256.Size]byte
	grant Grant
}

// Open reads the file, or says what is wrong with it.
func Open(c Config) (*Tokens, error) {
	source, err := reread.New("bearer tokens", c.Logger, func() ([]entry, error) { return read(c) }, c.File)
	if err != nil {
		return nil, err
	}
	return &Tokens{source}, nil
}

// Reload reads the file at once. On an error the tokens stay as they were.
func (t *Tokens) Reload() error { return t.source.Reload() }

// Check returns who has the token, [ErrMissing] if it is empty, or [ErrUnknown].
func (t *Tokens) Check(token string) (Grant, error) {
	if t == nil {
		return Grant{}, ErrClosed
	}
	if token == "" {
		return Grant{}, ErrMissing
	}
	hash := sha256.Sum256([]byte(token))
	found := -1
	entries := t.source.Get()
	for i := range entries {
		if subtle.ConstantTimeCompare(hash[:], entries[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Grant{}, ErrUnknown
	}
	return entries[found].grant, nil
}

// Authorize is [Tokens.Check], and [ErrScope] for a token that has not the scope.
func (t *Tokens) Authorize(token, scope string) (Grant, error) {
	grant, err := t.Check(token)
	if err == nil && !grant.Has(scope) {
		err = fmt.Errorf("%w: want the scope %q", ErrScope, scope)
	}
	return grant, err
}

// read returns what is in the file. Its errors show nothing of a token.
func read(c Config) ([]entry, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", c.File, maxFile)
	}
	var entries []entry
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		e, err := parse(fields, c.Scopes)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", c.File, number, err)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 || len(entries) > MaxTokens {
		return nil, fmt.Errorf("%s has %d tokens: want 1 to %d", c.File, len(entries), MaxTokens)
	}
	return entries, nil
}

func parse(fields, known []string) (entry, error) {
	if len(fields) != 3 {
		return entry{}, errors.New("want a name, scopes and a token, with spaces between them")
	}
	e := entry{grant: Grant{Name: fields[0], Scopes: strings.Split(fields[1], ",")}}
	for i, scope := range e.grant.Scopes {
		if scope != All && !slices.Contains(known, scope) {
			// The scope is not shown: who forgot the scopes has the token in its place.
			return entry{}, fmt.Errorf("scope number %d of %s is not known: want %s or %s", i+1, fields[0], strings.Join(known, ", "), All)
		}
	}
	token := fields[2]
	if digits, hashed := strings.CutPrefix(token, "sha256:"); hashed {
		hash, err := hex.DecodeString(digits)
		if err != nil || len(hash) != sha256.Size {
			return entry{}, errors.New("sha256: wants 64 hexadecimal digits (printf %s TOKEN | sha256sum)")
		}
		e.hash = [sha256.Size]byte(hash)
		return e, nil
	}
	if len(token) < MinToken {
		return entry{}, fmt.Errorf("a token of %d characters can be guessed: want %d or more (openssl rand -hex 32)", len(token), MinToken)
	}
	e.hash = sha256.Sum256([]byte(token))
	return e, nil
}
