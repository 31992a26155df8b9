package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/actors/engine"
)

// room counts its guests and closes some time after the last orders.
type room struct {
	name   string
	count  int
	closed chan struct{}
}

func (r *room) Receive(c *engine.Context, msg any) {
	switch msg {
	case engine.Tick{}:
		fmt.Printf("%s closes after %d guests\n", r.name, r.count)
		c.Leave()
		close(r.closed)
	case "last orders":
		c.Arm(c.Now().Add(20 * time.Millisecond))
	default:
		r.count++
		fmt.Printf("%s: %v comes in\n", r.name, msg)
	}
}

func (r *room) OnPanic(c *engine.Context, _ any, _ []byte, _ any) { c.Leave() }

func Example() {
	closed := make(chan struct{})
	sys := engine.New(engine.Options{Tick: time.Millisecond})
	rooms := engine.NewDirectory(sys, engine.DirectoryOptions[string]{
		Activate: func(name string, _ any) engine.Behavior { return &room{name: name, closed: closed} },
	})
	for _, msg := range []string{"Ada", "Grace", "last orders"} {
		if err := rooms.Tell("lobby", msg); err != nil {
			fmt.Println(err)
		}
	}
	<-closed
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(sys.Stop(ctx), rooms.Len())
	// Output:
	// lobby: Ada comes in
	// lobby: Grace comes in
	// lobby closes after 2 guests
	// <nil> 0
}
