package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestControlTLS asks a running pipeline from another place: over TLS, with the token of the configuration.
func TestControlTLS(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), `control {
    listen = "`+address+`"
    token  = env("TOKEN")
    tls {
      cert = "control.crt"
      key  = "control.key"
    }
  }`)
	cert := filepath.Join(s.dir, "control.crt")
	pipetest.Certificate(t, cert, filepath.Join(s.dir, "control.key"), 1000)
	s.env = append(s.env, "TOKEN="+controlToken)
	s.insert(t, 1, 100)
	p := s.start(t, "run", file)
	s.holds(t, p, 100)
	s.streams(t, p)

	away := *s // another directory: no socket, no state
	away.dir = t.TempDir()
	away.env = append(away.env, "STATE="+filepath.Join(away.dir, "state"))
	at := []string{"--at", "https://" + address, "--ca", cert, file}
	if text := away.runs(t, append([]string{"status"}, at...)...).out.String(); !strings.Contains(text, "streaming") {
		t.Error(text)
	}
	pipetest.Exec(t, s.target, "DELETE FROM items WHERE id <= 5")
	away.runs(t, append([]string{"snapshot", "--table", "items", "--wait"}, at...)...)
	s.equal(t)
	away.refused(t, exitEnvironment, []string{"certificate", "--ca"}, "status", "--at", "https://"+address, file)
	away.refused(t, exitInput, []string{"--ca is for --at"}, "status", "--ca", cert, file)
	away.refused(t, exitInput, []string{"https://host:port"}, "status", "--at", address, file)
	away.refused(t, exitEnvironment, []string{"nobody listens there"}, "status", "--at", "https://"+freeAddress(t), "--ca", cert, file)
	other := s.file(t, "other.hcl", strings.Replace(stateInFile, `"fault"`, `"another"`, 1)+`
`+fromItems+toCopy)
	away.refused(t, exitInput, []string{"token"}, append([]string{"status"}, append(at[:4:4], other)...)...)
	wrong := away
	wrong.env = append(wrong.env, "TOKEN="+controlToken+"x")
	wrong.refused(t, exitInput, []string{"token is missing or wrong"}, append([]string{"status"}, at...)...)
}
