package link_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// receiverEnv makes this test program the receiving process of BenchmarkProcesses; its value is the
// folder of the certificate, or "plain".
const receiverEnv = "RINGFLEET_LINK_RECEIVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(receiverEnv); dir != "" {
		if err := receiver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func certificates(dir string) *link.TLS {
	if dir == "plain" {
		return nil
	}
	return &link.TLS{Cert: filepath.Join(dir, "n.pem"), Key: filepath.Join(dir, "n-key.pem"), CA: filepath.Join(dir, "ca.pem")}
}

// receiver says where it listens and receives as many envelopes as its input says; then it says what CPU time
// that took.
func receiver(dir string) error {
	s, err := link.Listen(link.StreamConfig{Node: "b", Boot: 2, Listen: "127.0.0.1:0", TLS: certificates(dir)})
	if err != nil {
		return err
	}
	defer s.Close()
	var got atomic.Int64
	if err := s.Start(func(string, []byte, time.Duration) { got.Add(1) }); err != nil {
		return err
	}
	before := cpu()
	fmt.Println(s.Addr())
	var want int64
	if _, err := fmt.Scan(&want); err != nil {
		return err
	}
	for limit := time.Now().Add(10 * time.Second); got.Load() < want; <-time.After(time.Millisecond) {
		if time.Now().After(limit) {
			return fmt.Errorf("%d of %d envelopes have come", got.Load(), want)
		}
	}
	fmt.Println(int64(cpu() - before))
	return nil
}

// cpu returns the CPU time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkProcesses sends envelopes of 200 bytes to another process, as fast as they are taken or
// 20,000 a second, and reports the CPU time of both sides for each.
func BenchmarkProcesses(b *testing.B) {
	dir := benchCertificates(b)
	for _, c := range []struct {
		name, dir string
		pace      time.Duration
	}{
		{"flood", "plain", 0},
		{"flood-TLS", dir, 0},
		{"20k_per_s", "plain", 50 * time.Microsecond},
		{"20k_per_s-TLS", dir, 50 * time.Microsecond},
	} {
		b.Run(c.name, func(b *testing.B) { benchProcesses(b, c.dir, c.pace) })
	}
}

func benchProcesses(b *testing.B, dir string, pace time.Duration) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), receiverEnv+"="+dir)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	s, err := link.Listen(link.StreamConfig{Node: "a", Boot: 1, Listen: "127.0.0.1:0", TLS: certificates(dir)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	peer := cluster.Member{Name: "b", Boot: 2, Peer: strings.TrimSpace(address)}
	s.SetPeers([]cluster.Member{peer})
	for s.Stats().Connected == 0 {
		runtime.Gosched()
	}
	envelope := make([]byte, 200)
	before := cpu()
	start := time.Now()
	b.ResetTimer()
	for i := range b.N {
		for s.Send(peer, envelope) != nil {
			<-time.After(100 * time.Microsecond)
		}
		if ahead := time.Duration(i)*pace - time.Since(start); ahead > time.Millisecond {
			<-time.After(ahead)
		}
	}
	for s.Stats().Sent < uint64(b.N) {
		<-time.After(100 * time.Microsecond)
	}
	b.StopTimer()
	ours := cpu() - before
	if _, err := fmt.Fprintln(in, b.N); err != nil {
		b.Fatal(err)
	}
	result, err := lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	var theirs int64
	if _, err := fmt.Sscan(result, &theirs); err != nil {
		b.Fatalf("%q: %v", result, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "envelopes/s")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns-CPU-sender/op")
	b.ReportMetric(float64(theirs)/float64(b.N), "ns-CPU-receiver/op")
	b.ReportMetric(float64(s.Stats().Sent)/float64(s.Stats().Writes), "envelopes/write")
}

func benchCertificates(b *testing.B) string {
	a := newAuthority(b)
	a.issue("n", "ringfleet-node", time.Now().Add(time.Hour), both...)
	return a.dir
}
