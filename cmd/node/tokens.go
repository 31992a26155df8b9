package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/reread"
)

// tokenSettings are the settings about who clients are.
type tokenSettings struct {
	mode       string // development or jwt
	publicKeys string
	secret     string
	jwks       string
	refresh    time.Duration
	keep       time.Duration
	issuer     string
	audience   string

	keys *reread.Source[[]auth.Key] // of the files; nil for none
	set  *auth.JWKS                 // nil for none
}

func (s *tokenSettings) register(f *flag.FlagSet) {
	f.StringVar(&s.mode, "auth", "development", "who clients are: development (believe them; loopback only) or jwt")
	f.StringVar(&s.publicKeys, "token-public-keys", "", "PEM `file` of Ed25519, P-256 or RSA public keys that sign tokens; read again when it changes (auth jwt)")
	f.StringVar(&s.secret, "token-secret-file", "", "`file` with the HS256 secret, 32 bytes or more; read again when it changes (auth jwt)")
	f.StringVar(&s.jwks, "token-jwks-url", "", "`URL` where the tokens' issuer publishes its keys, a JSON Web Key Set (auth jwt)")
	f.DurationVar(&s.refresh, "token-jwks-refresh", 10*time.Minute, "age at which that set is fetched again")
	f.DurationVar(&s.keep, "token-jwks-keep", 24*time.Hour, "time that its keys count for while the issuer is away")
	f.StringVar(&s.issuer, "token-issuer", "", "the iss that tokens must have, if any")
	f.StringVar(&s.audience, "token-audience", "", "the aud that tokens must have, if any")
}

// authenticator makes the authenticator.
func (s *settings) authenticator() error {
	t := &s.tokens
	jwt := t.publicKeys+t.secret+t.jwks+t.issuer+t.audience != ""
	switch {
	case t.mode == "development" && jwt:
		return errors.New("token settings are for --auth jwt, but auth is development")
	case t.mode == "development":
		s.node.Gateway.Authenticator = auth.Development{}
		return auth.CheckLoopback(s.node.ClientAddress)
	case t.mode != "jwt":
		return fmt.Errorf("auth %q: want development or jwt", t.mode)
	case t.publicKeys+t.secret+t.jwks == "":
		return errors.New("auth jwt needs token-public-keys, token-secret-file or token-jwks-url")
	}
	config := auth.JWTConfig{Issuer: t.issuer, Audience: t.audience}
	var files []string
	for _, name := range []string{t.secret, t.publicKeys} {
		if name != "" {
			files = append(files, name)
		}
	}
	var err error
	if len(files) > 0 {
		if t.keys, err = reread.New("token keys", s.node.Logger, t.read, files...); err != nil {
			return err
		}
		config.Current = t.keys.Get
	}
	if t.jwks != "" {
		t.set, err = auth.NewJWKS(auth.JWKSConfig{URL: t.jwks, Refresh: t.refresh, Keep: t.keep, Logger: s.node.Logger})
		if err != nil {
			return fmt.Errorf("token-jwks-url, token-jwks-refresh, token-jwks-keep: %w", err)
		}
		config.JWKS = t.set
	}
	authenticator, err := auth.NewJWT(config)
	s.node.Gateway.Authenticator = authenticator
	return err
}

// reload reads the keys of tokens again, wherever they are.
func (s *tokenSettings) reload(ctx context.Context) error {
	var errs []error
	if s.keys != nil {
		errs = append(errs, s.keys.Reload())
	}
	if s.set != nil {
		errs = append(errs, s.set.Refresh(ctx))
	}
	return errors.Join(errs...)
}

// read reads the keys that are in files.
func (s *tokenSettings) read() ([]auth.Key, error) {
	var keys []auth.Key
	if s.secret != "" {
		secret, err := os.ReadFile(s.secret)
		if err != nil {
			return nil, fmt.Errorf("token-secret-file: %w", err)
		}
		key, err := auth.SecretKey([]byte(strings.TrimRight(string(secret), "\r\n")))
		if err != nil {
			return nil, fmt.Errorf("token-secret-file: %w", err)
		}
		keys = append(keys, key)
	}
	if s.publicKeys == "" {
		return keys, nil
	}
	text, err := os.ReadFile(s.publicKeys)
	if err != nil {
		return nil, fmt.Errorf("token-public-keys: %w", err)
	}
	const end = "-----END PUBLIC KEY-----"
	before := len(keys)
	for block := range strings.SplitAfterSeq(string(text), end) {
		if strings.TrimSpace(block) == "" {
			continue
		}
		key, err := auth.ParsePublicKey([]byte(block))
		if err != nil {
			return nil, fmt.Errorf("token-public-keys: %w", err)
		}
		keys = append(keys, key)
	}
	if len(keys) == before || len(keys) > auth.MaxKeys {
		return nil, fmt.Errorf("token-public-keys: %s has %d keys: want 1 to %d (with -----BEGIN PUBLIC KEY-----)", s.publicKeys, len(keys)-before, auth.MaxKeys)
	}
	return keys, nil
}
