package server

import (
	"context"
	"fmt"
	"time"
)

// readyWithin bounds the wait for a server to accept connections, crash recovery included.
const readyWithin = 90 * time.Second

// readyPoll is the pause between two attempts to connect to a server that starts.
const readyPoll = 20 * time.Millisecond

// ready calls probe until it succeeds, the child exits, or the time is over.
func (p *process) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %v", errExited, p.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", readyWithin, err)
		case <-time.After(readyPoll):
		}
	}
}
