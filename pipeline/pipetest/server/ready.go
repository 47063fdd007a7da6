package server

import (
	"context"
	"fmt"
	"os"
	"time"
)

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

// ownDir makes the directory that a server lives in and gives it to the account that the server
// runs as: dir, or a temporary one where dir is "".
func ownDir(dir, prefix string, as *account) (string, error) {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", prefix)
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", err
	}
	return dir, as.own(dir)
}
