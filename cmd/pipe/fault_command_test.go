package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFaultCommands runs the commands as a user does and looks at what they leave and say.
func TestFaultCommands(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	for name, run := range map[string]func(*testing.T, *scene){
		"dry run": faultDryRun, "dry run until stopped": faultDryRunStopped, "dry run beside": faultDryRunBeside,
		"only": faultOnly, "json log": faultJSONLog, "envelope": faultEnvelope, "exit codes": faultExitCodes,
		"variables": faultVariables, "moved": faultMoved, "moved in sink": faultMovedInSink,
		"literal password": faultLiteral,
	} {
		t.Run(name, func(t *testing.T) { run(t, newScene(t, pg)) })
	}
}

// traces lists what a run could have left: slots, publications, schemas of positions, files.
func (s *scene) traces(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, dsn := range []string{s.source, s.target} {
		out = append(out, lines(t, dsn, `SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
			UNION ALL SELECT 'publication ' || pubname FROM pg_publication
			UNION ALL SELECT 'relation ' || relname FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN
				('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND relname <> 'items'
			UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')`)...)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(out, slices.DeleteFunc(files, func(f string) bool { return filepath.Ext(f) == ".hcl" })...)
}

// faultDryRun: rows are printed for the sink that would get them, and nothing is left anywhere.
func faultDryRun(t *testing.T, s *scene) {
	s.insert(t, 1, 5)
	for _, state := range []string{stateInFile, stateInSink} {
		file := s.file(t, "run.hcl", state+fromItems+toCopy)
		p := s.runs(t, "run", "--dry-run", "--until-caught-up", file)
		if n := strings.Count(p.out.String(), `"sink.copy"`); n != 5 {
			t.Errorf("%d rows are printed for sink.copy, want 5:\n%s", n, p.out)
		}
		for line := range strings.Lines(p.out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
		if !strings.Contains(p.err.String(), "a dry run makes none") {
			t.Error("it does not say why no changes are shown")
		}
		if left := s.traces(t); len(left) > 0 {
			t.Errorf("a dry run leaves %q", left)
		}
	}
}

// faultDryRunStopped: the same for one that follows the changes and is killed.
func faultDryRunStopped(t *testing.T, s *scene) {
	pipetest.Exec(t, s.source, "CREATE PUBLICATION fault FOR TABLE items") // a dry run makes none
	p := s.start(t, "run", "--dry-run", s.file(t, "run.hcl", stateInFile+fromItems+toCopy))
	p.until(t, "there is a temporary slot", func() bool {
		return queryCount(t, s.source, "SELECT count(*) FROM pg_replication_slots WHERE temporary AND active AND database = current_database()") == 1
	})
	s.insert(t, 1, 5)
	p.until(t, "the rows are printed", func() bool { return strings.Count(p.out.String(), `"sink.copy"`) == 5 })
	p.kill(t)
	for range 100 {
		if queryCount(t, s.source, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 0 {
			break
		}
	}
	left := slices.DeleteFunc(s.traces(t), func(f string) bool { return f == "publication fault" })
	if len(left) > 0 {
		t.Errorf("a killed dry run leaves %q", left)
	}
}

// faultDryRunBeside: a dry run disturbs neither a pipeline that runs nor its state.
func faultDryRunBeside(t *testing.T, s *scene) {
	s.insert(t, 1, 5)
	file := s.file(t, "run.hcl", stateInFile+fromItems+toCopy)
	p := s.start(t, "run", file)
	s.holds(t, p, 5)
	s.runs(t, "run", "--dry-run", "--until-caught-up", file)
	s.insert(t, 6, 10)
	s.holds(t, p, 10)
}

// faultOnly: one leg of two runs, the other's place is kept.
func faultOnly(t *testing.T, s *scene) {
	s.insert(t, 1, 5)
	text := stateInFile + fromItems + toCopy + replaced(t, replaced(t, fromItems, `"shop"`, `"other"`), `"fault"`, `"other"`) + `
sink "stdout" "lines" {
  from = source.other
}
`
	file := s.file(t, "run.hcl", text)
	p := s.runs(t, "run", "--until-caught-up", "--only", "source.other", file)
	if strings.Count(p.out.String(), "\n") != 5 {
		t.Errorf("the leg prints\n%s", p.out)
	}
	if n := countIn(t, s.target, "public.items"); n != -1 {
		t.Errorf("the other leg wrote %d rows", n)
	}
	p = s.runs(t, "run", "--until-caught-up", "--only", "sink.copy", file)
	if p.out.String() != "" {
		t.Errorf("the leg that did not run prints\n%s", p.out)
	}
	s.equal(t)
	p = s.runs(t, "run", "--until-caught-up", file)
	if p.out.String() != "" {
		t.Errorf("rows are printed again:\n%s", p.out)
	}
	s.refused(t, exitInput, []string{"sink.nothing", "there is no such"}, "run", "--only", "sink.nothing", file)
}

// faultJSONLog: with --log-format=json each line of the error stream is an object, to the last one.
func faultJSONLog(t *testing.T, s *scene) {
	file := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	good := s.runs(t, "run", "--log-format=json", "--until-caught-up", file)
	pipetest.Exec(t, s.source, dropSlot)
	bad := s.refused(t, exitEnvironment, []string{"is gone"}, "run", "--log-format=json", file)
	broken := s.refused(t, exitInput, nil, "run", "--log-format=json", s.file(t, "broken.hcl", "nonsense {\n"))
	for _, p := range []*process{good, bad, broken} {
		for line := range strings.Lines(p.err.String()) {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil || object["msg"] == nil || object["level"] == nil {
				t.Errorf("not a JSON log line: %s", line)
			}
		}
	}
}

// faultEnvelope: with --json there is one object on the output stream, whatever happens.
func faultEnvelope(t *testing.T, s *scene) {
	file := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	read := func(p *process) (e envelope) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.out.String()), &e); err != nil {
			t.Fatalf("not one envelope: %v\n%s", err, p.out)
		}
		return e
	}
	if e := read(s.runs(t, "run", "--json", "--until-caught-up", file)); !e.OK || e.Command != "run" || e.Error != nil {
		t.Errorf("a good run says %+v", e)
	}
	pipetest.Exec(t, s.source, dropSlot)
	e := read(s.refused(t, exitEnvironment, nil, "run", "--json", file))
	if e.OK || e.Error == nil || e.Error.Node != "source.shop" || e.Error.Hint == "" || e.Error.Code != exitEnvironment {
		t.Errorf("a bad run says %+v %+v", e, e.Error)
	}
	e = read(s.refused(t, exitInput, nil, "run", "--json", s.file(t, "broken.hcl", "nonsense {\n")))
	if e.OK || e.Result == nil {
		t.Errorf("a broken configuration says %+v", e)
	}
	for _, command := range []string{"tables", "graph", "validate"} {
		if e := read(s.runs(t, command, "--json", file)); !e.OK || e.Result == nil {
			t.Errorf("%s says %+v", command, e)
		}
	}
}

func faultExitCodes(t *testing.T, s *scene) {
	good := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	s.runs(t, "validate", good)
	s.refused(t, exitInput, []string{"no such file"}, "run", filepath.Join(s.dir, "missing.hcl"))
	s.refused(t, exitInput, []string{"--nothing"}, "run", "--nothing", good)
	s.refused(t, exitInput, []string{"no command"}, "rum", good)
	s.refused(t, exitInput, []string{"text or json"}, "run", "--log-format=xml", good)
	s.refused(t, exitEnvironment, []string{"does not exist", "Check the database's name"}, "run",
		s.file(t, "nodb.hcl", replaced(t, stateInFile+fromItems, `env("SOURCE")`, `replace(env("SOURCE"), "test_", "none_")`)+toCopy))
	if err := os.WriteFile(filepath.Join(s.dir, "ugly.hcl"), []byte("pipeline   \"x\" {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refused(t, exitDiffers, []string{"ugly.hcl"}, "fmt", "--check", filepath.Join(s.dir, "ugly.hcl"))
}

// faultVariables: values come from --var, files and the environment; one that is missing is named.
func faultVariables(t *testing.T, s *scene) {
	s.insert(t, 1, 5)
	text := `
variable "slot" {
  type = string
}
` + stateInSink + replaced(t, fromItems, `slot            = "fault"`, `slot            = var.slot`) + toCopy
	file := s.file(t, "run.hcl", text)
	s.refused(t, exitInput, []string{"slot", "--var"}, "run", file)
	s.refused(t, exitInput, []string{"slut", "slot"}, "run", "--var", "slut=x", file)
	s.runs(t, "run", "--until-caught-up", "--var", "slot=from_var", file)
	if n := queryCount(t, s.source, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'from_var'"); n != 1 {
		t.Error("the slot does not have the variable's value")
	}
	unset := s.file(t, "unset.hcl", replaced(t, text, `env("TARGET")`, `env("PIPE_TEST_UNSET")`))
	s.refused(t, exitInput, []string{"PIPE_TEST_UNSET", "not set", "unset.hcl:"}, "run", "--var", "slot=from_var", unset)
}

// faultMoved: a source that is renamed with a moved block goes on where it was.
func faultMoved(t *testing.T, s *scene) { s.rename(t, stateInFile) }

func faultMovedInSink(t *testing.T, s *scene) { s.rename(t, stateInSink) }

func (s *scene) rename(t *testing.T, state string) {
	t.Helper()
	pipetest.Exec(t, s.target, "CREATE TABLE items (id int, v text)")
	history := replaced(t, toCopy, "  from = source.shop\n", "  from = source.shop\n  write = \"append\"\n  deletes = \"ignore\"\n")
	s.insert(t, 1, 5)
	s.runs(t, "run", "--until-caught-up", s.file(t, "run.hcl", state+fromItems+history))
	s.insert(t, 6, 10)
	moved := strings.ReplaceAll(strings.ReplaceAll(fromItems+history, `"shop"`, `"store"`), "source.shop", "source.store")
	file := s.file(t, "run.hcl", state+moved+"\nmoved {\n  from = source.shop\n  to   = source.store\n}\n")
	s.runs(t, "run", "--until-caught-up", file)
	s.equal(t) // the sink appends: a new snapshot would show
	s.insert(t, 11, 15)
	s.runs(t, "run", "--until-caught-up", file)
	s.equal(t)
	s.insert(t, 16, 20)
	s.runs(t, "run", "--until-caught-up", s.file(t, "run.hcl", state+moved))
	s.equal(t) // the block has done its work and may go
}

// faultLiteral: a password in the file is warned about, and not shown.
func faultLiteral(t *testing.T, s *scene) {
	text := replaced(t, stateInFile+fromItems, `env("SOURCE")`, `"`+secretDSN(t, s.source)+`"`) + toCopy
	s.refused(t, exitOK, []string{"run.hcl:"}, "validate", s.file(t, "run.hcl", text))
	s.refused(t, exitInput, []string{"slut"}, "validate", s.file(t, "run.hcl", replaced(t, text, "  slot ", "  slut ")))
	wrong := replaced(t, text, "sslmode=disable", "sslmode=nonsense")
	s.refused(t, exitInput, []string{"dsn"}, "validate", s.file(t, "run.hcl", wrong))
}
