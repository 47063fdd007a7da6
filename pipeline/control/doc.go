// Package control is how a running pipeline is watched and asked: HTTP on a socket beside the state,
// and on TCP where the configuration says so.
//
//	GET  /status      Status as JSON: the struct is the API
//	GET  /metrics     the same in Prometheus' text format 0.0.4
//	GET  /healthz     200: the process answers
//	GET  /readyz      200, or 503 with the reasons: what a Judge says
//	GET  /snapshots   []Source of Status: what is known of each table
//	POST /snapshot    SnapshotRequest -> Accepted
//	POST /cancel      CancelRequest -> Accepted
//	POST /yield       a standby that has the socket leaves it to the leader; socket only
//
// Invariants:
//
//   - The socket has mode 0600 from the moment that it exists. Over TCP there are two ways: with a
//     token, which everything but the two probes needs; or without, for this machine only, where
//     nothing can be asked for and the Host header must name this machine (no DNS rebinding).
//   - With a certificate everything over TCP is TLS 1.2 or later; the files are read again when they change.
//   - No output holds a secret: what is shown are names, figures and errors, and components keep
//     secrets out of these.
//   - Nothing that a client does holds a goroutine or memory without bound: bodies, headers, requests
//     at once and times are limited, and unknown fields are refused.
//   - A standby is healthy and not ready (503, "standby"), says who leads, and refuses what only that one can do.
//     Where processes share the path of their socket it is the leader's (yield.go).
//   - It outlives the engines that a run builds one after another: counters never go back.
//
// Metrics are made of a Status at each scrape: figures that the engine counts anyway, so that nothing is counted
// twice.
//
// Neighbours: cmd/pipe implements Pipeline over the engine that runs, and is the client.
package control
