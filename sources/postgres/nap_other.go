//go:build !linux

package postgres

import "time"

// nap sleeps.
func nap(d time.Duration) { time.Sleep(d) }
