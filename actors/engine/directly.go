package engine

// TellLive gives msg to the actor of key if there is one now, and reports whether there was. Nothing is
// refused: the bound on the mailbox does not count. Otherwise it is as [Directory.Tell]: if the actor
// leaves first, msg goes to its heir or to Miss.
func (d *Directory[K]) TellLive(key K, msg any) bool {
	s := &d.shards[d.hash(key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.live[key]
	if a == nil || s.closed {
		return false
	}
	a.mailbox.PostUserMessage(msg)
	return true
}

// TellAlways is [Directory.Tell] without the bounds on the mailbox and on how many actors are live, for
// what must not be lost and whose number something else bounds. The error is [ErrStopped].
func (d *Directory[K]) TellAlways(key K, msg any) error {
	s := &d.shards[d.hash(key)%shards]
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrStopped
	}
	a := s.live[key]
	if a == nil {
		if behavior := d.build(key, msg); behavior != nil {
			a = s.spawn(key, behavior)
		}
	}
	if a != nil {
		a.mailbox.PostUserMessage(msg)
	}
	s.mu.Unlock()
	if a == nil {
		d.lost(key, msg)
	}
	return nil
}
