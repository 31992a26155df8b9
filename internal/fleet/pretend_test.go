package fleet_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// pretendEnv makes this test program something else: a node that only pretends to be one, or a program that has a
// fleet and is killed.
const pretendEnv = "FLEET_TEST_PRETENDS"

func TestMain(m *testing.M) {
	switch os.Getenv(pretendEnv) {
	case "node":
		os.Exit(pretend())
	case "parent":
		os.Exit(parent())
	}
	flag.Parse()
	code := m.Run()
	removeBuilt()
	os.Exit(code)
}

// pretend takes the flags of a node and serves its admin address. It says what it is asked to, through its own
// sockets.
func pretend() int {
	values := map[string]*string{}
	for _, name := range []string{
		"name", "client-address", "admin-address", "gossip-address", "gossip-advertise", "peer-address", "peer-advertise", "join", "mood",
	} {
		values[name] = flag.String(name, "", "")
	}
	flag.Parse()
	if *values["mood"] == "ends" {
		fmt.Fprintln(os.Stderr, "no mood to serve")
		return 3
	}
	gossip, err := net.ListenPacket("udp", *values["gossip-address"])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if *values["mood"] == "late" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "# HELP of no use\nanswers{to=\"all that\"} 42\nlevel 1e3")
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		seeds, _ := os.ReadFile(strings.TrimPrefix(*values["join"], "file:")) // none shows
		_, _ = fmt.Fprintf(w, `{"node": %q, "cluster": {"members": [{"name": %q, "lifecycle": "serving", "build": %q}], "shards": {"held": 4096}}}`,
			*values["name"], *values["name"], strings.Join(strings.Fields(string(seeds)), " "))
	})
	mux.HandleFunc("/say", func(w http.ResponseWriter, r *http.Request) {
		if err := say(gossip, r.FormValue("to")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener, err := net.Listen("tcp", *values["admin-address"])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s pretends, after %s\n", *values["name"], os.Getenv("RINGFLEET_EXPIRE")+os.Getenv("FLEET_TEST_WORD"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Handler: mux} //nolint:gosec // a test's
	go func() { _ = server.Serve(listener) }()
	if *values["mood"] == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	<-ctx.Done()
	return 7
}

// say sends a datagram to an address, and a word over a connection.
func say(from net.PacketConn, to string) error {
	address, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return err
	}
	if _, err := from.WriteTo([]byte("datagram"), address); err != nil {
		return err
	}
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("stream")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // an end tells that it was taken
	if err != nil && strings.Contains(err.Error(), "EOF") {
		return nil
	}
	return err
}

// parent has a fleet of one node, whose process it names, and waits to be killed.
func parent() int {
	f, err := fleet.New(pretending())
	if err == nil {
		var n *fleet.Node
		if n, err = f.Add(context.Background(), fleet.NodeOptions{Name: "child"}); err == nil {
			fmt.Println(n.PID(), f.Dir())
			select {}
		}
	}
	fmt.Println(err)
	return 1
}

// pretending is the configuration of a fleet whose nodes only pretend.
func pretending() fleet.Config {
	return fleet.Config{Binary: os.Args[0], Env: []string{pretendEnv + "=node"}}
}
