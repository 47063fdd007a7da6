package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFaultState damages, removes and exchanges the state and the slot between two runs. What cannot
// be trusted is refused, with what to do; nothing is ever begun from nothing by itself.
func TestFaultState(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	cases := map[string]func(*testing.T, *scene, string){
		"truncated": func(t *testing.T, s *scene, file string) {
			data := s.readState(t)
			s.writeState(t, data[:len(data)/2])
			hint := "cp " + s.state + ".previous " + s.state
			s.refused(t, exitEnvironment, []string{s.state, "cut off", hint, "has let go of"}, "run", file)
		},
		"empty": func(t *testing.T, s *scene, file string) {
			s.writeState(t, nil)
			s.refused(t, exitEnvironment, []string{s.state, "empty", "cp " + s.state + ".previous"}, "run", file)
		},
		"of another pipeline": func(t *testing.T, s *scene, _ string) {
			other := s.file(t, "other.hcl", replaced(t, stateInFile, `"fault"`, `"renamed"`)+fromItems+toCopy)
			s.refused(t, exitEnvironment, []string{`belongs to pipeline "fault", not to "renamed"`}, "run", other)
		},
		"no place for it": func(t *testing.T, s *scene, file string) {
			s.env = append(s.env, "STATE=/proc/1/pipe/state") // nobody can make a directory there
			s.refused(t, exitEnvironment, []string{"/proc/1/pipe", "state \"file\""}, "run", file)
		},
		"unreadable": func(t *testing.T, s *scene, file string) {
			removed(t, s.state) // root may read any file: a dangling loop of links it may not
			if err := os.Symlink(s.state, s.state); err != nil {
				t.Fatal(err)
			}
			s.refused(t, exitEnvironment, []string{s.state, "right to read"}, "run", file)
			removed(t, s.state)
		},
		"read-only while it runs":    faultStateReadOnly,
		"gone":                       faultStateGone,
		"an older copy":              faultStateOlder,
		"of another server":          faultStateForeign,
		"ahead of the server":        faultStateAhead,
		"slot dropped":               faultSlotDropped,
		"slot dropped, made anew":    faultSlotAnew,
		"slot of another plugin":     faultSlotPlugin,
		"slot dropped while it runs": faultSlotDroppedRunning,
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, pg)
			s.insert(t, 1, 10)
			file := s.file(t, "run.hcl", stateInFile+fromItems+`
sink "discard" "nothing" {
  from = source.shop
}
`)
			s.runs(t, "run", "--until-caught-up", file)
			s.insert(t, 11, 20)
			s.runs(t, "run", "--until-caught-up", file)
			s.insert(t, 21, 30)
			damage(t, s, file)
		})
	}
}

func (s *scene) readState(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(s.state)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s *scene) writeState(t *testing.T, data []byte) {
	t.Helper()
	if err := os.WriteFile(s.state, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func removed(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// replaced replaces text that must be there.
func replaced(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, new)
}

// faultStateGone: a state file that somebody removed is no first start.
func faultStateGone(t *testing.T, s *scene, file string) {
	removed(t, s.state)
	s.refused(t, exitEnvironment, []string{"the file is gone", "delete both"}, "run", file)
}

// faultStateReadOnly: a position that cannot be saved stops the pipeline; the slot does not move. Root
// may write anywhere, so a directory stands where the new file would be written.
func faultStateReadOnly(t *testing.T, s *scene, file string) {
	if err := os.Mkdir(s.state+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	before := s.confirmed(t)
	s.refused(t, exitEnvironment, []string{s.state, "Free the disk, or give"}, "run", file)
	if after := s.confirmed(t); after != before {
		t.Errorf("the slot moved from %s to %s without a saved position", before, after)
	}
}

// faultStateOlder: an older copy is behind the slot, which has let go of what was between.
func faultStateOlder(t *testing.T, s *scene, file string) {
	older := s.readState(t)
	s.runs(t, "run", "--until-caught-up", file)
	s.writeState(t, older)
	s.refused(t, exitEnvironment, []string{"slot fault", "after the saved position", "pg_drop_replication_slot"}, "run", file)
}

// faultStateForeign: the position of another server says nothing here.
func faultStateForeign(t *testing.T, s *scene, file string) {
	other := pipetest.Postgres(t, "log_min_messages=panic")
	o := newScene(t, other)
	path := o.file(t, "run.hcl", stateInFile+fromItems+"\nsink \"discard\" \"nothing\" {\n  from = source.shop\n}\n")
	o.runs(t, "run", "--until-caught-up", path)
	s.writeState(t, o.readState(t))
	s.refused(t, exitEnvironment, []string{"system identifier", "Restore the state that belongs to this server"}, "run", file)
}

// faultStateAhead: a server restored from a backup is behind what was read of it before.
func faultStateAhead(t *testing.T, s *scene, file string) {
	store, err := checkpoint.OpenFile(s.state, "fault")
	if err != nil {
		t.Fatal(err)
	}
	cp, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stream, pos := range cp {
		cp[stream] = "00000FFF" + pos[8:]
	}
	if err := errors.Join(store.Save(t.Context(), cp), store.Close()); err != nil {
		t.Fatal(err)
	}
	s.refused(t, exitEnvironment, []string{"is ahead of the server", "restored to an earlier point"}, "run", file)
}

// faultSlotDropped: without the slot, changes are missing.
func faultSlotDropped(t *testing.T, s *scene, file string) {
	pipetest.Exec(t, s.source, dropSlot)
	s.refused(t, exitEnvironment, []string{"replication slot fault is gone", "remove this source's saved position"}, "run", file)
}

// faultSlotAnew: a new slot of the old name begins after what it would have to deliver.
func faultSlotAnew(t *testing.T, s *scene, file string) {
	pipetest.Exec(t, s.source, dropSlot,
		"SELECT pg_create_logical_replication_slot('fault', 'pgoutput')")
	s.refused(t, exitEnvironment, []string{"moved or made anew", "pg_drop_replication_slot"}, "run", file)
}

// faultSlotPlugin: a slot of that name that is somebody else's is left alone.
func faultSlotPlugin(t *testing.T, s *scene, file string) {
	pipetest.Exec(t, s.source, dropSlot,
		"SELECT pg_create_logical_replication_slot('fault', 'test_decoding')")
	s.refused(t, exitEnvironment, []string{"test_decoding", "Set slot to another name"}, "run", file)
}

// faultSlotDroppedRunning: the server ends the stream when a slot is dropped; what follows is not a
// new slot.
func faultSlotDroppedRunning(t *testing.T, s *scene, file string) {
	p := s.start(t, "run", file)
	p.until(t, "the slot is read", func() bool {
		return queryCount(t, s.source, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'fault' AND active") == 1
	})
	p.signal(t, syscall.SIGSTOP) // else it would have the slot again at once
	pipetest.Exec(t, s.source, `DO $$ DECLARE pid int; BEGIN
		SELECT active_pid INTO pid FROM pg_replication_slots WHERE slot_name = 'fault';
		PERFORM pg_terminate_backend(pid, 5000);
		PERFORM pg_drop_replication_slot('fault');
	END $$`)
	p.signal(t, syscall.SIGCONT)
	if code := p.ends(t, faultPatience); code != exitEnvironment {
		t.Errorf("exit code %d, want %d", code, exitEnvironment)
	}
	if !strings.Contains(p.err.String(), "replication slot fault is gone") {
		t.Error("it does not say that the slot is gone")
	}
}
