package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status is what a node tells of itself on its admin address, as far as it is used here.
type Status struct {
	Node        string           `json:"node"`
	Ready       bool             `json:"ready"`
	Sessions    int              `json:"sessions"`
	Invitations map[string]int64 `json:"invitations"` // by stage
	Cluster     *Cluster         `json:"cluster"`     // nil for a node that is alone
}

// Cluster is a node's view of its cluster.
type Cluster struct {
	Epoch   uint64   `json:"epoch"`
	Members []Member `json:"members"`
	Shards  struct {
		Held    int `json:"held"`
		Awaited int `json:"awaited"`
	} `json:"shards"`
	Handoffs struct {
		Taking int    `json:"taking"` // members that shards are being taken from
		Giving int    `json:"giving"` // members that shards are being given to
		Taken  uint64 `json:"taken"`  // records, since the start
		Given  uint64 `json:"given"`  // records, since the start
	} `json:"handoffs"`
}

// Member is a member in a node's view.
type Member struct {
	Name      string `json:"name"`
	Lifecycle string `json:"lifecycle"`
	Gossip    string `json:"gossip"`
	Peer      string `json:"peer"`
	Gateway   string `json:"gateway"`
	Build     string `json:"build"`
	Shards    int    `json:"shards"`
}

// serving is the lifecycle of a member that owns shards.
const serving = "serving"

// operator is the client of the admin addresses.
var operator = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true}, // a connection may lead to a process of another time
}

// get returns what the admin address answers, and its status code.
func (n *Node) get(ctx context.Context, path string) ([]byte, int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AdminURL()+path, http.NoBody)
	if err != nil {
		return nil, 0, fmt.Errorf("fleet: %s: %w", n.name, err)
	}
	answer, err := operator.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("fleet: %s: %w", n.name, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("fleet: %s: read %s: %w", n.name, path, err)
	}
	return text, answer.StatusCode, nil
}

// Ready returns nil if the node says that it serves, else why not.
func (n *Node) Ready(ctx context.Context) error {
	text, code, err := n.get(ctx, "/readyz")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("fleet: %s is not ready: %s", n.name, strings.TrimSpace(string(text)))
	}
	return err
}

// Status asks the node for its status.
func (n *Node) Status(ctx context.Context) (*Status, error) {
	text, _, err := n.get(ctx, "/status")
	if err != nil {
		return nil, err
	}
	s := new(Status)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("fleet: %s: its status: %w", n.name, err)
	}
	return s, nil
}

// Metrics asks the node for its metrics, by their names with labels, as Prometheus writes them.
func (n *Node) Metrics(ctx context.Context) (map[string]float64, error) {
	text, _, err := n.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	for s := bufio.NewScanner(strings.NewReader(string(text))); s.Scan(); {
		line := s.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			metrics[line[:space]] = value
		}
	}
	return metrics, nil
}

// pollInterval is how often a condition of processes is looked at.
const pollInterval = 20 * time.Millisecond

// Until waits until a condition of processes holds, which it asks for again and again. When ctx is done before, the
// error has the last one of the condition.
func Until(ctx context.Context, holds func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := holds(ctx)
		var final *finalError
		if err == nil || errors.As(err, &final) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err // else it may say no more than that ctx is done
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
}

// finalError is an error after which no condition will hold any more.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }
