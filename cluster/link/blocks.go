package link

import "sync"

// blockSize is how much is written by one system call when there is much to write.
const blockSize = 32 << 10

var blockPool = sync.Pool{New: func() any { return new([blockSize]byte) }}

// blocks is a queue of frames in blocks of memory that are used again, so that it neither copies nor
// keeps what it has grown by.
type blocks struct {
	list  [][]byte
	bytes int
	count int // envelopes
}

// room returns the block that a frame of some bytes goes into.
func (q *blocks) room(size int) *[]byte {
	if n := len(q.list); n > 0 && len(q.list[n-1])+size <= cap(q.list[n-1]) {
		return &q.list[n-1]
	}
	if size > blockSize {
		q.list = append(q.list, make([]byte, 0, size))
	} else {
		q.list = append(q.list, blockPool.Get().(*[blockSize]byte)[:0])
	}
	return &q.list[len(q.list)-1]
}

// add appends a frame.
func (q *blocks) add(t frameType, body []byte) {
	size := frameHeader + len(body)
	b := q.room(size)
	*b = append(appendHeader(*b, t, len(body)), body...)
	q.bytes += size
	if t == frameEnvelope {
		q.count++
	}
}

// drop removes the first block. bytes and count stay as they are.
func (q *blocks) drop() {
	giveBack(q.list[0])
	n := copy(q.list, q.list[1:])
	q.list[n] = nil
	q.list = q.list[:n]
}

// clear empties the queue, and gives the blocks back.
func (q *blocks) clear() {
	for i, b := range q.list {
		giveBack(b)
		q.list[i] = nil
	}
	q.list, q.bytes, q.count = q.list[:0], 0, 0
}

func giveBack(b []byte) {
	if cap(b) == blockSize {
		blockPool.Put((*[blockSize]byte)(b[:blockSize]))
	}
}
