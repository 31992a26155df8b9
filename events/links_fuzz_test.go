package events_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// FuzzLink: a link that was not made here is refused, whatever is in it.
func FuzzLink(f *testing.F) {
	links := &events.Links{Base: "https://ring.example", Key: []byte(strings.Repeat("k", 32))}
	id, ends := invitation.NewID("alice", "phone", "key"), time.Unix(2_000_000_000, 0)
	made, err := url.Parse(links.URL(id, ends))
	if err != nil {
		f.Fatal(err)
	}
	if got, err := links.Check(&http.Request{URL: made}, ends); err != nil || got != id {
		f.Fatalf("a link that was made here gives %v, %v", got, err)
	}
	f.Add(made.Path, made.RawQuery+"0")
	f.Add(made.Path, strings.Replace(made.RawQuery, "expires=2", "expires=3", 1))
	f.Add(made.Path+"0", made.RawQuery)
	f.Add("/v1/valid/", "expires=&signature=%zz;&signature")
	f.Fuzz(func(t *testing.T, path, query string) {
		got, err := links.Check(&http.Request{URL: &url.URL{Path: path, RawQuery: query}}, ends)
		if err == nil && (got != id || !strings.Contains(path, id.String())) {
			t.Errorf("%q?%q is taken as a link to %v", path, query, got)
		}
	})
}
