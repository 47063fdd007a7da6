package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// script writes a shell script and returns the arguments that run it.
func script(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"--", "sh", path}
}

func TestCommandGetsTheAddresses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("OUT", out)
	env := filepath.Join(t.TempDir(), "env")
	t.Setenv("ENV_FILE", env)
	code := run(append([]string{"--env-file", env}, script(t, `set -e
. "$ENV_FILE"
psql -Atc 'SELECT current_user, current_database()' "$DATABASE_URL" >>"$OUT"
psql -Atc 'SELECT current_user, current_database()' "$WAREHOUSE_URL" >>"$OUT"
psql -Atc 'SET session_replication_role = replica' "$WAREHOUSE_URL" >>"$OUT"
echo "$MARIADB_URL $KAFKA_BROKERS $SCHEMA_REGISTRY_URL" >>"$OUT"
exit 7`)...))
	if code != 7 {
		t.Errorf("exit code %d, the command's is 7", code)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	if len(lines) != 4 || lines[0] != "demo|shop" || lines[1] != "demo|warehouse" || len(strings.Fields(lines[3])) != 3 {
		t.Errorf("the command saw %q", lines)
	}
	if _, err := os.Stat(env); err == nil {
		t.Error("the env file is left")
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"--only", "oracle"}, {"--nonsense"}} {
		if code := run(args); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func TestDirectoryKeepsTopicsAndSchemas(t *testing.T) {
	dir := t.TempDir()
	with := func(use func(admin *kadm.Client, schemas *sr.Client)) {
		t.Helper()
		s, err := up(t.Context(), options{dir: dir, only: []string{"kafka", "registry"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.down(); err != nil {
				t.Error(err)
			}
		}()
		client, err := kgo.NewClient(kgo.SeedBrokers(address(s, "KAFKA_BROKERS")))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		schemas, err := sr.NewClient(sr.URLs(address(s, "SCHEMA_REGISTRY_URL")))
		if err != nil {
			t.Fatal(err)
		}
		use(kadm.NewClient(client), schemas)
	}
	with(func(admin *kadm.Client, schemas *sr.Client) {
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "kept"); err != nil {
			t.Error(err)
		}
		if _, err := schemas.CreateSchema(t.Context(), "kept", sr.Schema{Schema: `"string"`}); err != nil {
			t.Error(err)
		}
	})
	with(func(admin *kadm.Client, schemas *sr.Client) {
		topics, err := admin.ListTopics(t.Context())
		if err != nil || !topics.Has("kept") {
			t.Errorf("topics %v, %v", topics.Names(), err)
		}
		subjects, err := schemas.Subjects(t.Context())
		if err != nil || len(subjects) != 1 {
			t.Errorf("subjects %v, %v", subjects, err)
		}
	})
}

// address returns one of the addresses of a stack.
func address(s *stack, name string) string {
	for _, e := range s.env {
		if rest, ok := strings.CutPrefix(e, name+"="); ok {
			return rest
		}
	}
	return ""
}

func TestPartlyUpIsTakenDown(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	taken, err := up(t.Context(), options{only: []string{"registry"}})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(address(taken, "SCHEMA_REGISTRY_URL"), "http://"), ":")
	base, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = up(t.Context(), options{ports: base - 3, only: []string{"kafka", "registry"}})
	if err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := taken.down(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
