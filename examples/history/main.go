// Command history is a platform's back-end that keeps what becomes of calls in PostgreSQL.
//
//	createdb calls
//	echo "whsec_$(openssl rand -base64 32)" > webhook-secret
//	go run . --database postgres:///calls --secret-file webhook-secret
//	node --webhook-url http://127.0.0.1:8000/ --webhook-secret-file webhook-secret
//
// What to look at: [history.ServeHTTP] stores a request's events in one transaction and acknowledges them when that is
// committed; the statements are in queries.go, the tables in schema.sql.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

func main() {
	database := flag.String("database", "postgres:///calls", "`URL` of the database")
	address := flag.String("address", "127.0.0.1:8000", "`host:port` for events")
	file := flag.String("secret-file", "webhook-secret", "`file` with the secrets that sign events, one a line")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *database, *address, *file); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, database, address, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var secrets []events.Secret
	for line := range strings.FieldsSeq(string(text)) {
		secret, err := events.ParseSecret(line)
		if err != nil {
			return err
		}
		secrets = append(secrets, secret)
	}
	h, err := open(ctx, database, secrets)
	if err != nil {
		return err
	}
	defer h.pool.Close()
	server := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// history stores events. It implements http.Handler.
type history struct {
	secrets []events.Secret
	pool    *pgxpool.Pool
}

// open connects to the database, and makes the tables if there are none.
func open(ctx context.Context, database string, secrets []events.Secret) (*history, error) {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	return &history{secrets: secrets, pool: pool}, nil
}

// maxBody is the largest request that is read, in bytes.
const maxBody = 2 << 20

// ServeHTTP takes a list of events. While the database is away it answers 503, and they come again.
func (h *history) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || events.Verify(h.secrets, r.Header, body, time.Now()) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if err := h.store(r.Context(), list); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// store stores events in one transaction.
func (h *history) store(ctx context.Context, list []json.RawMessage) error {
	batch := new(pgx.Batch)
	for _, raw := range list {
		var m struct {
			events.Message
			Data json.RawMessage `json:"data"`
		}
		var d events.Data
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return err
		}
		batch.Queue(storeEvent, m.ID, m.Subject, m.Type, m.Time, m.Data)
		queue(batch, &m.Message, &d)
	}
	return pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
}

// queue adds what an event makes of its invitation's row.
func queue(batch *pgx.Batch, m *events.Message, d *events.Data) {
	var sent, offline, ringing *time.Time
	switch m.Type {
	case events.Type(invitation.EventSent):
		sent = &m.Time
	case events.Type(invitation.EventCalleeOffline):
		offline = &m.Time
	case events.Type(invitation.EventRinging):
		ringing = &m.Time
	case events.Type(invitation.EventEnded):
		batch.Queue(storeEnd, m.Subject, d.Caller, d.Callee, d.CallerDevice, d.ChannelID, d.CalleeDevice, m.Time,
			d.Outcome, d.State, d.Code, d.Reason, d.SetUpMs, d.RingMs, d.DurationMs)
		return
	default:
		return
	}
	batch.Queue(storeStep, m.Subject, d.Caller, d.Callee, d.CallerDevice, d.ChannelID, sent, offline, ringing)
}
