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
)

// The headers of Standard Webhooks.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Bounds of a secret, in bytes, as Standard Webhooks has them.
const (
	minSecret = 24
	maxSecret = 64
)

// Tolerance is by how much a message's time may differ from the receiver's clock.
const Tolerance = 5 * time.Minute

// Secret signs messages, and is shared with their receiver.
type Secret []byte

// ErrSecret is returned for what is not a secret.
var ErrSecret = errors.New(`events: not a secret: want "whsec_" and 24 to 64 bytes in base64, as of: ` +
	`echo "whsec_$(openssl rand -base64 32)"`)

const secretPrefix = "whsec_"

// ParseSecret reads a secret in its usual form: "whsec_" and 24 to 64 bytes in base64. The error is [ErrSecret], which
// does not show what was given.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, ErrSecret
	}
	return key, nil
}

// String hides the secret.
func (s Secret) String() string { return secretPrefix + "…" }

// GoString hides the secret too.
func (s Secret) GoString() string { return s.String() }

func (s Secret) signature(id string, at int64, body []byte) []byte {
	mac := hmac.New(sha256.New, s)
	mac.Write(fmt.Appendf(nil, "%s.%d.", id, at))
	mac.Write(body)
	return mac.Sum(nil)
}

// sign returns the value of [HeaderSignature]: a signature with each secret.
func sign(secrets []Secret, id string, at time.Time, body []byte) string {
	var all []byte
	for i, s := range secrets {
		if i > 0 {
			all = append(all, ' ')
		}
		all = append(all, "v1,"...)
		all = base64.StdEncoding.AppendEncode(all, s.signature(id, at.Unix(), body))
	}
	return string(all)
}

// ErrSignature is returned by [Verify] for a message that is not from who it should be from, or is too old: answer it
// with 401 and forget it.
var ErrSignature = errors.New("events: the message is not signed with the secret, or not of now")

// Verify checks a message that a webhook received, at the time now: one of its signatures must be of one of the
// secrets, and its time within [Tolerance] of now. While a secret is being changed, give both.
func Verify(secrets []Secret, header http.Header, body []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(header.Get(HeaderTimestamp), 10, 64)
	if err != nil {
		return ErrSignature
	}
	if late := now.Sub(time.Unix(seconds, 0)); late > Tolerance || late < -Tolerance {
		return ErrSignature
	}
	for given := range strings.FieldsSeq(header.Get(HeaderSignature)) {
		encoded, ok := strings.CutPrefix(given, "v1,")
		if !ok {
			continue // of another version
		}
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, s := range secrets {
			if hmac.Equal(signature, s.signature(header.Get(HeaderID), seconds, body)) {
				return nil
			}
		}
	}
	return ErrSignature
}
