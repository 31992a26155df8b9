package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// ValidPath is where a node answers whether an invitation still waits for an answer, for who has a signed link.
const ValidPath = "/v1/valid/"

// linkGrace is for how long a link is good after its invitation should have ended by itself: a late push gets a clear
// no, instead of a link that is of no use.
const linkGrace = 10 * time.Minute

// Links makes and checks signed links: whoever has one may ask how one invitation stands, and nothing else, without
// authentication, until it expires. All nodes need the same key.
type Links struct {
	// Base is the URL at which the internet reaches a node's client address, without a path: "https://ring.example".
	Base string
	// Key signs. 32 bytes or more.
	Key []byte
}

// minKey is the size of the smallest key of [Links], in bytes.
const minKey = 32

func (l *Links) check() error {
	switch {
	case l == nil:
		return nil
	case len(l.Key) < minKey:
		return fmt.Errorf("events: Links.Key has %d bytes: want %d or more", len(l.Key), minKey)
	case !strings.HasPrefix(l.Base, "http://") && !strings.HasPrefix(l.Base, "https://") || strings.HasSuffix(l.Base, "/"):
		return fmt.Errorf("events: Links.Base %q: want http:// or https:// and a host, as https://ring.example", l.Base)
	}
	return nil
}

func (l *Links) signature(id string, expires int64) []byte {
	mac := hmac.New(sha256.New, l.Key)
	mac.Write(fmt.Appendf(nil, "ringfleet.valid.v1\n%s\n%d", id, expires))
	return mac.Sum(nil)
}

// URL returns the link for an invitation that ends by itself at a time.
func (l *Links) URL(id invitation.ID, ends time.Time) string {
	expires := ends.Add(linkGrace).Unix()
	return fmt.Sprintf("%s%s%s?expires=%d&signature=%s", l.Base, ValidPath, id, expires,
		base64.RawURLEncoding.EncodeToString(l.signature(id.String(), expires)))
}

// The errors of [Links.Check].
var (
	ErrLink    = errors.New("events: not a link that was made here")
	ErrExpired = errors.New("events: the link has expired: the invitation is over")
)

// Check returns the invitation that the link of a request is about.
func (l *Links) Check(r *http.Request, now time.Time) (invitation.ID, error) {
	text := strings.TrimPrefix(r.URL.Path, ValidPath)
	id, err := invitation.ParseID(text)
	if err != nil {
		return id, ErrLink
	}
	query := r.URL.Query()
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if err != nil {
		return id, ErrLink
	}
	signature, err := base64.RawURLEncoding.DecodeString(query.Get("signature"))
	switch {
	case err != nil || !hmac.Equal(signature, l.signature(text, expires)):
		return id, ErrLink
	case now.Unix() > expires:
		return id, ErrExpired
	}
	return id, nil
}

// Validity answers whether an invitation still waits for an answer.
type Validity struct {
	// Valid says that a device may ring: the invitation was sent, and is neither answered nor over.
	Valid bool `json:"valid"`
	// State is SENT, RINGING, ANSWERED, ENDED or, for an invitation that nobody knows (any more), UNKNOWN.
	State string `json:"state"`
	// RemainingMs is how long it goes on waiting if nothing happens.
	RemainingMs int64 `json:"remaining_ms"`
}
