package gateway

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
)

// Path is where clients connect.
const Path = "/v1/connect"

// Handler serves WebSocket upgrades at [Path] and 404 elsewhere; it may be mounted on any HTTP/1.1
// server whose ResponseWriter can be hijacked. That server's limits on headers and on the time they
// may take apply: [NewServer] returns one with good ones.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(Path, g.connect)
	return mux
}

// An upgradeRefusal is an HTTP answer that says what to do instead.
type upgradeRefusal struct {
	name   string // in metrics
	status int
	text   string
}

var (
	refusedMethod   = upgradeRefusal{"method", http.StatusMethodNotAllowed, "connect with GET and a WebSocket upgrade"}
	refusedPlain    = upgradeRefusal{"not_websocket", http.StatusUpgradeRequired, plainText}
	refusedProtocol = upgradeRefusal{
		"subprotocol", http.StatusBadRequest,
		"none of the subprotocols is known here: offer " + wire.SubprotocolBinary + " or " + wire.SubprotocolJSON,
	}
	refusedOrigin = upgradeRefusal{
		"origin", http.StatusForbidden, "pages of this origin may not connect; the node's configuration lists those that may",
	}
	refusedDraining = upgradeRefusal{"draining", http.StatusServiceUnavailable, "this node is going down; connect to another"}
	refusedFull     = upgradeRefusal{"connections", http.StatusServiceUnavailable, "this node has as many connections as it may; try again later"}
	refusedPending  = upgradeRefusal{"pending", http.StatusServiceUnavailable, "too many connections are logging in; try again later"}
	refusedAddress  = upgradeRefusal{"address", http.StatusTooManyRequests, "this address has as many connections as it may"}
)

const plainText = `This is a ringfleet node; clients connect here with a WebSocket.

Offer the subprotocol ` + wire.SubprotocolBinary + ` (protobuf) or ` + wire.SubprotocolJSON + ` (JSON text) and log in
with the first frame. To try it by hand:

  wscat -c ws://HOST:PORT` + Path + ` -s ` + wire.SubprotocolJSON + `
  > {"login": {"minVersion": 1, "maxVersion": 1, "user": "alice", "device": "console", "token": "..."}}

A token may also come in the HTTP request, as "Authorization: Bearer ...".`

// connect upgrades a request and begins the connection.
func (g *Gateway) connect(w http.ResponseWriter, r *http.Request) {
	from := g.config.ClientAddress(r)
	refused := g.refuseUpgrade(r)
	if refused == nil {
		refused = g.admission.enter(from)
	}
	if refused != nil {
		g.refuse(w, refused)
		return
	}
	codec := wire.JSON
	up := ws.HTTPUpgrader{
		Timeout: g.config.WriteTimeout,
		Protocol: func(name string) bool {
			c, ok := wire.CodecOf(name)
			if ok {
				codec = c
			}
			return ok
		},
	}
	nc, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		if nc != nil {
			_ = nc.Close() // the upgrader has answered, as far as it could
		}
		g.admission.leave(from, true)
		g.stats.refuseUpgrade("handshake")
		g.checkEmpty()
		return
	}
	g.begin(nc, buffered(rw), codec, auth.Request{
		Token:     bearer(r),
		Address:   from,
		Forwarded: r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "",
		Host:      r.Host,
	})
}

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return strings.TrimSpace(token)
}

// refuse answers with a text that says what to do.
func (g *Gateway) refuse(w http.ResponseWriter, refused *upgradeRefusal) {
	g.stats.refuseUpgrade(refused.name)
	h := w.Header()
	switch refused.status {
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(int(max(g.config.RetryAfter.Seconds(), 1))))
	}
	http.Error(w, refused.text, refused.status)
}

// refuseUpgrade judges what the upgrader does not.
func (g *Gateway) refuseUpgrade(r *http.Request) *upgradeRefusal {
	offered := r.Header.Values("Sec-WebSocket-Protocol")
	known := func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), func(name string) bool {
			_, ok := wire.CodecOf(strings.TrimSpace(name))
			return ok
		})
	}
	switch {
	case r.Method != http.MethodGet:
		return &refusedMethod
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return &refusedPlain
	case g.draining.Load():
		return &refusedDraining
	case !g.originAllowed(r):
		return &refusedOrigin
	case len(offered) > 0 && !slices.ContainsFunc(offered, known):
		return &refusedProtocol
	}
	return nil
}

// originAllowed keeps pages of strangers from using a browser's network position: without it, any
// page could ring through a development node on its reader's machine.
func (g *Gateway) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(g.config.Origins, "*") || slices.Contains(g.config.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// buffered returns what the client has sent behind its request.
func buffered(rw *bufio.ReadWriter) []byte {
	n := rw.Reader.Buffered()
	if n == 0 {
		return nil
	}
	b, _ := rw.Reader.Peek(n) // is there
	return slices.Clone(b)
}
