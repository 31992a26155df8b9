package invitation

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// Sizes of what the contract bounds, in bytes (docs/spec.md §1).
const (
	MaxUser     = 64    // a user id, printable ASCII
	MaxDevice   = 64    // a device id, of the same characters as a user id
	MaxKey      = 64    // a send key, of the same characters as a user id
	MaxContent  = 8_192 // the caller's content, UTF-8
	MaxResponse = 8_192 // the callee's response, UTF-8
	MaxChannel  = 64    // the media channel id, UTF-8
)

// User is an account id: 1 to 64 bytes of the printable ASCII that [User.Valid] allows.
type User string

// Device names one endpoint of a user; it is chosen by the client, stable over reconnects, and
// has the same form as a [User].
type Device string

// Agent is the device that the server logs in to send on behalf of a user. It takes no calls: it is shown nothing, and
// the user is not online by it, nor is it one of the devices that a user may have or that another login ends. Nobody
// else can log in as it over the network.
const Agent Device = "api"

// Valid reports whether u is a well-formed user id.
func (u User) Valid() bool { return len(u) <= MaxUser && wellFormed(string(u)) }

// Valid reports whether d is a well-formed device id.
func (d Device) Valid() bool { return len(d) <= MaxDevice && wellFormed(string(d)) }

// idCharacters are the bytes a user id is made of (docs/spec.md §1): no quote, slash, backslash,
// asterisk or control character.
const idCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" +
	" !#$%&()+-:;<=.>?@[]^_{}|~,"

var idCharacter = func() (table [256]bool) {
	for i := range len(idCharacters) {
		table[idCharacters[i]] = true
	}
	return table
}()

func wellFormed(s string) bool {
	for i := range len(s) {
		if !idCharacter[s[i]] {
			return false
		}
	}
	return s != ""
}

// Shards is the fixed number of shards of a deployment: the unit in which users, and the
// invitations they send, are placed on nodes. Changing it is a breaking change of every id.
const Shards = 4_096

// Shard is a unit of placement, 0 to [Shards]-1.
type Shard uint16

// ShardOf returns the shard of a user: a 64-bit FNV-1a hash, finalized so that ids that differ only
// in their last byte spread, reduced to [Shards]. It is part of the contract between nodes.
func ShardOf(u User) Shard {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(u) {
		h = (h ^ uint64(u[i])) * prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return Shard(h % Shards)
}

// ID names one invitation for ever. It is issued by the server and opaque to clients: two bytes of
// the caller's shard, so that the invitation lives where its caller's session lives, and fourteen
// bytes of a hash of who sends and the send key, so that a repeated send names the same invitation
// even after everything the server knew is lost (docs/adr/0003-derived-ids.md).
type ID [16]byte

// NewID returns the id of the invitation that a device of caller sends with key.
func NewID(caller User, device Device, key string) ID {
	var buf [3 + MaxUser + MaxDevice + MaxKey]byte
	b := append(buf[:0], byte(len(caller)), byte(len(device)), byte(len(key)))
	b = append(append(append(b, caller...), device...), key...)
	sum := sha256.Sum256(b)
	var id ID
	binary.BigEndian.PutUint16(id[:2], uint16(ShardOf(caller)))
	copy(id[2:], sum[:])
	return id
}

// IDLength is the length of an id's text form, in bytes.
const IDLength = 26

// idText is base32 with the extended hex alphabet in lower case: it sorts like the bytes.
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// String returns the text form: 26 characters of 0–9 and a–v.
func (id ID) String() string { return idText.EncodeToString(id[:]) }

// TraceID returns the bytes in hexadecimal digits: the id of the invitation's trace, and the trace_id of each line of the
// log that is about it.
func (id ID) TraceID() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is the zero ID, which names no invitation.
func (id ID) IsZero() bool { return id == ID{} }

// Compare returns -1, 0 or +1 as id is before, the same as or after other. The order is that of the text
// forms too.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		cmp.Compare(binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(other[:8])),
		cmp.Compare(binary.BigEndian.Uint64(id[8:]), binary.BigEndian.Uint64(other[8:])),
	)
}

// Shard returns the shard of the invitation, which is its caller's.
func (id ID) Shard() Shard { return Shard(binary.BigEndian.Uint16(id[:2])) }

// ErrBadID is returned by [ParseID] for a text that is not an invitation id.
var ErrBadID = errors.New("invitation: not an invitation id: want 26 characters of 0-9 and a-v")

// ParseID reads the text form. It accepts exactly what [ID.String] prints.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != IDLength || strings.ContainsAny(s, "\r\n") {
		return ID{}, ErrBadID
	}
	if _, err := idText.Decode(id[:], []byte(s)); err != nil || id.Shard() >= Shards || id.String() != s {
		return ID{}, ErrBadID
	}
	return id, nil
}
