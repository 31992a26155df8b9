package engine

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestTellPastTheBounds: neither a full mailbox nor a full directory refuses.
func TestTellPastTheBounds(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		open := make(chan struct{})
		var mu sync.Mutex
		got, missed := map[string]int{}, 0
		d := NewDirectory(sys, DirectoryOptions[string]{
			Mailbox: 1, Limit: 1,
			Activate: func(key string, msg any) Behavior {
				if msg == "nobody" {
					return nil
				}
				return &funcs{receive: func(*Context, any) {
					<-open
					mu.Lock()
					defer mu.Unlock()
					got[key]++
				}}
			},
			Miss: func(string, any) { missed++ },
		})
		if d.TellLive("a", 0) {
			t.Error("told one who is not there")
		}
		tell(t, d, "a", 1)
		synctest.Wait()
		tell(t, d, "a", 2)
		if err := d.Tell("a", 3); !errors.Is(err, ErrBusy) {
			t.Errorf("the mailbox is not full: %v", err)
		}
		if !d.TellLive("a", 3) {
			t.Error("one who is there was not told")
		}
		for _, key := range []string{"a", "b"} {
			if err := d.TellAlways(key, 4); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		if err := d.TellAlways("c", "nobody"); err != nil || missed != 1 {
			t.Errorf("%v, %d missed, want 1", err, missed)
		}
		close(open)
		synctest.Wait()
		if got["a"] != 4 || got["b"] != 1 {
			t.Errorf("handled %v", got)
		}
		stop(t, sys)
		if err := d.TellAlways("a", 5); !errors.Is(err, ErrStopped) || d.TellLive("a", 5) {
			t.Errorf("told after the stop: %v", err)
		}
	})
}
