package auth_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/gateway/auth"
)

// issuer publishes keys, and can go away.
type issuer struct {
	t       *testing.T
	mu      sync.Mutex
	set     jose.JSONWebKeySet
	answer  string // instead of the set
	status  int
	away    bool
	slow    time.Duration
	fetches int
}

// RoundTrip implements http.RoundTripper: there is no network in a bubble.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	if i.away {
		return nil, errors.New("connection refused")
	}
	timer := time.NewTimer(i.slow)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timer.C:
	}
	text, err := json.Marshal(i.set)
	if err != nil {
		i.t.Error(err)
	}
	if i.answer != "" {
		text = []byte(i.answer)
	}
	return &http.Response{
		StatusCode: i.status, Status: http.StatusText(i.status), Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(text))),
	}, nil
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.set.Keys = keys
}

func (i *issuer) goAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// asked tells how often it was fetched.
func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// published returns an authenticator that believes an issuer, with that issuer.
func published(t *testing.T, c auth.JWTConfig, keys ...jose.JSONWebKey) (*auth.JWT, *issuer) {
	t.Helper()
	i := &issuer{t: t, status: http.StatusOK}
	i.publish(keys...)
	set, err := auth.NewJWKS(auth.JWKSConfig{URL: "https://issuer.example/keys", Transport: i})
	if err != nil {
		t.Fatal(err)
	}
	c.JWKS = set
	return newJWT(t, c), i
}

func jwk(id string, key any) jose.JSONWebKey { return jose.JSONWebKey{KeyID: id, Key: key, Use: "sig"} }

func edwards(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func named(t *testing.T, key ed25519.PrivateKey, id string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, key, alice(48*time.Hour), "kid", id)
}

func check(t *testing.T, j *auth.JWT, token string, want error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if who, err := j.Authenticate(ctx, auth.Request{Token: token}); !errors.Is(err, want) || err == nil && who.User != "alice" {
		t.Errorf("%+v, %v; want %v", who, err, want)
	}
}

// TestPublishedKeys believes tokens of each algorithm whose key is in the set, and no others.
func TestPublishedKeys(t *testing.T) {
	k := newKeys(t)
	_, stranger := edwards(t)
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{},
			jwk("e", k.edPublic), jwk("c", &k.ecPrivate.PublicKey), jwk("r", &k.rsaPrivate.PublicKey))
		check(t, j, named(t, k.edPrivate, "e"), nil)
		check(t, j, sign(t, jwt.SigningMethodEdDSA, k.edPrivate, alice(time.Hour)), nil)
		check(t, j, sign(t, jwt.SigningMethodES256, k.ecPrivate, alice(time.Hour), "kid", "c"), nil)
		check(t, j, sign(t, jwt.SigningMethodRS256, k.rsaPrivate, alice(time.Hour), "kid", "r"), nil)
		check(t, j, named(t, stranger, "e"), auth.ErrSignature)
		check(t, j, sign(t, jwt.SigningMethodHS256, []byte(k.edPublic), alice(time.Hour), "kid", "e"), auth.ErrAlgorithm)
		check(t, j, sign(t, jwt.SigningMethodPS256, k.rsaPrivate, alice(time.Hour), "kid", "r"), auth.ErrAlgorithm)
		check(t, j, none(alice(time.Hour)), auth.ErrAlgorithm)
		if n := i.asked(); n != 1 {
			t.Errorf("%d fetches for keys that are there, want 1", n)
		}
		check(t, j, named(t, k.edPrivate, "r"), auth.ErrNoKey) // the id of another algorithm's key
	})
}

// TestRotatedKey publishes a new key: its first token waits for the set, and the old key's tokens stop counting when
// it is gone from a set that was fetched again.
func TestRotatedKey(t *testing.T) {
	olderPublic, older := edwards(t)
	newerPublic, newer := edwards(t)
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{}, jwk("1", olderPublic))
		check(t, j, named(t, older, "1"), nil)
		i.publish(jwk("1", olderPublic), jwk("2", newerPublic))
		check(t, j, named(t, newer, "2"), nil)
		check(t, j, named(t, older, "1"), nil)
		i.publish(jwk("2", newerPublic))
		check(t, j, named(t, older, "1"), nil)
		time.Sleep(10 * time.Minute)
		check(t, j, named(t, newer, "2"), nil) // has it fetched again, and does not wait
		synctest.Wait()
		check(t, j, named(t, older, "1"), auth.ErrNoKey)
	})
}

// TestUnknownKeysAreBounded floods with tokens of keys that do not exist: each is refused for good, and the issuer
// is asked once in JWKSInterval.
func TestUnknownKeysAreBounded(t *testing.T) {
	public, private := edwards(t)
	_, stranger := edwards(t)
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{}, jwk("1", public))
		check(t, j, named(t, private, "1"), nil)
		began, before := time.Now(), i.asked()
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				check(t, j, named(t, stranger, "forged"), auth.ErrNoKey)
				check(t, j, named(t, private, "1"), nil) // nobody else waits
			})
		}
		all.Wait()
		most := int(time.Since(began)/auth.JWKSInterval) + 1
		if n := i.asked() - before; n < 2 || n > most {
			t.Errorf("%d fetches in %v, want 2 to %d", n, time.Since(began), most)
		}
	})
}

// TestIssuerAway goes on with the keys that there are, for the time that was said, and decides nothing about others.
func TestIssuerAway(t *testing.T) {
	public, private := edwards(t)
	newerPublic, newer := edwards(t)
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{}, jwk("1", public))
		i.goAway(true)
		check(t, j, named(t, private, "1"), auth.ErrKeysAway) // from the start
		i.goAway(false)
		check(t, j, named(t, private, "1"), nil)
		i.goAway(true)
		for range 23 {
			time.Sleep(time.Hour)
			check(t, j, named(t, private, "1"), nil)
			check(t, j, named(t, newer, "2"), auth.ErrKeysAway)
		}
		time.Sleep(time.Hour)
		check(t, j, named(t, private, "1"), auth.ErrKeysAway) // a day is over
		i.publish(jwk("2", newerPublic))
		i.goAway(false)
		check(t, j, named(t, newer, "2"), nil)
		check(t, j, named(t, private, "1"), auth.ErrNoKey)
	})
}

// TestIssuerSpoilt keeps the keys when what comes is no set of keys, and gives up on an answer that does not come.
func TestIssuerSpoilt(t *testing.T) {
	public, private := edwards(t)
	k := newKeys(t)
	secretSet, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk("s", secret), jwk("p", k.edPrivate)}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{}, jwk("1", public))
		check(t, j, named(t, private, "1"), nil)
		for name, spoil := range map[string]func(){
			"no JSON":     func() { i.answer = "<html>" },
			"no keys":     func() { i.answer = `{"keys": []}` },
			"secrets":     func() { i.answer = string(secretSet) },
			"too long":    func() { i.answer = strings.Repeat(" ", 1<<20) },
			"not found":   func() { i.status = http.StatusNotFound },
			"takes hours": func() { i.slow = time.Hour },
		} {
			time.Sleep(time.Hour)
			i.mu.Lock()
			i.answer, i.status, i.slow = "", http.StatusOK, 0
			spoil()
			i.mu.Unlock()
			began := time.Now()
			check(t, j, named(t, private, "1"), nil)
			check(t, j, named(t, private, "2"), auth.ErrKeysAway)
			if took := time.Since(began); took > auth.JWKSInterval+auth.JWKSTimeout {
				t.Errorf("%s: it took %v", name, took)
			}
			check(t, j, named(t, private, "1"), nil)
		}
	})
}

// TestStaticKeysBesideASet believes them at once, whether the issuer is there or not.
func TestStaticKeysBesideASet(t *testing.T) {
	public, private := edwards(t)
	k := newKeys(t)
	synctest.Test(t, func(t *testing.T) {
		j, i := published(t, auth.JWTConfig{Keys: []auth.Key{k.edwards, k.secret}}, jwk("1", public))
		i.goAway(true)
		began := time.Now()
		check(t, j, sign(t, jwt.SigningMethodEdDSA, k.edPrivate, alice(time.Hour)), nil)
		check(t, j, named(t, k.edPrivate, "its own"), nil)
		check(t, j, sign(t, jwt.SigningMethodHS256, secret, alice(time.Hour)), nil)
		if took, n := time.Since(began), i.asked(); took > 0 || n > 0 {
			t.Errorf("it took %v and %d fetches", took, n)
		}
		i.goAway(false)
		check(t, j, named(t, private, "1"), nil)
	})
}

// TestCurrentKeys changes static keys while the authenticator is in use.
func TestCurrentKeys(t *testing.T) {
	k := newKeys(t)
	current := []auth.Key{k.edwards}
	j := newJWT(t, auth.JWTConfig{Current: func() []auth.Key { return current }})
	check(t, j, sign(t, jwt.SigningMethodEdDSA, k.edPrivate, alice(time.Hour)), nil)
	check(t, j, sign(t, jwt.SigningMethodRS256, k.rsaPrivate, alice(time.Hour)), auth.ErrAlgorithm)
	current = []auth.Key{k.rsa}
	check(t, j, sign(t, jwt.SigningMethodEdDSA, k.edPrivate, alice(time.Hour)), auth.ErrAlgorithm)
	check(t, j, sign(t, jwt.SigningMethodRS256, k.rsaPrivate, alice(time.Hour)), nil)
}

// TestRefresh asks for the set, and hears what is wrong with it.
func TestRefresh(t *testing.T) {
	public, _ := edwards(t)
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{t: t, status: http.StatusOK, away: true}
		i.publish(jwk("1", public))
		set, err := auth.NewJWKS(auth.JWKSConfig{URL: "http://127.0.0.1:1/keys", Transport: i})
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("an issuer that is away: %v", err)
		}
		i.goAway(false)
		if err := set.Refresh(t.Context()); err == nil || i.asked() != 1 {
			t.Errorf("at once again: %v after %d fetches", err, i.asked())
		}
		time.Sleep(auth.JWKSInterval)
		if err := set.Refresh(t.Context()); err != nil {
			t.Errorf("an issuer that is back: %v", err)
		}
	})
}

func TestWrongJWKS(t *testing.T) {
	for _, c := range []auth.JWKSConfig{
		{},
		{URL: "keys.json"},
		{URL: "http://issuer.example/keys"},
		{URL: "ftp://issuer.example/keys"},
		{URL: "://"},
		{URL: "https://issuer.example/keys", Refresh: -1},
		{URL: "https://issuer.example/keys", Refresh: time.Hour, Keep: time.Minute},
	} {
		if _, err := auth.NewJWKS(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	_, err := auth.NewJWKS(auth.JWKSConfig{URL: "http://user:sesame@issuer.example/keys"})
	if err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a password is shown, or taken: %v", err)
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"c2VjcmV0"},7]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := auth.ParseJWKS(text)
		if err == nil && len(keys) == 0 {
			t.Error("no keys, and no error")
		}
		for _, key := range keys {
			if key.Algorithm() == "" || key.Algorithm() == "HS256" {
				t.Errorf("a key for %q", key.Algorithm())
			}
		}
	})
}
