package control

import (
	"os"
	"strconv"
	"strings"
)

// resident returns the process' resident memory in bytes, 0 where the system does not tell
// (Linux: proc(5), statm).
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
