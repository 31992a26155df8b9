package fleet_test

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// spans are what nodes have exported, as a collector gets it.
type spans struct {
	server *httptest.Server

	mu  sync.Mutex
	all []nodeSpan
}

type nodeSpan struct {
	*otlp.Span

	node string
}

// newSpans starts a collector.
func newSpans(t *testing.T) *spans {
	t.Helper()
	s := new(spans)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var export collector.ExportTraceServiceRequest
		text, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
		if err == nil {
			err = proto.Unmarshal(text, &export)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			http.Error(w, "not an export", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, of := range export.GetResourceSpans() {
			node := attributeOf(of.GetResource().GetAttributes(), "service.instance.id")
			for _, scope := range of.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					s.all = append(s.all, nodeSpan{span, node})
				}
			}
		}
	}))
	t.Cleanup(s.server.Close)
	return s
}

func attributeOf(all []*common.KeyValue, key string) string {
	for _, a := range all {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// of returns the spans of an invitation: the arbiter's, then the others in the order of their begin.
func (s *spans) of(id invitation.ID) []nodeSpan {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(s.all), func(span nodeSpan) bool { return string(span.GetTraceId()) != string(id[:]) })
	slices.SortStableFunc(found, func(a, b nodeSpan) int {
		return cmp.Or(slices.Index(arbiterSpans, b.GetName())-slices.Index(arbiterSpans, a.GetName()), cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano()))
	})
	return found
}

// arbiterSpans are those of the arbiter, the last one first.
var arbiterSpans = []string{"committing", "ringing", "offering", "invitation"}

// TestTrace traces a call over three nodes: each makes its spans, they have one trace, and no user is in it.
func TestTrace(t *testing.T) {
	asked(t)
	s := newSpans(t)
	b := newBed(t, fleet.Config{Args: []string{"--trace-endpoint", s.server.URL, "--trace-ratio", "1"}}, numbered("node-", 3)...)
	owned := ownedUsers(t, names(b.Nodes()))
	caller, callee := owned.next("node-2"), owned.next("node-3")
	if err := b.call(caller, b.Node("node-1"), callee, b.Node("node-3"), invitation.Accepted); err != nil {
		t.Fatal(err)
	}
	for _, n := range b.Nodes() { // sends what is left
		if exit, err := n.Term(within(t, time.Minute)); err != nil || exit.Code != 0 {
			t.Fatalf("%+v, %v", exit, err)
		}
	}
	s.mu.Lock()
	ids := map[invitation.ID]bool{}
	for _, span := range s.all {
		ids[invitation.ID(span.GetTraceId())] = true
		if text := span.String(); strings.Contains(text, string(caller)) || strings.Contains(text, string(callee)) {
			t.Errorf("a user is named: %s", text)
		}
	}
	s.mu.Unlock()
	if len(ids) != 1 {
		t.Fatalf("there are traces %v, want one", ids)
	}
	for id := range ids {
		trace := s.of(id)
		t.Logf("a call over three nodes:\n\n%s", drawTrace(trace))
		want := map[string]string{
			"invitation": "node-2", "offering": "node-2", "ringing": "node-2", "committing": "node-2", "caller's connection": "node-1",
			"caller's session": "node-2", "callee's session": "node-3", "callee's connection": "node-3",
		}
		root := slices.IndexFunc(trace, func(span nodeSpan) bool { return span.GetName() == "invitation" })
		for _, span := range trace {
			if want[span.GetName()] != span.node {
				t.Errorf("%s is of %s, want %q", span.GetName(), span.node, want[span.GetName()])
			}
			delete(want, span.GetName())
			if root < 0 || span.GetName() != "invitation" && string(span.GetParentSpanId()) != string(trace[root].GetSpanId()) {
				t.Errorf("%s is below %x", span.GetName(), span.GetParentSpanId())
			}
		}
		if len(want) > 0 {
			t.Errorf("there are no spans %v", want)
		}
	}
}

// drawTrace draws a trace as text: a line for each span, and one for each of its events.
func drawTrace(trace []nodeSpan) string {
	if len(trace) == 0 {
		return ""
	}
	begin := slices.MinFunc(trace, func(a, b nodeSpan) int { return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano()) }).GetStartTimeUnixNano()
	ms := func(at uint64) float64 { return float64(int64(at-begin)) / 1e6 }
	var out strings.Builder
	fmt.Fprintf(&out, "trace %s\n", hex.EncodeToString(trace[0].GetTraceId()))
	fmt.Fprintf(&out, "%9s  %9s  %-8s %s\n", "from, ms", "to, ms", "node", "span")
	for _, span := range trace {
		fmt.Fprintf(&out, "%9.2f  %9.2f  %-8s %s", ms(span.GetStartTimeUnixNano()), ms(span.GetEndTimeUnixNano()), span.node, span.GetName())
		if outcome := attributeOf(span.GetAttributes(), "ringfleet.outcome"); outcome != "" {
			fmt.Fprintf(&out, ": %s", outcome)
		}
		out.WriteByte('\n')
		for _, event := range span.GetEvents() {
			fmt.Fprintf(&out, "%9.2f  %9s  %-8s     %s\n", ms(event.GetTimeUnixNano()), "", "", event.GetName())
		}
	}
	return out.String()
}
