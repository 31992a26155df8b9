package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/invitation"
)

// DefaultLeeway is how far the clock of whoever issues tokens may be off.
const DefaultLeeway = 10 * time.Second

// MaxKeys bounds the keys of a [JWT], apart from those of a [JWKS], and with them the signatures that are tried for
// one token.
const MaxKeys = 32

// JWTConfig says which tokens are believed.
type JWTConfig struct {
	// Keys are keys of which one may have signed.
	Keys []Key
	// Current, if set, returns more of them, as they are now: keys that are rotated while the node runs. It is asked
	// for each token, and must not block. Only MaxKeys in all count.
	Current func() []Key
	// JWKS, if set, has more of them, as their issuer publishes them. At least one of the three has to be there.
	JWKS *JWKS
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
	keys    []Key
	current func() []Key
	jwks    *JWKS
	leeway  time.Duration
	parser  *jwt.Parser
}

// NewJWT returns an authenticator, or the reason why the configuration cannot be right.
func NewJWT(c JWTConfig) (*JWT, error) {
	if len(c.Keys) > MaxKeys || len(c.Keys) == 0 && c.Current == nil && c.JWKS == nil {
		return nil, fmt.Errorf("auth: %d token keys: want 1 to %d", len(c.Keys), MaxKeys)
	}
	if c.Leeway < 0 {
		return nil, fmt.Errorf("auth: a leeway of %v: want 0 or more", c.Leeway)
	}
	if c.Leeway == 0 {
		c.Leeway = DefaultLeeway
	}
	for i, key := range c.Keys {
		if key.algorithm == "" {
			return nil, fmt.Errorf("auth: token key %d is empty: use SecretKey, PublicKey or ParsePublicKey", i)
		}
	}
	// That the algorithm is the key's own is for candidates to see.
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(c.Leeway),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	return &JWT{
		keys: slices.Clone(c.Keys), current: c.Current, jwks: c.JWKS, leeway: c.Leeway, parser: jwt.NewParser(options...),
	}, nil
}

// Authenticate believes the token's subject; that the login claims the same user is for the gateway
// to check. It blocks only where a [JWKS] has to be fetched.
func (j *JWT) Authenticate(ctx context.Context, r Request) (Identity, error) {
	if r.Token == "" {
		return Identity{}, ErrNoToken
	}
	c := candidates{j: j}
	var claims jwt.RegisteredClaims
	token, err := j.parser.ParseWithClaims(r.Token, &claims, c.having)
	if err != nil && c.more(err) {
		claims = jwt.RegisteredClaims{}
		token, err = j.parser.ParseWithClaims(r.Token, &claims, func(*jwt.Token) (any, error) { return c.fetched(ctx) })
	}
	if err != nil {
		return Identity{}, refusal(token, err)
	}
	subject := invitation.User(claims.Subject)
	if !subject.Valid() {
		return Identity{}, ErrClaims
	}
	return Identity{User: subject, Expires: claims.ExpiresAt.Add(j.leeway)}, nil
}

// refusal returns the error of this package for one of the library's, whose text may hold parts of the token.
func refusal(token *jwt.Token, err error) error {
	for _, is := range []struct{ theirs, ours error }{
		{ErrKeysAway, ErrKeysAway},
		{ErrBadToken, ErrBadToken},
		{jwt.ErrTokenExpired, ErrExpired},
		{jwt.ErrTokenNotValidYet, ErrNotYet},
		{jwt.ErrTokenInvalidIssuer, ErrIssuer},
		{jwt.ErrTokenInvalidAudience, ErrAudience},
		{jwt.ErrTokenRequiredClaimMissing, ErrClaims},
	} {
		if !errors.Is(err, is.theirs) {
			continue
		}
		if finer := Refusal(err); is.ours == ErrBadToken && finer != nil { //nolint:errorlint // a row of the table
			return finer
		}
		return is.ours
	}
	if token != nil {
		if name, _ := token.Header["alg"].(string); name != "" && !slices.Contains(algorithms, name) {
			return ErrAlgorithm
		}
	}
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		return ErrSignature
	}
	return ErrBadToken
}

// candidates are the keys that may have signed a token: those of its algorithm and, where both have one, of its key
// id.
type candidates struct {
	j         *JWT
	algorithm string
	id        string
	published bool // one of the JWKS was among them
}

func (c *candidates) match(key Key) bool {
	return key.algorithm == c.algorithm && (key.id == "" || c.id == "" || key.id == c.id)
}

// having returns those that there are without waiting for any.
func (c *candidates) having(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, ErrBadToken
	}
	c.id, _ = t.Header["kid"].(string)
	c.algorithm = t.Method.Alg()
	keys := c.j.keys
	if c.j.current != nil {
		keys = slices.Concat(keys, c.j.current())
		keys = keys[:min(len(keys), MaxKeys)]
	}
	why := ErrAlgorithm
	var set jwt.VerificationKeySet
	for _, key := range keys {
		if key.algorithm == c.algorithm {
			why = ErrNoKey
		}
		if c.match(key) {
			set.Keys = append(set.Keys, key.material)
		}
	}
	if c.j.jwks != nil && c.algorithm != "HS256" { // a secret is never published
		why = ErrNoKey
		for _, key := range c.j.jwks.having(c.match) {
			set.Keys, c.published = append(set.Keys, key.material), true
		}
	}
	if len(set.Keys) == 0 {
		return nil, why
	}
	return set, nil
}

// more reports whether a key may have signed the token that the JWKS has got since it was fetched.
func (c *candidates) more(err error) bool {
	return c.j.jwks != nil && !c.published && c.algorithm != "" && c.algorithm != "HS256" &&
		(errors.Is(err, ErrNoKey) || errors.Is(err, jwt.ErrTokenSignatureInvalid))
}

// fetched returns those of the JWKS, for which it may have to be fetched.
func (c *candidates) fetched(ctx context.Context) (any, error) {
	keys, err := c.j.jwks.find(ctx, c.match)
	if err != nil {
		return nil, err
	}
	var set jwt.VerificationKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, key.material)
	}
	if len(set.Keys) == 0 {
		return nil, ErrNoKey
	}
	return set, nil
}
