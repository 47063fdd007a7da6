package postgres

import (
	"syscall"
	"time"
)

// nap sleeps in the kernel: parking a goroutine for so short a time costs more in the scheduler and
// the network poller than the nap saves.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil)
}
