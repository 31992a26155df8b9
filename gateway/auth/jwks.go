package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The bounds of a key set.
const (
	MaxJWKSKeys  = 100       // keys of use in a set
	maxJWKSBytes = 512 << 10 // of the document
	// JWKSTimeout is how long one fetch may take.
	JWKSTimeout = 4 * time.Second
	// JWKSInterval lies between the starts of two fetches, whatever tokens come.
	JWKSInterval = 5 * time.Second
	// JWKSRetry is after what time a fetch that failed is repeated, while the keys that there are still count.
	JWKSRetry = 30 * time.Second
)

// ErrKeysAway says that the key set could not be fetched, so that nothing can be said of a token. It is no refusal:
// the client is told to come back.
var ErrKeysAway = errors.New("auth: the keys of the token's issuer cannot be had")

// JWKSConfig says where an issuer publishes its keys, as a JSON Web Key Set (RFC 7517). Zero fields stand for the
// default values.
type JWKSConfig struct {
	// URL is where it is. https, or http on loopback.
	URL string
	// Refresh is how old the set may become before it is fetched again; default 10 min. A key that the issuer has
	// taken out is believed for that long.
	Refresh time.Duration
	// Keep is how long the keys of the last fetch count when no other succeeds; default 24 h.
	Keep time.Duration
	// Transport makes the requests; default http.DefaultTransport.
	Transport http.RoundTripper
	// Logger gets what goes wrong, and changes of the set. The default is to discard.
	Logger *slog.Logger
}

// JWKS is the keys that an issuer publishes. They are fetched when a token needs them: the first time, when they are
// older than Refresh (without waiting for it), and for a token whose key is not among them, which waits; at most
// once in [JWKSInterval]. Between tokens nothing runs. When the issuer is away, the keys of the last fetch count for
// the time Keep; tokens with other keys are answered with [ErrKeysAway] then. Make it with [NewJWKS]; it is safe for
// concurrent use.
type JWKS struct {
	config JWKSConfig
	client *http.Client

	mu      sync.Mutex
	keys    []Key
	fetched time.Time     // when the fetch that brought keys began; zero: there was none
	tried   time.Time     // when the last fetch began
	begun   uint64        // fetches so far
	failure error         // of the last fetch that ended
	running chan struct{} // closed when the fetch that runs ends; nil: none runs
	fetches [2]uint64     // that succeeded, that failed
}

// NewJWKS returns the key set, or what is wrong with the configuration. It does not fetch.
func NewJWKS(c JWKSConfig) (*JWKS, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("auth: JWKS: %q is not the URL of a key set", redacted(u))
	case !safe(u):
		return nil, fmt.Errorf("auth: JWKS: %s: want https, as whoever is between could put in keys of their own", redacted(u))
	case c.Refresh < 0 || c.Keep < 0:
		return nil, fmt.Errorf("auth: JWKS: Refresh is %v and Keep %v: want 0 (the default) or more", c.Refresh, c.Keep)
	}
	if c.Refresh == 0 {
		c.Refresh = 10 * time.Minute
	}
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Keep < c.Refresh {
		return nil, fmt.Errorf("auth: JWKS: keys are kept for %v and fetched every %v: want longer than that", c.Keep, c.Refresh)
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	client := &http.Client{Transport: c.Transport, Timeout: JWKSTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || !safe(r.URL) {
			return errors.New("a redirect too many, or to a place without https")
		}
		return nil
	}}
	return &JWKS{config: c, client: client}, nil
}

// safe reports whether nobody between here and there can change what is said.
func safe(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}

// Refresh fetches the set now, or waits for the fetch that runs, and returns what went wrong with it. Within
// [JWKSInterval] of the last fetch it returns what went wrong with that.
func (j *JWKS) Refresh(ctx context.Context) error {
	j.mu.Lock()
	done := j.running
	if done == nil && time.Since(j.tried) >= JWKSInterval {
		done = j.beginLocked()
	}
	j.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failure
}

// find returns the keys that match, none if the issuer has no such key, or ErrKeysAway.
func (j *JWKS) find(ctx context.Context, match func(Key) bool) ([]Key, error) {
	j.mu.Lock()
	before := j.begun
	j.mu.Unlock()
	for {
		keys, wait, err := j.look(before, match)
		if wait == nil {
			return keys, err
		}
		if err := wait(ctx); err != nil {
			return nil, ErrKeysAway
		}
	}
}

// look looks for the keys for a token that came after so many fetches had begun, or returns what to wait for before it
// looks again. Only a fetch that began later can say that there is no such key.
func (j *JWKS) look(before uint64, match func(Key) bool) (keys []Key, wait func(context.Context) error, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if keys := j.havingLocked(match); len(keys) > 0 {
		return keys, nil, nil
	}
	now := time.Now()
	switch ended := j.running == nil && j.begun > before; {
	case ended && j.failure != nil:
		return nil, nil, ErrKeysAway
	case ended:
		return nil, nil, nil
	case j.running != nil:
		return nil, waitFor(j.running), nil
	case now.Sub(j.tried) >= JWKSInterval:
		return nil, waitFor(j.beginLocked()), nil
	}
	return nil, waitUntil(j.tried.Add(JWKSInterval)), nil
}

// having returns the keys that match among those that there are.
func (j *JWKS) having(match func(Key) bool) []Key {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.havingLocked(match)
}

// havingLocked begins a fetch, too, if it is time for one.
func (j *JWKS) havingLocked(match func(Key) bool) (keys []Key) {
	now := time.Now()
	if j.fetched.IsZero() || now.Sub(j.fetched) >= j.config.Keep {
		return nil
	}
	if j.running == nil && now.Sub(j.tried) >= j.patienceLocked() {
		j.beginLocked()
	}
	for _, key := range j.keys {
		if match(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// patienceLocked returns how long after a fetch the next one is due.
func (j *JWKS) patienceLocked() time.Duration {
	if j.failure != nil {
		return min(JWKSRetry, j.config.Refresh)
	}
	return j.config.Refresh
}

func waitFor(done <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func waitUntil(at time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// beginLocked begins a fetch, which ends by itself within JWKSTimeout.
func (j *JWKS) beginLocked() chan struct{} {
	began, done := time.Now(), make(chan struct{})
	j.tried, j.running = began, done
	j.begun++
	go func() {
		defer close(done)
		keys, err := j.fetch()
		j.mu.Lock()
		defer j.mu.Unlock()
		j.running = nil
		if err != nil {
			j.fetches[1]++
			j.failure = err
			j.config.Logger.Warn("the key set of the tokens' issuer could not be fetched; the keys of the last fetch count for some time",
				"error", err, "age", began.Sub(j.fetched), "keep", j.config.Keep)
			return
		}
		j.fetches[0]++
		if len(keys) != len(j.keys) || j.failure != nil {
			j.config.Logger.Info("key set of the tokens' issuer fetched", "keys", len(keys))
		}
		j.keys, j.fetched, j.failure = keys, began, nil
	}()
	return done
}

// fetch gets the key set.
func (j *JWKS) fetch() ([]Key, error) {
	ctx, cancel := context.WithTimeout(context.Background(), JWKSTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, j.config.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := j.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.URL.Redacted(), answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxJWKSBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", r.URL.Redacted(), maxJWKSBytes)
	}
	return ParseJWKS(text)
}

// ParseJWKS reads a key set (RFC 7517 §5). Keys that are for something else, or of an algorithm that is not believed
// here, are left out, and so are secrets and private keys, which have no business in a set that is published. It
// is an error if nothing is left.
func ParseJWKS(text []byte) ([]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("auth: not a JSON Web Key Set: %w", err)
	}
	var keys []Key
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		key, err := PublicKey(k.Key)
		if err != nil || k.Algorithm != "" && k.Algorithm != key.algorithm {
			continue
		}
		keys = append(keys, key.WithID(k.KeyID))
	}
	if len(keys) == 0 || len(keys) > MaxJWKSKeys {
		return nil, fmt.Errorf("auth: a key set of %d keys, %d of use: want 1 to %d for EdDSA, ES256 or RS256",
			len(set.Keys), len(keys), MaxJWKSKeys)
	}
	return keys, nil
}
