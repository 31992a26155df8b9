package client

import (
	"sync"

	"github.com/ringfleet/ringfleet/invitation"
)

// index finds few things by their keys at no cost of its own, and many as a map does. The first is kept in
// the index itself. The zero value is empty.
type index[K comparable, T any] struct {
	key  K
	one  *T       // nil: none
	more map[K]*T // the others
}

// get returns what is kept under key, nil if nothing is.
func (x *index[K, T]) get(key K) *T {
	if x.one != nil && x.key == key {
		return x.one
	}
	return x.more[key]
}

// put keeps value under key, in place of what was kept there.
func (x *index[K, T]) put(key K, value *T) {
	switch {
	case x.one != nil && x.key == key, x.one == nil && x.more[key] == nil:
		x.key, x.one = key, value
	case x.more == nil:
		x.more = map[K]*T{key: value}
	default:
		x.more[key] = value
	}
}

func (x *index[K, T]) remove(key K) {
	if x.one != nil && x.key == key {
		x.one = nil
		return
	}
	delete(x.more, key)
}

func (x *index[K, T]) len() int {
	if x.one != nil {
		return 1 + len(x.more)
	}
	return len(x.more)
}

// all yields what is kept, in no order.
func (x *index[K, T]) all(yield func(*T) bool) {
	if x.one != nil && !yield(x.one) {
		return
	}
	for _, value := range x.more {
		if !yield(value) {
			return
		}
	}
}

// batch is a queue that is not empty.
type batch[T any] struct{ items []T }

func (b *batch[T]) len() int {
	if b == nil {
		return 0
	}
	return len(b.items)
}

// keptBatch bounds what is kept of a batch that is used again: a larger one is given back after a burst.
const keptBatch = 256

// batches are empty batches, to be used again by any client: an idle one has none.
type batches[T any] struct{ pool sync.Pool }

var (
	upBatches    batches[invitation.Up]
	eventBatches batches[Event]
)

// add appends to *b, which is made if it is nil.
func (p *batches[T]) add(b **batch[T], item T) {
	if *b == nil {
		if *b, _ = p.pool.Get().(*batch[T]); *b == nil {
			*b = new(batch[T])
		}
	}
	(*b).items = append((*b).items, item)
}

// give gives back a batch that nobody uses any more.
func (p *batches[T]) give(b *batch[T]) {
	if cap(b.items) <= keptBatch {
		clear(b.items)
		b.items = b.items[:0]
		p.pool.Put(b)
	}
}
