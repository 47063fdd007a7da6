package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestControlStandby asks a pipeline whose state is in PostgreSQL, and after a kill the process that
// stood by: it takes over the lease and the socket.
func TestControlStandby(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", stateInTarget+fromItems+toCopy)
	s.insert(t, 1, 1000)
	first := s.start(t, "run", file)
	s.holds(t, first, 1000)
	second := s.start(t, "run", file)
	second.logs(t, "standby: waiting for the pipeline")
	s.damage(t)
	s.runs(t, "snapshot", "--table", "items", "--wait", file)
	s.settles(t, first)
	first.kill(t)
	second.logs(t, "pipeline runs")
	s.damage(t)
	second.until(t, "the second process answers", func() bool { return s.items(t)().Table != "" })
	s.runs(t, "snapshot", "--table", "items", "--wait", file)
	s.settles(t, second)
	s.refused(t, exitOK, []string{fmt.Sprintf("process %d", second.cmd.Process.Pid)}, "status", file)
}

// TestStandbyAnswers asks a standby with a directory of its own, as on another host: it says who leads, refuses
// what only that one can do, and takes over. So does a command where no process runs at all.
func TestStandbyAnswers(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	at := freeAddress(t)
	text := stateInTarget + fromItems + toCopy
	s.insert(t, 1, 1000)
	first := s.start(t, "run", s.file(t, "shop.hcl", text))
	s.holds(t, first, 1000)
	s.streams(t, first)
	for _, dir := range []string{"other", "third"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	there := s.file(t, "other/shop.hcl", `
pipeline "fault" {
  control {
    listen = "`+at+`"
  }`+stateInTarget[len("\npipeline \"fault\" {"):]+fromItems+toCopy)
	second := s.start(t, "run", there)
	second.logs(t, "standby: waiting for the pipeline")
	lead := fmt.Sprintf(":%d has the pipeline since", first.cmd.Process.Pid)
	socket := control.Dial(filepath.Join(s.dir, "other", ".pipe", "fault.sock"))
	second.until(t, "it has a socket", func() bool {
		_, err := socket.Status(t.Context())
		return err == nil
	})
	s.refused(t, exitDiffers, []string{"not ready: standby: ", lead, fmt.Sprintf("process %d", second.cmd.Process.Pid)}, "status", there)
	s.refused(t, exitEnvironment, []string{"this process is a standby", lead}, "snapshot", "--table", "items", there)
	s.refused(t, exitEnvironment, []string{"this process is a standby", lead}, "snapshot", "--table", "items", "--cancel", there)
	for probe, code := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if got, text := fetch(t, "http://"+at+probe, ""); got != code {
			t.Errorf("%s: %d %s", probe, got, text)
		}
	}
	nobody, holder := s.file(t, "third/shop.hcl", text), fmt.Sprintf(":%d", first.cmd.Process.Pid)
	s.refused(t, exitDiffers, []string{"fault is run by process ", holder}, "status", nobody)
	s.refused(t, exitEnvironment, []string{"runs this pipeline", holder}, "snapshot", "--table", "items", nobody)

	first.kill(t)
	second.until(t, "it is ready", func() bool {
		code, _ := fetch(t, "http://"+at+"/readyz", "")
		return code == http.StatusOK
	})
	s.damage(t)
	s.runs(t, "snapshot", "--table", "items", "--wait", there)
	s.settles(t, second)
}
