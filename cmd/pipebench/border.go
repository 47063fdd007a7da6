package main

import (
	"bytes"
	"sync"
)

// border is where a command's run is cut in two: when a word first appears in its log.
type border struct {
	word string
	at   func(pid int)

	mu  sync.Mutex
	pid int
	met bool
	log bytes.Buffer
}

// Write implements io.Writer.
func (b *border) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.Write(p) // never fails
	if !b.met && bytes.Contains(b.log.Bytes(), []byte(b.word)) {
		b.met = true
		b.at(b.pid)
	}
	return len(p), nil
}

// started calls a function that starts the command and returns its process, before anything of its log is looked at.
func (b *border) started(start func() (pid int, err error)) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pid, err = start()
	return err
}
