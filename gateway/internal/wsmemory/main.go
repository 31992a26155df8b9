// Command wsmemory measures what a WebSocket library costs a server: resident memory per idle
// connection and server CPU per echoed frame. Its numbers are those of
// docs/adr/0006-websocket-library.md. It is a module of its own so that the libraries that were not
// chosen stay out of the product's go.mod.
//
//	cd gateway/internal/wsmemory && go run . -conns 5000
//
// Each candidate serves in a second process of its own; this process holds the client ends. Idle
// means: upgraded, one frame echoed (so that the read path has run once), silent since.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	serve := flag.String("serve", "", "serve `candidate` (used for the second process)")
	conns := flag.Int("conns", 5000, "idle `connections`")
	echoes := flag.Int("echoes", 200_000, "echoed `frames` for the CPU figure")
	only := flag.String("only", "", "measure this `candidate` only")
	flag.Parse()
	if *serve != "" {
		log.Fatal(serveCandidate(*serve))
	}
	names := make([]string, 0, len(candidates))
	for name := range candidates {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Printf("%s, %d CPUs, %d connections, %d echoes of 100 bytes over 64 connections\n",
		runtime.Version(), runtime.NumCPU(), *conns, *echoes)
	fmt.Printf("%-10s %14s %14s %14s %12s\n", "candidate", "RSS B/conn", "heap B/conn", "stack B/conn", "CPU us/echo")
	for _, name := range names {
		if *only != "" && *only != name {
			continue
		}
		if err := measure(name, *conns, *echoes); err != nil {
			log.Fatal(name, ": ", err)
		}
	}
}

// usage is what a server process says about itself at /usage, after two collections.
type usage struct {
	RSS, Heap, Stack uint64
	CPU              time.Duration
}

func readUsage(collect bool) usage {
	if collect {
		runtime.GC()
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	statm, _ := os.ReadFile("/proc/self/statm")
	var size, resident uint64
	_, _ = fmt.Sscan(string(statm), &size, &resident)
	return usage{
		RSS: resident * uint64(os.Getpagesize()), Heap: m.HeapAlloc, Stack: m.StackInuse,
		CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()),
	}
}

func serveCandidate(name string) error {
	mux := http.NewServeMux()
	mux.Handle("/connect", candidates[name]())
	mux.HandleFunc("/usage", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(readUsage(r.URL.Query().Has("collect")))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	server := http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}

func measure(name string, conns, echoes int) error {
	cmd := exec.Command(os.Args[0], "-serve", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	addr := strings.TrimSpace(line)

	warm, err := dialAll(addr, 64) // brings pools and runtime structures into being
	if err != nil {
		return err
	}
	before, err := remoteUsage(addr, true)
	if err != nil {
		return err
	}
	idle, err := dialAll(addr, conns)
	if err != nil {
		return err
	}
	after, err := remoteUsage(addr, true)
	if err != nil {
		return err
	}
	start, err := remoteUsage(addr, false)
	if err != nil {
		return err
	}
	if err := echoAll(warm, echoes); err != nil {
		return err
	}
	end, err := remoteUsage(addr, false)
	if err != nil {
		return err
	}
	per := func(a, b uint64) int64 { return (int64(b) - int64(a)) / int64(conns) }
	fmt.Printf("%-10s %14d %14d %14d %12.2f\n", name, per(before.RSS, after.RSS), per(before.Heap, after.Heap),
		per(before.Stack, after.Stack), float64((end.CPU-start.CPU).Nanoseconds())/float64(echoes)/1000)
	for _, c := range append(idle, warm...) {
		_ = c.Close()
	}
	return nil
}

func remoteUsage(addr string, collect bool) (usage, error) {
	url := "http://" + addr + "/usage"
	if collect {
		url += "?collect"
	}
	var u usage
	r, err := http.Get(url)
	if err != nil {
		return u, err
	}
	defer r.Body.Close()
	return u, json.NewDecoder(r.Body).Decode(&u)
}

const upgrade = "GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// dialAll opens n connections, 32 at a time, and echoes one frame on each.
func dialAll(addr string, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	errs := make(chan error, 32)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < n; i += 32 {
				c, err := dial(addr)
				if err != nil {
					errs <- err
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return conns, nil
	}
}

func dial(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, upgrade); err != nil {
		return nil, err
	}
	var got []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(got), "\r\n\r\n"); got = append(got, b[0]) {
		if _, err := c.Read(b); err != nil {
			return nil, fmt.Errorf("handshake: %w: %s", err, got)
		}
	}
	return c, echo(c, make([]byte, 128))
}

// echo sends one masked binary frame of 100 bytes (the mask is zero) and reads it back.
func echo(c net.Conn, buf []byte) error {
	clear(buf[:106])
	buf[0], buf[1] = 0x82, 0x80|100
	if _, err := c.Write(buf[:106]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, buf[:102])
	return err
}

func echoAll(conns []net.Conn, n int) error {
	errs := make(chan error, len(conns))
	for _, c := range conns {
		go func() {
			buf := make([]byte, 128)
			for range n / len(conns) {
				if err := echo(c, buf); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}
