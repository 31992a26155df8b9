package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// authenticator returns one that believes the tokens of users, or their word if they have none.
func (t *tokenOptions) authenticator() (gateway.Authenticator, error) {
	var key auth.Key
	var err error
	switch k := t.public().(type) {
	case nil:
		return auth.Development{}, nil
	case []byte:
		key, err = auth.SecretKey(k)
	default:
		key, err = auth.PublicKey(k)
	}
	if err != nil {
		return nil, fmt.Errorf("--jwt-key-file: %w", err)
	}
	return auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{key}, Issuer: t.issuer, Audience: t.audience})
}

// startNode starts a node in this process, and makes it the target. Its limits per user are those of a
// node that is to be loaded by few users. The function it returns stops it.
func (o *options) startNode() (stop func() error, err error) {
	authenticator, err := o.tokens.authenticator()
	if err != nil {
		return nil, err
	}
	node, err := ringfleet.Start(ringfleet.Config{
		Name:          "self",
		ClientAddress: "127.0.0.1:0",
		AdminAddress:  "127.0.0.1:0",
		Gateway:       gateway.Config{Authenticator: authenticator, FrameRate: 100_000, FrameBurst: 100_000},
		Session:       session.Config{Timers: o.timers, SendRate: 10_000, SendBurst: 10_000, MaxOutgoing: 4_096, MaxIncoming: 4_096, MaxPerCaller: 4_096},
	})
	if err != nil {
		return nil, err
	}
	o.targets = []string{"ws://" + node.ClientAddress().String()}
	o.metrics = append(o.metrics, "http://"+node.AdminAddress().String()+"/metrics")
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return node.Shutdown(ctx)
	}, nil
}
