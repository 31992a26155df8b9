package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// tool returns the path of a program of PostgreSQL's; the test is skipped where it is not installed.
func tool(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("PostgreSQL is not installed (on Debian: apt-get install postgresql): no %s", name)
	}
	return path
}

// command makes a command, which runs as postgres if the test runs as root: the server refuses root.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(tool(t, name), args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		uid, gid := postgres(t)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return c
}

func postgres(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("there is no user postgres")
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// server starts a PostgreSQL server on a socket in a folder of its own, and returns the URL of a database.
func server(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // short, as the name of a socket has to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		uid, gid := postgres(t)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	init := command(t, "initdb", "-D", dir+"/data", "-U", "postgres", "-A", "trust", "--no-sync")
	init.Dir = dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	run := command(t, "postgres", "-D", dir+"/data", "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	run.Dir = dir
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = run.Wait()
	})
	return "host=" + dir + " user=postgres dbname=postgres"
}

// connect opens the database as soon as the server answers.
func connect(ctx context.Context, t *testing.T, database string, secret events.Secret) *history {
	t.Helper()
	for {
		h, err := open(ctx, database, []events.Secret{secret})
		if err == nil {
			t.Cleanup(h.pool.Close)
			return h
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestHistory makes calls on a real node, which tells a back-end with a real database, and asks that.
func TestHistory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	secret := events.Secret("0123456789abcdef0123456789abcdef")
	h := connect(ctx, t, server(t), secret)
	web := httptest.NewServer(h)
	defer web.Close()
	hook, err := events.NewWebhook(events.WebhookConfig{URL: web.URL, Secrets: []events.Secret{secret}})
	if err != nil {
		t.Fatal(err)
	}
	config := ringfleet.Config{Events: events.Config{Sinks: []events.SinkConfig{{Name: "history", Sink: hook}}}}
	config.Gateway.Authenticator = auth.Development{}
	node, err := ringfleet.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	makeCalls(ctx, t, node)
	if err := node.Shutdown(ctx); err != nil { // delivers what waits
		t.Fatal(err)
	}
	var day time.Time
	var calls, ended, accepted, refused int
	var rate, p50, p95, mean float64
	if err := h.pool.QueryRow(ctx, CallsPerDay).Scan(&day, &calls); err != nil || calls != 10 || time.Since(day) > 25*time.Hour {
		t.Errorf("%d calls on %v, %v", calls, day, err)
	}
	if err := h.pool.QueryRow(ctx, AnswerRate).Scan(&day, &ended, &accepted, &refused, &rate); err != nil ||
		ended != 10 || accepted != 6 || refused != 3 || rate != 0.6 {
		t.Errorf("%d ended, %d accepted, %d refused: %v, %v", ended, accepted, refused, rate, err)
	}
	if err := h.pool.QueryRow(ctx, RingTime).Scan(&p50, &p95, &mean); err != nil || p50 < 0 || p95 < p50 || mean > 60_000 {
		t.Errorf("the ring time is %v, %v, %v: %v", p50, p95, mean, err)
	}
	rows, err := h.pool.Query(ctx, CallsOf, "alice", 3)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		var id, caller, callee, outcome, reason string
		var at time.Time
		if err := rows.Scan(&id, &caller, &callee, &outcome, &reason, &at); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(caller, ">", callee, " ", outcome, reason))
	}
	if got := fmt.Sprint(list); rows.Err() != nil || got != "[alice>carol canceledCALLER_CANCELED alice>bob refused alice>bob refused]" {
		t.Errorf("alice's calls are %s, %v", got, rows.Err())
	}
	again(ctx, t, h)
}

// makeCalls makes six calls that are accepted, three that are refused, and one that is canceled.
func makeCalls(ctx context.Context, t *testing.T, node *ringfleet.Node) {
	t.Helper()
	bob, err := client.Dial(ctx, node, client.Options{User: "bob", OnRemoteInvitation: func(r *client.RemoteInvitation) {
		go func() {
			if r.Content() == "accept" {
				_ = r.Accept(ctx, "yes")
			} else {
				_ = r.Refuse(ctx, "no")
			}
		}()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	alice, err := client.Dial(ctx, node, client.Options{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	for i, content := range []string{"accept", "accept", "accept", "accept", "accept", "accept", "refuse", "refuse", "refuse", "cancel"} {
		callee := invitation.User("bob")
		if content == "cancel" {
			callee = "carol"
		}
		call := alice.NewLocalInvitation(callee)
		_ = call.SetContent(content)
		err := call.Send(ctx)
		if err == nil && content == "cancel" {
			err = call.Cancel(ctx)
		}
		if err == nil {
			err = call.Wait(ctx)
		}
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

// again stores events that come again, or late.
func again(ctx context.Context, t *testing.T, h *history) {
	t.Helper()
	var before, after int
	if err := h.pool.QueryRow(ctx, "select count(*) from events").Scan(&before); err != nil {
		t.Fatal(err)
	}
	const event = `{"specversion": "1.0", "id": "x.ended", "source": "/ringfleet", "type": "com.ringfleet.invitation.ended", "subject": "x",
		"time": "%s", "data": {"invitation": "x", "caller": "a", "caller_device": "d", "callee": "b", "outcome": "%s", "state": "S", "code": "C"}}`
	for _, e := range [][2]string{{"2026-01-01T00:00:01Z", "canceled"}, {"2026-01-01T00:00:02Z", "accepted"}, {"2026-01-01T00:00:01Z", "canceled"}} {
		if err := h.store(ctx, []json.RawMessage{json.RawMessage(fmt.Sprintf(event, e[0], e[1]))}); err != nil {
			t.Fatal(err)
		}
	}
	var outcome string
	if err := h.pool.QueryRow(ctx, "select outcome from invitations where id = 'x'").Scan(&outcome); err != nil || outcome != "accepted" {
		t.Errorf("the outcome is %q, %v: the later one counts", outcome, err)
	}
	if err := h.pool.QueryRow(ctx, "select count(*) from events").Scan(&after); err != nil || after != before+1 {
		t.Errorf("%d events, %v, want %d", after, err, before+1)
	}
}
