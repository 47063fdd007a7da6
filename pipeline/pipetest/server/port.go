package server

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that the kernel gives to outgoing connections, so that a
// server which restarts finds its port free.
const (
	portFirst = 20000
	portCount = 12000
	portTries = 200
)

// FreePort returns a TCP port of the loopback that nobody listens on.
func FreePort() (int, error) {
	for range portTries {
		port := portFirst + rand.IntN(portCount)
		if portFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("found no free TCP port on 127.0.0.1")
}

// portOr returns port, or a free one where it is 0.
func portOr(port int) (int, error) {
	if port != 0 {
		return port, nil
	}
	return FreePort()
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
