package process

import (
	"runtime"
	"sync"
)

// spawner starts processes from one thread that lives as long as the table:
// a parent-death signal is delivered when the *thread* that started the child
// ends, and Go ends idle threads as it likes.
type spawner struct {
	mu    sync.Mutex
	calls chan func()
}

func (s *spawner) do(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = make(chan func())
		go func(calls chan func()) {
			// Never unlocked: the thread ends with the goroutine.
			runtime.LockOSThread()
			for call := range calls {
				call()
			}
		}(s.calls)
	}
	result := make(chan error)
	s.calls <- func() { result <- f() }
	return <-result
}

func (s *spawner) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls != nil {
		close(s.calls)
		s.calls = nil
	}
}
