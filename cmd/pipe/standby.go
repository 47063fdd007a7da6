package main

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// waits says which process has the pipeline while this one waits for it.
func (c *controlled) waits(h checkpoint.Holding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = &control.Leader{Process: h.Owner, Since: h.Since}
	if c.phase != control.Running { // it helps
		c.enter(control.Standby)
	}
}

// stands says that no engine runs, and that nothing has failed.
func (c *controlled) stands() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(control.Standby)
}

// refused is the error of what a standby is asked to do, nil where this process has the pipeline.
func (c *controlled) refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil {
		return nil
	}
	return &pipeline.Error{Node: "control", Class: pipeline.Environment,
		Err:  fmt.Errorf("this process is a standby: %s", c.leader),
		Hint: "Run the command where that process runs, with the same file."}
}
