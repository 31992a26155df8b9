package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// asNode makes this test binary the command: its name has not the prefix of the settings.
const asNode = "TEST_BINARY_IS_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command as a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr record
	client string // the URL for clients
	admin  string // the URL for its operator
	gossip string // the IP:port of the gossip
	peer   string // the IP:port for other nodes
}

// record keeps what a process writes, and can be read meanwhile.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// String returns what was written so far.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func newProcess(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)                                                       // kills what is left
	p := &process{t: t, cmd: exec.CommandContext(ctx, os.Args[0], args...)} //nolint:gosec // this test
	p.cmd.Env = append(os.Environ(), asNode+"=1")
	p.cmd.Stderr = &p.stderr
	return p
}

var addresses = regexp.MustCompile(`^ringfleet \S+ serves clients on (ws://\S+)/v1/connect and its operator on (http://\S+)\n` +
	`(?:ringfleet \S+ gossips on (\S+) and listens for peers on (\S+), cluster \S+\n)?$`)

// freePorts makes a node listen on ports that are free.
var freePorts = []string{
	"--client-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--gossip-address", "127.0.0.1:0", "--peer-address", "127.0.0.1:0",
}

// start starts a node on free ports, and waits until it serves.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(t, append(slices.Clone(freePorts), args...)...)
	p.begin(2)
	return p
}

// begin starts the process, and reads the lines that it says its addresses with.
func (p *process) begin(count int) {
	p.t.Helper()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var said string
	for range count {
		line, err := lines.ReadString('\n')
		if err != nil {
			_ = p.cmd.Wait() // what it said tells more
			p.t.Fatalf("the node said %q, %v; %s", said+line, err, p.stderr.String())
		}
		said += line
	}
	m := addresses.FindStringSubmatch(said)
	if m == nil {
		p.t.Fatalf("the node said %q", said)
	}
	p.client, p.admin, p.gossip, p.peer = m[1], m[2], m[3], m[4]
}

// stop sends a signal, and waits for the exit status.
func (p *process) stop(signal os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// phone logs in, and returns the client and the ends of its connections.
func (p *process) phone(ctx context.Context, user invitation.User, token string) (*client.Client, <-chan error, error) {
	lost := make(chan error, 8)
	carrier := &client.WebSocket{URLs: []string{p.client}, Token: client.StaticToken(token)}
	c, err := client.Dial(ctx, carrier, client.Options{User: user, OnEvent: func(e client.Event) {
		if e.Kind == client.SessionReconnecting {
			lost <- e.Err
		}
	}})
	if err == nil {
		p.t.Cleanup(func() { _ = c.Close() })
	}
	return c, lost, err
}

// TestServeAndStop starts a node, makes a call, and ends the node by each of the two signals.
func TestServeAndStop(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := start(t, "--shutdown-timeout", "20s", "--log-format", "json")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		alice, aliceLost, err := p.phone(ctx, "alice", "")
		if err != nil {
			t.Fatal(err)
		}
		bob, bobLost, err := p.phone(ctx, "bob", "")
		if err != nil {
			t.Fatal(err)
		}
		bob.OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Accept(ctx, "yes") }) // the call's end tells
		call := alice.NewLocalInvitation("bob")
		if err := errors.Join(call.Send(ctx), call.Wait(ctx)); err != nil {
			t.Fatal(err)
		}
		if call.State() != invitation.LocalAcceptedByRemote {
			t.Errorf("the call ended as %v", call.State())
		}
		for path, want := range map[string]string{
			"/healthz": "ok", "/readyz": "ready", "/status": `"ready": true`, "/metrics": "ringfleet_gateway_connections 2",
		} {
			if text := get(ctx, t, p.admin+path); !strings.Contains(text, want) {
				t.Errorf("%s says %q, want %q", path, text, want)
			}
		}
		stopped := time.Now()
		if code := p.stop(signal); code != exitOK {
			t.Errorf("%v: exit status %d; %s", signal, code, p.stderr.String())
		}
		if took := time.Since(stopped); took > 20*time.Second {
			t.Errorf("%v: it took %v", signal, took)
		}
		for name, lost := range map[string]<-chan error{"alice": aliceLost, "bob": bobLost} {
			select {
			case err := <-lost:
				if !errors.Is(err, invitation.EndShutdown) {
					t.Errorf("%v: %s was told %v, want SHUTDOWN", signal, name, err)
				}
			case <-ctx.Done():
				t.Errorf("%v: %s was told nothing", signal, name)
			}
		}
		if !strings.Contains(p.stderr.String(), "development authentication is on") {
			t.Errorf("nothing warns of development authentication: %s", p.stderr.String())
		}
	}
}

func get(ctx context.Context, t *testing.T, url string) string {
	t.Helper()
	text, err := fetch(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fetch returns what is at a URL.
func fetch(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// TestTokens starts a node with a public key and logs in with tokens.
func TestTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "--auth", "jwt", "--token-public-keys", file(t, "keys.pem", publicPEM(t, public)), "--token-audience", "rings")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sign := func(key ed25519.PrivateKey, audience string, expires time.Duration) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
			Subject: "alice", Audience: jwt.ClaimStrings{audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(expires)),
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"good":            {sign(private, "rings", time.Hour), nil},
		"of a stranger":   {sign(stranger, "rings", time.Hour), invitation.EndUnauthorized},
		"for another use": {sign(private, "mail", time.Hour), invitation.EndUnauthorized},
		"expired":         {sign(private, "rings", -time.Hour), invitation.EndUnauthorized},
		"none":            {"", invitation.EndUnauthorized},
	} {
		if _, _, err := p.phone(ctx, "alice", tt.token); !errors.Is(err, tt.want) {
			t.Errorf("a token, %s: %v, want %v", name, err, tt.want)
		}
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit status %d", code)
	}
	if strings.Contains(p.stderr.String(), "development") {
		t.Errorf("it warns of development authentication: %s", p.stderr.String())
	}
}

// TestAddressInUse says which address it is, and what to do.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, setting := range []string{"--client-address", "--admin-address", "--gossip-address", "--peer-address"} {
		p := newProcess(t, append(slices.Clone(freePorts), setting, l.Addr().String())...)
		err := p.cmd.Run()
		if code := p.cmd.ProcessState.ExitCode(); err == nil || code != exitError {
			t.Errorf("node %v: status %d, %v", setting, code, err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, want := range []string{port, "another program listens there", "choose another " + setting} {
			if !strings.Contains(p.stderr.String(), want) {
				t.Errorf("node %v says %q, without %q", setting, p.stderr.String(), want)
			}
		}
	}
}
