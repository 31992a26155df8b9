package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/invitation"
)

// DefaultLeeway is how far the clock of whoever issues tokens may be off.
const DefaultLeeway = 10 * time.Second

// MaxKeys bounds the keys of a [JWT], and with them the signatures that are tried for one token.
const MaxKeys = 32

// JWTConfig says which tokens are believed.
type JWTConfig struct {
	// Keys are the keys of which one has to have signed. At least one.
	Keys []Key
	// Issuer, if set, has to be the token's iss.
	Issuer string
	// Audience, if set, has to be among the token's aud.
	Audience string
	// Leeway is applied to exp and nbf. The default value is DefaultLeeway.
	Leeway time.Duration
}

// JWT believes JSON Web Tokens (RFC 7519) that one of its keys has signed. The subject is the user,
// exp has to be there, nbf and exp hold. A token with a critical header (RFC 7515 §4.1.11) is
// refused, as none is understood, and so is alg "none". It is safe for concurrent use.
type JWT struct {
	keys   []Key
	leeway time.Duration
	parser *jwt.Parser
}

// NewJWT returns an authenticator, or the reason why the configuration cannot be right.
func NewJWT(c JWTConfig) (*JWT, error) {
	if len(c.Keys) == 0 || len(c.Keys) > MaxKeys {
		return nil, fmt.Errorf("auth: %d token keys: want 1 to %d", len(c.Keys), MaxKeys)
	}
	if c.Leeway < 0 {
		return nil, fmt.Errorf("auth: a leeway of %v: want 0 or more", c.Leeway)
	}
	if c.Leeway == 0 {
		c.Leeway = DefaultLeeway
	}
	var algorithms []string
	for i, key := range c.Keys {
		if key.algorithm == "" {
			return nil, fmt.Errorf("auth: token key %d is empty: use SecretKey, PublicKey or ParsePublicKey", i)
		}
		algorithms = append(algorithms, key.algorithm)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(c.Leeway),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	return &JWT{keys: append([]Key(nil), c.Keys...), leeway: c.Leeway, parser: jwt.NewParser(options...)}, nil
}

// Authenticate believes the token's subject; that the login claims the same user is for the gateway
// to check. It does not block.
func (j *JWT) Authenticate(_ context.Context, r Request) (Identity, error) {
	if r.Token == "" {
		return Identity{}, ErrNoToken
	}
	var claims jwt.RegisteredClaims
	if _, err := j.parser.ParseWithClaims(r.Token, &claims, j.candidates); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return Identity{}, ErrExpired
		}
		return Identity{}, ErrBadToken // the library's text may hold parts of the token
	}
	subject := invitation.User(claims.Subject)
	if !subject.Valid() {
		return Identity{}, fmt.Errorf("%w: its subject is not a user id", ErrBadToken)
	}
	return Identity{User: subject, Expires: claims.ExpiresAt.Add(j.leeway)}, nil
}

// candidates returns the keys that may have signed the token: those of its algorithm and, where
// both have one, of its key id.
func (j *JWT) candidates(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("critical header")
	}
	id, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, key := range j.keys {
		if key.algorithm == t.Method.Alg() && (key.id == "" || id == "" || key.id == id) {
			set.Keys = append(set.Keys, key.material)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key")
	}
	return set, nil
}
